from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bayeshyper.models import Conditional, Target
from bayeshyper.models.flipout import draw_signs
from bayeshyper.models.layers import Layers
from bayeshyper.models.rownoise import RowNoise
from tests.models.laws import (
    LIMIT,
    Pooled,
    Shared,
    SharedBias,
    Stepwise,
    assert_same_law,
    conditional_for,
    weights_from,
)
from tests.models.zoo import ZOO


class Twice(nn.Module):
    """A Linear that is called a second time on what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.again = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.again(torch.tanh(self.again(x)))
        return output


def data(*shape: int) -> Tensor:
    return torch.randn(4, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


# Every kind of layer, and a network in which nothing but flipped layers is sampled.
FLIPPED: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "conv1d": (lambda: nn.Conv1d(3, 2, 2), data(3, 5)),
    "conv2d": (lambda: nn.Conv2d(3, 2, 3, padding="same"), data(3, 4, 5)),
    "conv3d": (lambda: nn.Conv3d(1, 2, 2, stride=2, bias=False), data(1, 4, 4, 4)),
    "grouped": (lambda: nn.Conv2d(4, 6, 2, groups=2, dilation=2), data(4, 4, 4)),
    "circular": (lambda: nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), data(2, 5)),
    "transposed1d": (lambda: nn.ConvTranspose1d(3, 2, 2), data(3, 4)),
    "transposed2d": (
        lambda: nn.ConvTranspose2d(4, 6, 2, groups=2, output_padding=1, stride=2),
        data(4, 3, 3),
    ),
    "transposed3d": (lambda: nn.ConvTranspose3d(1, 2, 2), data(1, 2, 2, 2)),
    "sequence": (Pooled, data(6, 3)),
    "called twice": (Twice, data(3)),
    "shared weight": (Shared, data(3)),
    "shared bias": (SharedBias, data(3)),
    "step by step": (Stepwise, data(5, 3)),
    "two convolutions": (
        lambda: nn.Sequential(nn.Conv1d(3, 2, 2), nn.Tanh(), nn.Conv1d(2, 2, 2), nn.Flatten()),
        data(3, 5),
    ),
}


def of_row(shape: torch.Size, inputs: Tensor, outputs: Tensor, *, transposed: bool) -> Tensor:
    """The signs of a weight's entries for one row: those of the two channels that each entry joins."""
    signs = torch.empty(shape, dtype=inputs.dtype)
    # The second dimension counts within a group.
    first, second = (inputs, outputs) if transposed else (outputs, inputs)
    groups = len(second) // shape[1]
    for i in range(shape[0]):
        group = i // (shape[0] // groups)
        for j in range(shape[1]):
            signs[i, j] = first[i] * second[group * shape[1] + j]
    return signs


@pytest.mark.parametrize("kind", FLIPPED)
def test_each_row_passes_through_one_draw_of_the_weights(kind: str) -> None:
    """Exactly: the outputs of row n are the network's at W̄ + ΔW ∘ r_n s_nᵀ, and so are their gradients."""
    make, x = FLIPPED[kind]
    target = Target(make().double())
    layers = target.layers(x)
    assert {layer.weight for layer in layers.flipped} | {name for name, _ in layers.biases} == set(
        target.spec.names
    )
    law = conditional_for(target, draws=2)
    mean, weights = law.mean.flatten(0, 1).clone().requires_grad_(), weights_from(law)

    signs = draw_signs(layers, len(x), x, torch.Generator().manual_seed(5))
    per_row = []
    for row in range(len(x)):
        entries = {}
        for name in target.spec.names:
            before, after = (of_all[row] for of_all in signs[name])
            shape = torch.Size(target.spec[name].shape)
            entries[name] = (
                after
                if len(shape) == 1
                else of_row(shape, before, after, transposed=kind.startswith("transposed"))
            )
        theta = mean + (weights - law.mean[0]) * target.spec.flatten(entries)
        per_row.append(target(theta, x[row : row + 1]))
    expected = torch.cat(per_row, dim=1)

    noise = weights - law.mean[0]
    moved = Conditional(mean.unsqueeze(0), law.scale, torch.Generator().manual_seed(5))
    found = target.forward_local(mean + noise, moved, x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    slope = torch.randn(found.shape, dtype=x.dtype)
    (of_found,) = torch.autograd.grad(found, mean, slope)
    (of_expected,) = torch.autograd.grad(expected, mean, slope)
    torch.testing.assert_close(of_found, of_expected, rtol=1e-9, atol=1e-9)


def test_signs_are_fair_and_independent() -> None:
    network = nn.Conv1d(3, 2, 2)
    layers = Target(network).layers(torch.randn(5, 3, 4))
    signs = draw_signs(layers, 20_000, torch.zeros(()), torch.Generator().manual_seed(0))
    together = torch.cat([*signs["weight"], signs["bias"][0]], dim=1)
    assert together.abs().eq(1).all()
    limit = LIMIT / math.sqrt(len(together))  # the standard error of a mean and of a product's mean
    assert together.mean(0).abs().max() < limit
    products = together.mT @ together / len(together)
    assert (products - torch.eye(together.shape[1])).abs().max() < limit


@pytest.mark.parametrize("name", ["convnet", "encoder"])
def test_a_networks_outputs_have_the_law_of_sampled_weights(name: str) -> None:
    network, x, _ = ZOO[name]()
    target = Target(network.double())
    x = x[:4].double()
    assert target.layers(x).flipped
    assert target.layers(x).local
    law = conditional_for(target, groups=2, draws=8_000)
    noisy = target.forward_local(weights_from(law), law, x).unflatten(0, (2, -1))
    sampled = target(weights_from(law), x).unflatten(0, (2, -1))
    for one, other in zip(noisy, sampled, strict=True):
        assert_same_law(one, other)


def test_two_rows_noises_are_uncorrelated() -> None:
    """Rows that are almost alike: the same weights move them together, flipped ones do not."""
    target = Target(nn.Sequential(nn.Conv1d(2, 3, 2), nn.Flatten(), Sum()).double())
    x = torch.ones(2, 2, 5, dtype=torch.float64)
    x[1] += 0.01 * torch.randn(2, 5)
    draws, batches = 10_000, 1_000
    law = conditional_for(target, draws=draws)

    def correlation(outputs: Tensor) -> float:
        return torch.corrcoef(outputs[..., 0].mT)[0, 1].item()

    part = Conditional(law.mean[:, : draws // batches], law.scale)
    outputs = [target.forward_local(weights_from(part), part, x) for _ in range(batches)]
    # Given its signs, a batch has a correlation in [-1, 1]: their mean's standard error is ≤ 1/√batches.
    assert abs(correlation(torch.cat(outputs))) < LIMIT / math.sqrt(batches)
    assert correlation(target(weights_from(law), x)) > 0.99


class Sum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1, keepdim=True)


def test_a_pooled_convolution_spreads_as_with_sampled_weights() -> None:
    """Noise drawn afresh at each of T alike positions would be √T times too small after pooling."""
    network = nn.Sequential(nn.Conv1d(3, 1, 1), nn.AdaptiveAvgPool1d(1), nn.Flatten()).double()
    target = Target(network)
    x = torch.randn(2, 3, 1, dtype=torch.float64).expand(2, 3, 25)
    law = conditional_for(target, draws=20_000)
    variance = law.scale[0, 0].square()
    exact = (x[..., 0].square() @ variance[:3] + variance[3]).sqrt()
    error = LIMIT / math.sqrt(2 * 20_000)  # relative standard error of a standard deviation
    for outputs in (target.forward_local(weights_from(law), law, x), target(weights_from(law), x)):
        assert (outputs.std(0)[:, 0] / exact - 1).abs().max() < error
    assert target.layers(x).flipped


def test_gradients_vary_less_than_with_sampled_weights() -> None:
    """On the small ConvNet: by half, beside what its Linear's local noise already saves."""
    network, x, y = ZOO["convnet"]()
    target = Target(network)
    found = target.layers(x)
    mean = target.spec.flatten(target.initial()).requires_grad_()
    log_scale = torch.full_like(mean, math.log(0.05)).detach().requires_grad_()

    def variance(layers: Layers) -> Tensor:
        gradients = []
        for _ in range(100):
            law = Conditional(mean.expand(1, 4, -1), log_scale.exp().expand(1, 1, -1))
            weights = weights_from(law)
            noise = RowNoise(layers, target.spec, weights, law, len(x))

            def one(
                tensors: dict[str, Tensor],
                drawn: dict[str, Tensor],
                variances: dict[str, Tensor],
                noise: RowNoise = noise,
            ) -> Tensor:
                with noise.of(tensors, drawn, variances):
                    output: Tensor = functional_call(target.network, tensors, (x,))
                    return output

            outputs = vmap(one)(noise.tensors, noise.drawn, noise.variances)
            loss = (outputs[..., 0] - y).square().sum(1).mean()
            gradients.append(torch.cat(torch.autograd.grad(loss, [mean, log_scale])))
        return torch.stack(gradients).var(0).view(2, -1).sum(1)

    with_signs, without = variance(found), variance(Layers(local=found.local))
    assert (with_signs < 0.75 * without).all()  # measured: 0.47 and 0.52
