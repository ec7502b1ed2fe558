"""Weights drawn given features of data: at one of their values, all is as without them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, HypernetworkSettings, Trunk, WeightDraw
from bayeshyper.inference.entropies import ENTROPIES, Entropy
from bayeshyper.inference.entropies.recognition import Recognition

FEATURES, MEMBERS, DRAWS = 3, 2, 5
# What makes no draws of its own.
CONDITIONAL = ["linearized", "smallest-singular-value", "hierarchical", "semi-implicit"]


def conditioned(noise: str = "varying", hidden: tuple[int, ...] = (8, 8)) -> Hypernetwork:
    """A posterior whose draws depend on their context in every way that there is."""
    torch.manual_seed(0)
    settings = HypernetworkSettings(noise_dim=2, hidden=hidden, noise=noise, gain=0.5, output_noise=0.3)
    mean = torch.randn(MEMBERS, 6, dtype=torch.float64)
    net = Hypernetwork(mean, torch.ones(6).double(), settings, context=FEATURES)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.startswith(("trunk.shift", "varying", "head")):
                parameter.normal_(0.0, 0.5)
    return net


def at(net: Hypernetwork, entropy: Entropy, context: Tensor) -> tuple[Hypernetwork, Entropy]:
    """The posterior at one context, and its estimator: without a context."""
    net, entropy = copy.deepcopy((net, entropy))
    for part in [*net.modules(), *entropy.modules()]:
        if isinstance(part, Trunk | Recognition):
            part.fix_context(context)
    return net, entropy


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("noise", ["varying", "weight"])
@pytest.mark.parametrize("name", CONDITIONAL)
def test_at_one_context_draws_and_densities_are_those_of_a_posterior_without_one(
    name: str, noise: str
) -> None:
    net = conditioned(noise)
    entropy = ENTROPIES[name](net)
    with torch.no_grad():
        for key, parameter in entropy.named_parameters():
            if "shift" in key:
                parameter.normal_(0.0, 0.5)
    context = torch.randn(MEMBERS, 1, FEATURES, dtype=torch.float64)
    alone, its_entropy = at(net, entropy, context)

    def scored(net: Hypernetwork, entropy: Entropy, context: Tensor | None) -> tuple[WeightDraw, Tensor]:
        draw = net.draw(DRAWS, generator=seeded(), context=context)
        return draw, entropy(net, draw)

    draw, values = scored(net, entropy, context.expand(-1, DRAWS, -1))
    other, others = scored(alone, its_entropy, None)
    torch.testing.assert_close(draw.weights, other.weights, rtol=0, atol=1e-12)
    torch.testing.assert_close(values, others, rtol=0, atol=1e-10)
    # Which says something, since at another context they differ.
    elsewhere, more = scored(net, entropy, 1.0 + context.expand(-1, DRAWS, -1))
    assert (elsewhere.weights - draw.weights).abs().mean() > 1e-2
    assert (more - values).abs().mean() > 1e-3


@pytest.mark.parametrize("noise", ["varying", "weight"])
@pytest.mark.parametrize("name", CONDITIONAL)
def test_each_draw_is_scored_in_its_own_context(name: str, noise: str) -> None:
    """Draws of many contexts at once, and the same draws one at a time."""
    net = conditioned(noise)
    options = {"inner": 0} if name == "hierarchical" else {}
    entropy = ENTROPIES[name](net, **options)
    context = torch.randn(MEMBERS, DRAWS, FEATURES, dtype=torch.float64)
    draw = net.draw(DRAWS, generator=seeded(), context=context)
    draw = WeightDraw(**{**vars(draw), "generator": seeded()})
    together = entropy(net, draw)
    for row in range(DRAWS):
        part = {
            key: value[:, row : row + 1] if isinstance(value, Tensor) and value.shape[1] == DRAWS else value
            for key, value in vars(draw).items()
        }
        alone = entropy(net, WeightDraw(**{**part, "generator": seeded()}))
        torch.testing.assert_close(alone[:, 0], together[:, row], rtol=0, atol=1e-10)


def test_the_trunks_jacobian_is_the_derivative_in_its_context() -> None:
    trunk = conditioned().trunk
    z = torch.randn(MEMBERS, 1, 2, dtype=torch.float64)
    context = torch.randn(MEMBERS, 1, FEATURES, dtype=torch.float64)
    features, jacobian = trunk.with_jacobian(z, context)
    torch.testing.assert_close(features, trunk(z, context))
    exact = torch.autograd.functional.jacobian(lambda at: trunk(at, context), z)
    for member in range(MEMBERS):
        torch.testing.assert_close(jacobian[member, 0], exact[member, 0, :, member, 0])


@pytest.mark.parametrize("name", ["stein", "prior-contrastive"])
def test_an_estimator_that_makes_draws_of_its_own_says_that_it_knows_no_context(name: str) -> None:
    net = conditioned("weight")
    entropy = ENTROPIES[name](net)
    draw = net.draw(DRAWS, context=torch.zeros(MEMBERS, DRAWS, FEATURES).double())
    with pytest.raises(ValueError, match="Got no context, expected one for each draw"):
        entropy(net, draw)


def test_no_context_is_refused() -> None:
    with pytest.raises(ValueError, match="drawn given features of data"):
        conditioned().sample(3)
