"""The units that matrices are stored in: no draw changes, and a step moves the draws by about its rate."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from bayeshyper.autoguide.posterior.latent import LatentPosterior
from bayeshyper.autoguide.posterior.start import StartingGaussian
from bayeshyper.autoguide.posterior.steps import step_per_input, step_per_scale


class Layer(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(1, 5, inputs, dtype=torch.float64))
        self.bias = nn.Parameter(torch.randn(1, 5, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix.mT + self.bias


@pytest.mark.parametrize("inputs", [2, 16, 512])
def test_adams_first_step_moves_an_output_by_little_more_than_its_rate(inputs: int) -> None:
    torch.manual_seed(0)
    layer, x = Layer(inputs), torch.randn(1, 1, inputs, dtype=torch.float64).sign()
    before = layer(x).detach()
    step_per_input(layer)
    torch.testing.assert_close(layer(x), before, rtol=1e-12, atol=1e-12)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
    layer(x).sum().backward()
    optimizer.step()
    # All k inputs agree and move it by η k / k^¾, the bias by η: Adam's first step is η g/(|g| + 1e-8).
    moved = torch.full_like(before, 0.01 * (inputs**0.25 + 1.0))
    torch.testing.assert_close(before - layer(x), moved, rtol=1e-5, atol=0)


def make(entropy: str = "hierarchical") -> LatentPosterior:
    torch.manual_seed(0)
    starts = [StartingGaussian(torch.arange(3.0)), StartingGaussian(-torch.arange(3.0), 0.5 * torch.eye(3))]
    return LatentPosterior(starts, noise_dim=2, hidden=(4,), entropy=entropy)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_copies_draw_what_the_original_draws_and_are_their_own(again: object) -> None:
    made = make().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    other = again(made)  # type: ignore[operator]
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    first, second = (p.sample(10, g) for p, g in zip((made, other), generators, strict=True))
    assert torch.equal(first, second)
    assert not other.training
    assert [name for name, _ in other.named_parameters()] == [name for name, _ in made.named_parameters()]
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert torch.equal(made.sample(10, torch.Generator().manual_seed(1)), first)


def test_a_step_moves_small_scales_by_a_share_and_large_ones_by_the_rate() -> None:
    scales = torch.tensor([1e-12, 1e-3, 50.0], dtype=torch.float64)
    layer = nn.ParameterDict({"log_scale": nn.Parameter(scales.log())})
    step_per_scale(layer, "log_scale")
    torch.testing.assert_close(layer["log_scale"].exp(), scales, rtol=1e-6, atol=0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    for stored in layer.parameters():
        stored.grad = -torch.ones_like(stored)
    optimizer.step()
    moved = layer["log_scale"].exp() - scales
    expected = torch.tensor([1e-14, 1e-5, 0.01], dtype=torch.float64)
    torch.testing.assert_close(moved, expected, rtol=0.02, atol=0)
