"""The draw as a Pyro distribution: a value with its own density, and nobody else's."""

from __future__ import annotations

import math

import pytest
import torch
from pyro import poutine

from bayeshyper.inference import ImplicitDraw, linearized_entropy
from tests.inference.toys import random_hypernetwork


def test_log_prob_is_minus_the_entropy_estimate_of_its_own_draw() -> None:
    net = random_hypernetwork(5, noise_dim=2, hidden=(4,), members=2)
    drawn = ImplicitDraw(net, linearized_entropy, generator=torch.Generator().manual_seed(3)).expand([6])
    value = drawn.rsample()
    again = net.draw(3, generator=torch.Generator().manual_seed(3))
    assert torch.equal(value, again.weights.reshape(6, 5))
    assert torch.equal(drawn.log_prob(value), -linearized_entropy(net, again).reshape(6))
    assert drawn.log_prob(value).requires_grad


def test_log_prob_refuses_every_other_tensor() -> None:
    net = random_hypernetwork(5, noise_dim=2)
    drawn = ImplicitDraw(net, linearized_entropy).expand([3])
    with pytest.raises(ValueError, match="did not make"):  # nothing drawn yet
        drawn.log_prob(torch.zeros(3, 5))
    value = drawn.rsample()
    for other in (value.clone(), value.detach(), value + 1.0, drawn.expand([3]).rsample()):
        with pytest.raises(ValueError, match="did not make"):
            drawn.log_prob(other)
    drawn.rsample()
    with pytest.raises(ValueError, match="did not make"):  # it knows its last draw only
        drawn.log_prob(value)


def test_expand_gives_an_undrawn_copy_whose_rows_differ() -> None:
    net = random_hypernetwork(5, noise_dim=2)
    drawn = ImplicitDraw(net, linearized_entropy)
    first = drawn.rsample()
    wide = drawn.expand(torch.Size([4, 1]))
    assert wide.batch_shape == (4, 1)
    assert wide.event_shape == (5,)
    with pytest.raises(ValueError, match="did not make"):
        wide.log_prob(first)
    rows = wide.rsample()
    assert rows.shape == (4, 1, 5)
    assert len(torch.unique(rows.reshape(4, 5), dim=0)) == 4
    assert wide.log_prob(rows).shape == (4, 1)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (7, 1), (2, 5)])
def test_members_whose_number_does_not_divide_the_draws(shape: tuple[int, ...]) -> None:
    net = random_hypernetwork(4, noise_dim=2, hidden=(3,), members=3, gain=0.2, noise=0.01)
    with torch.no_grad():
        net.mean.copy_(torch.tensor([0.0, 100.0, 200.0]).double().unsqueeze(-1).expand(3, 4))
        net.unit.fill_(1.0)
        net.head.matrix[0] = 0.0  # member 0 has no information to give, the others have
    generator = torch.Generator().manual_seed(0)
    drawn = ImplicitDraw(net, linearized_entropy, generator=generator).expand(torch.Size(shape))
    value = drawn.rsample()
    assert value.shape == (*shape, 4)
    # Weights, their law given z, and density are of the same draw: the value lies within the output noise's
    # reach of its conditional mean, and the density has the member's own noise scale in it.
    rows = value.reshape(-1, 4)
    law = value.conditional  # type: ignore[attr-defined]
    mean = law.mean.reshape(-1, 4)
    scale = law.scale.expand(law.mean.shape).reshape(-1, 4)
    assert ((rows - mean) / scale).abs().max().item() < 6
    member = (rows[:, 0] / 100.0).round().long()
    torch.testing.assert_close(scale, (net.unit * net.output_noise)[member], rtol=1e-12, atol=0)
    constant = 0.5 * 4 * math.log(2 * math.pi * math.e)
    noise = constant + scale.log().sum(-1)
    information = -drawn.log_prob(value).reshape(-1) - noise
    assert torch.equal(information > 1e-6, member > 0)  # ½ logdet(I + JᵀMJ)


def test_members_are_drawn_equally_often_when_they_do_not_divide() -> None:
    net = random_hypernetwork(1, noise_dim=1, members=3, gain=0.1, noise=0.01)
    with torch.no_grad():
        net.mean.copy_(torch.tensor([[0.0], [100.0], [200.0]]).double())
        net.unit.fill_(1.0)
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(3)
    for _ in range(400):
        value = ImplicitDraw(net, linearized_entropy, generator=generator).expand([4]).rsample()
        counts += torch.bincount((value[:, 0] / 100).round().long(), minlength=3)
    # 400 draws of 4 from 6 without replacement: a member's count has variance 4·(1/3)(2/3)(2/5) a time.
    sd = math.sqrt(400 * 4 * (1 / 3) * (2 / 3) * (2 / 5))
    assert (counts - 1600 / 3).abs().max().item() < 4 * sd


def test_a_generator_of_its_own_leaves_the_global_one_alone() -> None:
    net = random_hypernetwork(5, noise_dim=2, members=2)
    before = torch.random.get_rng_state()
    values = [
        ImplicitDraw(net, linearized_entropy, generator=torch.Generator().manual_seed(1))
        .expand([3])
        .rsample()
        for _ in range(2)
    ]
    assert torch.equal(*values)
    assert torch.equal(before, torch.random.get_rng_state())
    ImplicitDraw(net, linearized_entropy).rsample()
    assert not torch.equal(before, torch.random.get_rng_state())


def test_where_nobody_asks_for_the_density_it_is_not_made_up() -> None:
    net = random_hypernetwork(5, noise_dim=2)
    with poutine.mask(mask=False):
        drawn = ImplicitDraw(net, linearized_entropy).expand([3])
        value = drawn.rsample()
    assert torch.equal(drawn.log_prob(value), torch.zeros(3, dtype=torch.float64))


def test_only_a_local_draw_carries_its_law_given_z() -> None:
    net = random_hypernetwork(5, noise_dim=2)
    assert hasattr(ImplicitDraw(net, linearized_entropy).rsample(), "conditional")
    assert not hasattr(ImplicitDraw(net, linearized_entropy, local=False).rsample(), "conditional")
