"""Points: at a maximum of the log joint, each member as if it were alone, and stopped by its own rows."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bayeshyper.errors import TrainingDiverged
from bayeshyper.inference import OptimizerSettings, StoppingSettings, SVISettings
from bayeshyper.inference.baselines import hold_out, train_points, with_unit_noise
from bayeshyper.models import (
    MLP,
    BayesianModel,
    Bernoulli,
    FanInPrior,
    Gaussian,
    HorseshoePrior,
    NormalPrior,
    Target,
)
from tests.inference.toys import BreaksAfter, Ridge


def settings(steps: int = 1500, **options: Any) -> SVISettings:
    return SVISettings(optimizer=OptimizerSettings(learning_rate=3e-2, steps=steps, final=1e-3), **options)


def gradient(model: BayesianModel, weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    weights = weights.double().requires_grad_()
    joint = model.double().log_likelihood(weights, x.double(), y.double()).sum()
    (slope,) = torch.autograd.grad(joint + model.prior().log_prob(weights).sum(), weights)
    return slope


def curve(rows: int = 40, seed: int = 0) -> tuple[BayesianModel, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(rows, 1, generator=generator) * 4 - 2
    y = torch.sin(2 * x[:, 0]) + 0.3 * torch.randn(rows, generator=generator)
    torch.manual_seed(seed)
    model = BayesianModel(Target(MLP(1, 1, hidden=[20])), FanInPrior(), Gaussian(), num_data=rows)
    return model, x, y


def starts(model: BayesianModel, members: int) -> Tensor:
    weights = torch.randn(members, model.spec.size, generator=torch.Generator().manual_seed(1))
    return with_unit_noise(model, weights * model.prior.scale)


def test_the_maximum_of_a_linear_regression_is_ridges() -> None:
    problem = Ridge.draw()
    weights, history = train_points(
        problem.model(), torch.zeros(1, 4), problem.x, problem.y, settings(), seed=0
    )
    torch.testing.assert_close(weights[0].double(), problem.posterior.mean, atol=1e-4, rtol=0)
    assert history.steps[-1] == history.best_step == 1500


def test_a_logistic_regression_ends_where_the_log_joint_is_flat() -> None:
    problem = Ridge.draw(rows=60)
    y = (problem.y > 0).float()
    torch.manual_seed(0)
    model = BayesianModel(Target(nn.Linear(3, 1)), NormalPrior(scale=1.0), Bernoulli(), num_data=60)
    weights, _ = train_points(model, torch.ones(1, 4), problem.x, y, settings(), seed=0)
    before, after = (gradient(model, at, problem.x, y).norm() for at in (torch.ones(1, 4), weights))
    assert after < 1e-3 * before


def test_without_its_prior_it_is_least_squares() -> None:
    problem = Ridge.draw()
    weights, history = train_points(
        problem.model(), torch.zeros(1, 4), problem.x, problem.y, settings(), seed=0, prior=False
    )
    solution = torch.linalg.lstsq(problem.design, problem.y.double()).solution
    torch.testing.assert_close(weights[0].double(), solution, atol=1e-4, rtol=0)
    assert history.objective == "log likelihood"


def test_a_member_is_trained_as_if_it_were_alone() -> None:
    model, x, y = curve()
    together, of_each = starts(model, 3), settings(200, stopping=StoppingSettings(10, 0.25, 4))
    heldout = hold_out(len(x), 3, of_each, seed=5)
    assert heldout is not None
    trained, _ = train_points(model, together, x, y, of_each, seed=0, heldout=heldout)
    for member in range(3):
        rows = slice(member, member + 1)
        alone, _ = train_points(model, together[rows], x, y, of_each, seed=0, heldout=heldout[rows])
        # Batched products round otherwise than single ones, and training magnifies it.
        torch.testing.assert_close(alone[0], trained[member], atol=2e-2, rtol=0)


def test_what_a_member_holds_out_has_no_say_in_its_steps() -> None:
    model, x, y = curve()
    heldout = torch.zeros(1, len(x), dtype=torch.bool)
    heldout[0, :10] = True
    wild = torch.where(heldout[0], 1e3, y)
    with_them = train_points(model, starts(model, 1), x, wild, settings(20), seed=0, heldout=heldout)[1]
    without = train_points(model, starts(model, 1), x, y, settings(20), seed=0, heldout=heldout)[1]
    assert with_them.elbo_per_datum == without.elbo_per_datum


def test_the_kept_state_is_the_one_that_predicts_the_held_out_rows_best() -> None:
    model, x, y = curve(rows=30)
    of_it = settings(600, stopping=StoppingSettings(10, 0.3, 4, patience=1000))
    heldout = hold_out(len(x), 1, of_it, seed=0)
    assert heldout is not None
    assert int(heldout.sum()) == 9
    weights, history = train_points(
        model, starts(model, 1), x, y, of_it, seed=0, heldout=heldout, prior=False
    )
    kept = model.log_likelihood(weights, x[heldout[0]], y[heldout[0]]).mean().item()
    assert kept == pytest.approx(max(history.heldout_score), abs=1e-5)
    assert history.best_step == history.steps[history.heldout_score.index(max(history.heldout_score))]


def test_it_stops_where_no_member_gets_better() -> None:
    model, x, y = curve(rows=30)
    of_it = settings(4000, stopping=StoppingSettings(10, 0.3, 4, patience=3))
    heldout = hold_out(len(x), 2, of_it, seed=0)
    _, history = train_points(model, starts(model, 2), x, y, of_it, seed=0, heldout=heldout, prior=False)
    assert history.stopped_early
    assert history.steps[-1] == history.best_step + 30


def test_every_member_holds_out_rows_of_its_own() -> None:
    mask = hold_out(200, 5, settings(stopping=StoppingSettings(holdout=0.1, holdout_from=50)), seed=0)
    assert mask is not None
    assert mask.sum(1).tolist() == [20] * 5
    assert len({tuple(row.tolist()) for row in mask}) == 5
    assert hold_out(49, 5, settings(stopping=StoppingSettings(holdout_from=50)), seed=0) is None


def test_a_priors_own_latents_and_what_is_fixed_stay() -> None:
    _, x, y = curve()
    model = BayesianModel(Target(MLP(1, 1, hidden=[5])), HorseshoePrior(), Gaussian(), num_data=len(x))
    before = starts(model, 1)
    after, _ = train_points(model, before, x, y, settings(20), seed=0, fixed=("log_scale",))
    moved = {
        piece.name for piece in model.spec if not torch.equal(before[:, piece.slice], after[:, piece.slice])
    }
    assert moved == set(model.target.spec.names)


def test_a_loss_that_is_not_finite_is_said() -> None:
    _, x, y = curve()
    model = BayesianModel(Target(MLP(1, 1, hidden=[5])), FanInPrior(), BreaksAfter(3), num_data=len(x))
    with pytest.raises(TrainingDiverged, match="step 4"):
        train_points(model, starts(model, 1), x, y, settings(20), seed=0)


def test_the_noise_starts_at_one() -> None:
    model, *_ = curve()
    weights = starts(model, 2)
    assert weights[:, model.spec["log_scale"].slice].exp().tolist() == [[1.0], [1.0]]
    assert math.isfinite(weights.sum())
