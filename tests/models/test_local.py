from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from bayeshyper.models import MLP, Conditional, Target
from bayeshyper.models.layers import find_layers
from bayeshyper.models.local import LocalReparameterization
from tests.models.laws import (
    LIMIT,
    Flattened,
    Pooled,
    Reused,
    Shared,
    SharedBias,
    Stepwise,
    assert_same_law,
    conditional_for,
    weights_from,
)

# -- what qualifies ---------------------------------------------------------------------------------------


class Autoencoder(nn.Module):
    """Uses the weight once more outside the Linear; ``how`` gives it, transposed."""

    how: Callable[[Tensor], Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.code = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = torch.tanh(self.code(x)) @ type(self).how(self.code.weight)
        return output


class ByProduct(Autoencoder):
    how = staticmethod(lambda weight: weight)


class ByMethod(Autoencoder):
    how = staticmethod(lambda weight: weight.t().mT)


class ByProperty(Autoencoder):
    how = staticmethod(lambda weight: weight.T.T)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(3, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.cell(x)[0][:, -1]
        return output


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(3, 1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.attend(x, x, x, need_weights=False)[0].mean(1)
        return output


class Keyword(nn.Module):
    """Calls F.linear with its arguments by name, in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.randn(2))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(bias=self.bias, weight=self.weight, input=x)


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv1d(5, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(4, 1))


def normed() -> nn.Module:
    return nn.Sequential(weight_norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, 1))


ROWS, SEQUENCES = torch.linspace(-1, 2, 9).reshape(3, 3), torch.linspace(-1, 2, 45).reshape(3, 5, 3)

QUALIFYING: list[tuple[Callable[[], nn.Module], Tensor, list[str]]] = [
    (lambda: nn.Linear(3, 2), ROWS, ["weight"]),
    (lambda: MLP(3, 1, hidden=(5, 4)), ROWS, ["layers.0.weight", "layers.2.weight", "layers.4.weight"]),
    (Keyword, ROWS, ["weight"]),
    (convolutional, SEQUENCES, ["3.weight"]),
    (Reused, ROWS, ["last.weight"]),
    (normed, ROWS, ["2.weight"]),
]
NOT_QUALIFYING = [
    (Shared, ROWS),
    (SharedBias, ROWS),
    (Pooled, SEQUENCES),
    (Flattened, SEQUENCES),
    (ByProduct, ROWS),
    (ByMethod, ROWS),
    (ByProperty, ROWS),
    (Recurrent, SEQUENCES),
    (Stepwise, SEQUENCES),
    (Attention, SEQUENCES),
]


def qualifying(network: nn.Module, x: Tensor) -> list[str]:
    return [layer.weight for layer in find_layers(network, x, dict(network.named_parameters())).local]


@pytest.mark.parametrize(("kind", "x", "names"), QUALIFYING)
def test_linears_called_once_on_rows_qualify(
    kind: Callable[[], nn.Module], x: Tensor, names: list[str]
) -> None:
    assert qualifying(kind(), x) == names


@pytest.mark.parametrize(("kind", "x"), NOT_QUALIFYING)
def test_what_shares_its_weight_does_not_qualify(kind: Callable[[], nn.Module], x: Tensor) -> None:
    assert qualifying(kind(), x) == []


def test_a_linear_that_is_not_sampled_does_not_qualify() -> None:
    network = MLP(3, 1)
    sampled = {name: network.get_parameter(name) for name in ("layers.0.bias", "layers.2.weight")}
    found = find_layers(network, ROWS, sampled)
    assert [(layer.weight, layer.bias) for layer in found.local] == [("layers.2.weight", None)]


# -- the law ----------------------------------------------------------------------------------------------


def test_a_linear_layer_follows_the_exact_formula() -> None:
    target = Target(nn.Linear(3, 2).double())
    law = conditional_for(target, draws=20_000)
    x = ROWS.double()
    sample = target.forward_local(torch.zeros(20_000, target.spec.size).double(), law, x)
    mean, scale = law.mean[0, 0], law.scale[0, 0]
    expected = x @ mean[:6].reshape(2, 3).T + mean[6:]
    variance = x.square() @ scale[:6].square().reshape(2, 3).T + scale[6:].square()
    n = len(sample)
    assert ((sample.mean(0) - expected).abs() < LIMIT * (variance / n).sqrt()).all()
    # the variance of n Normals has standard error σ²√(2/n)
    assert ((sample.var(0) - variance).abs() < LIMIT * variance * math.sqrt(2 / n)).all()


def test_it_changes_the_joint_law_over_rows_alone() -> None:
    target = Target(nn.Linear(3, 1).double())
    law = conditional_for(target, draws=20_000)
    x = ROWS.double()
    local = target.forward_local(weights_from(law), law, x)[..., 0]
    sampled = target(weights_from(law), x)[..., 0]
    assert_same_law(local, sampled)
    # A correlation of 0 has standard error 1/√n; the rows of sampled weights share their noise.
    assert torch.corrcoef(local.T)[1, 2].abs() < LIMIT / math.sqrt(20_000)
    scale = law.scale[0, 0].square()
    covariance = (x[1] * x[2] * scale[:3]).sum() + scale[3]
    correlation = covariance / ((x[1:].square() @ scale[:3]) + scale[3]).prod().sqrt()
    assert correlation > 0.5
    assert (torch.corrcoef(sampled.T)[1, 2] - correlation).abs() < LIMIT / math.sqrt(20_000)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize(
    ("kind", "x"),
    [
        (lambda: MLP(3, 2, hidden=(5,), activation="tanh"), ROWS),
        (Reused, ROWS),
        (convolutional, SEQUENCES),
    ],
)
def test_outputs_have_the_law_of_sampled_weights(
    kind: Callable[[], nn.Module], x: Tensor, groups: int
) -> None:
    target = Target(kind().double())
    draws = 10_000
    law = conditional_for(target, groups, draws)
    local = target.forward_local(weights_from(law), law, x.double()).unflatten(0, (groups, draws))
    sampled = target(weights_from(law), x.double()).unflatten(0, (groups, draws))
    for one, other in zip(local, sampled, strict=True):
        assert_same_law(one, other)


def test_each_draw_keeps_its_own_mean() -> None:
    target = Target(MLP(3, 2, hidden=(5,)).double())
    mean = torch.randn(2, 4, target.spec.size, dtype=torch.float64)
    law = Conditional(mean, torch.full((2, 1, target.spec.size), 1e-12, dtype=torch.float64))
    x = ROWS.double()
    # without noise, each draw is the network at its own conditional mean; √MIN_VARIANCE = 1e-6 is left
    torch.testing.assert_close(
        target.forward_local(torch.zeros_like(mean).flatten(0, 1), law, x),
        target(mean.flatten(0, 1), x),
        rtol=0,
        atol=1e-4,
    )


def test_several_groups_equal_one_group_with_the_same_noise() -> None:
    target = Target(nn.Linear(3, 2).double())
    one = conditional_for(target, 1, 6)
    weights, x = torch.zeros(6, target.spec.size).double(), ROWS.double()
    several = Conditional(one.mean.reshape(3, 2, -1), one.scale.expand(3, -1, -1))
    outputs = [
        target.forward_local(weights, Conditional(law.mean, law.scale, torch.Generator().manual_seed(1)), x)
        for law in (one, several)
    ]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-12, atol=1e-12)


def test_the_generator_decides_the_noise() -> None:
    target = Target(nn.Linear(3, 2).double())
    law = conditional_for(target, draws=2)

    def run(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return target.forward_local(
            weights_from(law), Conditional(law.mean, law.scale, generator), ROWS.double()
        )

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_the_likelihoods_latents_behind_the_networks_weights_are_left_alone() -> None:
    target = Target(nn.Linear(3, 2).double())
    law = conditional_for(target, draws=5)
    longer = Conditional(
        torch.cat([law.mean, torch.full((1, 5, 2), 1e9)], -1), torch.cat([law.scale, torch.ones(1, 1, 2)], -1)
    )
    outputs = target.forward_local(weights_from(law), longer, ROWS.double())
    assert outputs.shape == (5, 3, 2)
    assert outputs.abs().max() < 1e3


def test_integer_inputs_get_noise_of_the_weights_own_type() -> None:
    network = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 1)).double()
    target = Target(network)
    law = conditional_for(target, draws=4)
    tokens = torch.tensor([[0, 1], [2, 4], [3, 3]])
    assert target.forward_local(weights_from(law), law, tokens).dtype == torch.float64


def test_gradients_reach_mean_and_scale_and_stay_finite_at_a_zero_row() -> None:
    target = Target(nn.Linear(3, 2, bias=False).double())
    mean = torch.zeros(1, 4, 6, dtype=torch.float64, requires_grad=True)
    scale = torch.ones(1, 1, 6, dtype=torch.float64, requires_grad=True)
    x = torch.tensor([[0.0, 0, 0], [1, 2, 3]], dtype=torch.float64)
    outputs = target.forward_local(torch.zeros(4, 6).double(), Conditional(mean, scale), x)
    outputs.square().sum().backward()
    for gradient in (mean.grad, scale.grad):
        assert gradient is not None
        assert torch.isfinite(gradient).all()
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    ("kind", "x"),
    [
        (Flattened, SEQUENCES),
        (ByProduct, ROWS),
        (ByProperty, ROWS),
        (Recurrent, SEQUENCES),
        (Attention, SEQUENCES),
    ],
)
def test_where_nothing_qualifies_the_sampled_weights_are_used(
    kind: Callable[[], nn.Module], x: Tensor
) -> None:
    target = Target(kind().double())
    law = conditional_for(target, draws=3)
    weights = weights_from(law)
    assert torch.equal(target.forward_local(weights, law, x.double()), target(weights, x.double()))


def test_forced_upon_a_pooled_sequence_the_spread_would_be_several_times_too_small() -> None:
    """Why positions are not rows: T equal positions average T noises where the weights have one."""
    target = Target(Pooled().double())
    draws, positions = 20_000, 16
    law = conditional_for(target, draws=draws)
    x = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64).expand(1, positions, 3)
    mean = {name: tensor[0] for name, tensor in target.spec.unflatten(law.mean[0]).items()}
    scale = target.spec.unflatten(law.scale[0, 0])
    variance = {name: tensor.square() for name, tensor in scale.items()}

    def forced(noise: Tensor) -> Tensor:
        layers = {id(mean["each.weight"]): (variance["each.weight"], variance["each.bias"], noise)}
        with LocalReparameterization(layers):
            output: Tensor = torch.func.functional_call(target.network, mean, (x,))
        return output

    wrong = vmap(forced)(torch.randn(draws, 1, positions, 1, dtype=torch.float64)).std(0)
    exact = (x[0, 0].square() @ variance["each.weight"][0] + variance["each.bias"]).sqrt()
    error = LIMIT / math.sqrt(2 * draws)  # relative standard error of a standard deviation
    assert wrong.item() * math.sqrt(positions) == pytest.approx(exact.item(), rel=error)
    right = target.forward_local(weights_from(law), law, x).std(0)
    assert right.item() == pytest.approx(exact.item(), rel=error)
