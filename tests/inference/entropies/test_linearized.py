"""The linearised entropy: exact where the trunk is affine, and honest about what is not finite."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from bayeshyper.inference import linearized_entropy
from bayeshyper.inference.entropies import linearized_information
from tests.inference.toys import as_low_rank, random_hypernetwork


@pytest.mark.parametrize(("size", "noise_dim"), [(7, 3), (3, 5), (1, 1), (40, 12)])
def test_affine_trunk_gives_the_low_rank_gaussians_own_entropy(size: int, noise_dim: int) -> None:
    net = random_hypernetwork(size, noise_dim=noise_dim, members=2)
    entropy = linearized_entropy(net, net.draw(4))
    for index in range(2):
        exact = as_low_rank(net.member(index)).entropy()
        # Two float64 log-determinants of matrices with condition numbers of a few hundred.
        torch.testing.assert_close(entropy[index], exact.expand(4), rtol=1e-10, atol=1e-10)


def test_no_noise_input_is_mean_field_exactly() -> None:
    net = random_hypernetwork(9, noise_dim=0)
    scale = net.unit * net.output_noise[0]
    exact = torch.distributions.Normal(net.mean[0], scale).entropy().sum()
    torch.testing.assert_close(linearized_entropy(net, net.draw(3)), exact.expand(1, 3), rtol=1e-12, atol=0)
    # … and so is a head that does nothing with its noise.
    idle = random_hypernetwork(9, noise_dim=3)
    torch.nn.init.zeros_(idle.head.matrix)
    scale = idle.unit * idle.output_noise[0]
    exact = torch.distributions.Normal(idle.mean[0], scale).entropy().sum()
    torch.testing.assert_close(linearized_entropy(idle, idle.draw(3)), exact.expand(1, 3), rtol=1e-12, atol=0)


def test_affine_entropy_has_the_closed_forms_gradient() -> None:
    net = random_hypernetwork(6, noise_dim=2)
    parameters = [net.head.matrix, net.log_output_noise]
    ours = torch.autograd.grad(linearized_entropy(net, net.draw(1)).sum(), parameters)
    gaussian = torch.distributions.LowRankMultivariateNormal(
        net.mean[0],
        net.unit.unsqueeze(-1) * net.head.matrix[0],
        (net.unit * net.output_noise[0]).square(),
    )
    exact = torch.autograd.grad(gaussian.entropy(), parameters)
    torch.testing.assert_close(ours, exact, rtol=1e-9, atol=1e-9)


def test_a_weights_unit_only_shifts_the_entropy() -> None:
    net = random_hypernetwork(5, noise_dim=2, hidden=(4,))
    rescaled = random_hypernetwork(5, noise_dim=2, hidden=(4,))
    rescaled.unit.mul_(10.0)
    draws = [n.draw(6, generator=torch.Generator().manual_seed(1)) for n in (net, rescaled)]
    shift = linearized_entropy(rescaled, draws[1]) - linearized_entropy(net, draws[0])
    torch.testing.assert_close(shift, torch.full_like(shift, 5 * math.log(10.0)), rtol=1e-12, atol=0)


def test_nonlinear_information_is_that_of_each_draws_own_tangent() -> None:
    net = random_hypernetwork(8, noise_dim=3, hidden=(5, 4), members=2)
    draw = net.draw(3)
    assert draw.jacobian is not None
    entropy = linearized_entropy(net, draw)
    for member in range(2):
        sigma = net.output_noise[member]
        for row in range(3):
            # The D × d Jacobian that the library never forms, and the d × d determinant written out.
            slope = net.head.matrix[member] @ draw.jacobian[member, row] / sigma.unsqueeze(-1)
            inner = torch.eye(3, dtype=torch.float64) + slope.mT @ slope
            noise = torch.distributions.Normal(0.0, net.unit * sigma).entropy().sum()
            torch.testing.assert_close(
                entropy[member, row], noise + 0.5 * torch.logdet(inner), rtol=1e-11, atol=1e-11
            )


def test_the_information_has_the_gradient_of_the_plain_determinant() -> None:
    torch.manual_seed(0)
    root = torch.randn(2, 7, 5, dtype=torch.float64)
    gram = (root.mT @ root).requires_grad_()
    jacobian = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 3, dtype=torch.float64)  # each draw counts differently
    inner = torch.eye(4, dtype=torch.float64) + jacobian.mT @ gram.unsqueeze(1) @ jacobian
    ours, expected = (
        torch.autograd.grad((value * weights).sum(), (gram, jacobian))
        for value in (linearized_information(gram, jacobian), 0.5 * torch.logdet(inner))
    )
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


def test_what_is_not_finite_shows() -> None:
    jacobian = torch.eye(3).expand(1, 2, 3, 3)
    for entry in ((0, 0), (1, 1), (2, 2), (0, 2)):
        for value in (math.nan, math.inf):
            gram = torch.eye(3, dtype=torch.float64).unsqueeze(0)
            gram[0, entry[0], entry[1]] = gram[0, entry[1], entry[0]] = value
            assert not linearized_information(gram, jacobian).isfinite().any()


def test_a_draw_without_its_jacobian_is_refused() -> None:
    net = random_hypernetwork(4, noise_dim=1)
    with pytest.raises(ValueError, match="with_jacobian=True"):
        linearized_entropy(net, net.draw(1, with_jacobian=False))


def test_float32_parameters_cost_float32_precision_and_no_more() -> None:
    net = random_hypernetwork(200, noise_dim=8, hidden=(16,), noise=0.01, gain=3.0)
    exact = linearized_entropy(net, net.draw(4, generator=torch.Generator().manual_seed(0)))
    single = net.float()
    noise = torch.Generator().manual_seed(0)
    z = torch.randn(1, 4, 8, generator=noise, dtype=torch.float64).float()
    draw = dataclasses.replace(single.draw(4), jacobian=single.trunk.with_jacobian(z)[1])
    ours = linearized_entropy(single, draw)
    # The information is near 80 nats of a total in the hundreds; the result is rounded to float32 once, and
    # σ's rounding (6e-8 of itself) enters D log-terms. In float32 throughout it would be off by far more.
    torch.testing.assert_close(ours.double(), exact, rtol=1e-6, atol=1e-3)
