"""MC dropout: nothing dropped is MAP, and masks on weights are masks on units."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from bayeshyper.errors import RecipeError
from bayeshyper.inference import OptimizerSettings, StoppingSettings, SVISettings
from bayeshyper.inference.baselines import BASELINES, Problem, dropout_scores, masked_draws
from bayeshyper.models import MLP, BayesianModel, FanInPrior, Gaussian, Target


def model_of(network: nn.Module, rows: int = 40) -> BayesianModel:
    return BayesianModel(Target(network), FanInPrior(), Gaussian(), num_data=rows)


@pytest.fixture
def problem() -> Problem:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 2, generator=generator)
    torch.manual_seed(0)
    model = model_of(MLP(2, 1, hidden=[8, 6]), 60)
    starts = 0.3 * torch.randn(1, model.spec.size, generator=generator)
    settings = SVISettings(optimizer=OptimizerSettings(steps=60))
    return Problem(model, starts, x, torch.sin(x.sum(1)), settings, n_draws=30)


def test_with_nothing_dropped_it_is_map(problem: Problem) -> None:
    point = BASELINES["map"].fit(problem).draws
    draws = BASELINES["mc-dropout"].fit(replace(problem, dropout=0.0)).draws
    torch.testing.assert_close(draws, point.expand(30, -1), atol=1e-5, rtol=0)


def test_a_rate_of_zero_changes_no_score(problem: Problem) -> None:
    scores = dropout_scores(problem.model, torch.zeros(1), torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        scores(problem.starts, problem.x, problem.y),
        problem.model.log_likelihood(problem.starts, problem.x, problem.y),
    )


def test_a_mask_is_a_column_of_zeros_and_the_rest_is_scaled_up(problem: Problem) -> None:
    weights, spec = problem.starts[0], problem.model.spec
    draws = masked_draws(problem.model, weights, 0.25, 500, torch.Generator().manual_seed(0))
    for piece in spec:
        drawn = draws[:, piece.slice].unflatten(1, piece.shape or (1,))
        before = weights[piece.slice].reshape(piece.shape or (1,))
        if len(piece.shape) < 2:  # biases and the noise are never dropped
            assert torch.equal(drawn, before.expand_as(drawn))
            continue
        dropped = (drawn == 0).all(1)
        torch.testing.assert_close(drawn, (before / 0.75) * (~dropped).unsqueeze(1))
        # Of some hundreds of masks and columns: five standard errors.
        share = dropped.float().mean().item()
        assert abs(share - 0.25) < 5 * (0.25 * 0.75 / dropped.numel()) ** 0.5


def test_a_linear_networks_passes_average_to_the_network(problem: Problem) -> None:
    torch.manual_seed(0)
    model = model_of(nn.Linear(2, 1))
    weights = torch.randn(model.spec.size)
    draws = masked_draws(model, weights, 0.5, 20_000, torch.Generator().manual_seed(0))
    outputs = model.outputs(draws, problem.x)
    error = outputs.std(0) / len(draws) ** 0.5
    assert bool(
        ((outputs.mean(0) - model.outputs(weights[None], problem.x)[0]).abs() < 5 * error + 1e-5).all()
    )


def test_a_row_is_predicted_alike_by_masked_units_and_masked_weights(problem: Problem) -> None:
    weights, x, y = problem.starts, problem.x[:3], problem.y[:3]
    generator = torch.Generator().manual_seed(0)
    scores = dropout_scores(problem.model, torch.full((4000,), 0.3), generator)
    by_units = scores(weights.expand(4000, -1), x, y)
    draws = masked_draws(problem.model, weights[0], 0.3, 4000, generator)
    by_weights = problem.model.log_likelihood(draws, x, y)
    error = (by_units.var(0) / 4000 + by_weights.var(0) / 4000).sqrt()
    assert bool(((by_units.mean(0) - by_weights.mean(0)).abs() < 5 * error).all())


def test_held_out_rows_choose_the_rate_and_the_noise(problem: Problem) -> None:
    rough = replace(problem, y=problem.y + torch.randn(60, generator=torch.Generator().manual_seed(1)))
    settings = replace(
        problem.settings,
        optimizer=OptimizerSettings(steps=1000, learning_rate=3e-2),
        stopping=StoppingSettings(holdout=0.2, holdout_from=50),
    )
    rough = replace(rough, settings=settings, n_draws=300)
    chosen = BASELINES["mc-dropout"].fit(rough)
    rate, by = re.fullmatch("MC dropout, rate (.*), chosen by (.*)", chosen.about["posterior"]).groups()
    assert by == "12 rows held out at first"
    given = BASELINES["mc-dropout"].fit(replace(rough, dropout=float(rate)))
    place = problem.model.spec["log_scale"].start
    # The same network and masks; the noise alone is another, and higher, since rows were fitted too closely.
    assert torch.equal(chosen.draws[:, :place], given.draws[:, :place])
    moved = (chosen.draws - given.draws)[:, place]
    assert moved.std() > 0
    assert moved.mean() > 0.2


def test_a_network_that_is_no_stack_of_linears_is_refused(problem: Problem) -> None:
    network = nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 1))
    model = model_of(network, 60)
    other = Problem(model, torch.zeros(1, model.spec.size), problem.x, problem.y, problem.settings)
    with pytest.raises(RecipeError, match="Got a Sequential for MC dropout, expected Linears"):
        BASELINES["mc-dropout"].fit(other)
