"""Targets of known density: the density is normalised, and draws and moments are its own."""

from __future__ import annotations

from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from scipy.stats import chisquare, kstest
from torch import Tensor

from tests.test_uci_harness import imported

PLANAR = ["mixture", "far mixture", "unequal mixture", "banana", "circle"]
# A square that holds all but a billionth of each target's mass, and its cells.
EDGE, CELLS, FINE = 12.0, 24, 40


@pytest.fixture(scope="module")
def targets() -> Any:
    return imported("known_targets").TARGETS


def density(target: Any, points: Tensor) -> Tensor:
    """p at points ``(S, 2)``, by the model run with its sites given."""
    names = [name for name, _ in poutine.trace(target.model).get_trace().iter_stochastic_nodes()]
    values = dict(zip(names, points.unbind(-1), strict=True)) if len(names) > 1 else {names[0]: points}
    with pyro.plate("draws", len(points), dim=-1):
        trace = poutine.trace(poutine.condition(target.model, data=values)).get_trace()
    trace.compute_log_prob()
    log_probs = [node["log_prob"] for node in trace.nodes.values() if node["type"] == "sample"]
    return torch.stack([log_prob.expand(len(points)) for log_prob in log_probs]).sum(0).exp()


def masses(target: Any) -> Tensor:
    """Of each cell of the square, ``(24, 24)``, by the midpoint rule."""
    axis = (torch.arange(CELLS * FINE, dtype=torch.float64) + 0.5) * (2 * EDGE / (CELLS * FINE)) - EDGE
    points = torch.cartesian_prod(axis, axis)
    cells = density(target, points).double().reshape(CELLS, FINE, CELLS, FINE)
    return cells.sum((1, 3)) * (2 * EDGE / (CELLS * FINE)) ** 2


@pytest.mark.parametrize("name", PLANAR)
def test_densities_are_normalised_and_draws_are_theirs(targets: Any, name: str) -> None:
    target, cells = targets[name], masses(targets[name])
    beyond = 1e-3 if name == "banana" else 1e-6  # x₁² − 1 > 12 has mass 3e-4
    assert cells.sum().item() == pytest.approx(1.0, abs=beyond)
    draws = target.draws(20_000, seed=0).double()
    counts = torch.histogramdd(draws, CELLS, range=[-EDGE, EDGE, -EDGE, EDGE]).hist.flatten()
    expected = len(draws) * cells.flatten()
    common = expected > 5.0  # where a count is nearly Normal
    seen = [*counts[common].tolist(), counts[~common].sum().item() + len(draws) - counts.sum().item()]
    due = [*expected[common].tolist(), len(draws) - expected[common].sum().item()]
    assert chisquare(seen, due).pvalue > 1e-3


@pytest.mark.parametrize("name", PLANAR)
def test_moments(targets: Any, name: str) -> None:
    target = targets[name]
    draws = target.draws(100_000, seed=1)
    # Five standard errors; that of a standard deviation by fourth moments.
    error = 5 * target.sd / len(draws) ** 0.5
    assert ((draws.mean(0) - target.mean).abs() < error).all()
    squares = (draws - target.mean).square()
    assert ((squares.mean(0) - target.sd.square()).abs() < 5 * squares.std(0) / len(draws) ** 0.5).all()


def test_the_funnel_is_a_product_of_normals_once_it_is_straightened(targets: Any) -> None:
    funnel = targets["funnel"]
    draws = funnel.draws(5000, seed=0)
    v, x = draws[:, 0], draws[:, 1:]
    assert kstest(v / 3.0, "norm").pvalue > 1e-3
    assert kstest((x * (-0.5 * v).exp().unsqueeze(-1)).flatten(), "norm").pvalue > 1e-3
    # E x² = E exp v = exp(9/2), whose logarithm is 2 log sd.
    assert 2 * funnel.sd.log()[1:] == pytest.approx(4.5)


def test_draws_are_reproducible_and_leave_the_global_generator_alone(targets: Any) -> None:
    state = torch.get_rng_state()
    first, second = (targets["banana"].draws(10, seed=3) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())
