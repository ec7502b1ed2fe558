"""The baselines by name: each ends in weight draws of the same model, trained on the same rows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from bayeshyper.errors import RecipeError
from bayeshyper.inference.history import History
from bayeshyper.inference.noise import NoiseLevel, measure_noise
from bayeshyper.inference.settings import SVISettings
from bayeshyper.inference.svi import Progress
from bayeshyper.models import BayesianModel

from .dropout import dropout_scores, masked_draws, stack_of
from .laplace import Laplace
from .linearized import LinearizedTarget
from .points import hold_out, steps_for, train_points

__all__ = ["BASELINES", "Baseline", "BaselineFit", "Problem", "check_model"]

# Of dropout, those of the paper's experiments and two below.
RATES = (0.002, 0.01, 0.05, 0.1, 0.2)
# Where rows are too few to hold any out.
USUAL_RATE = 0.05
# Passes that held-out rows are predicted with.
HELD_OUT_PASSES = 200
# Laplace: how often the noise is found and the network trained on with it, and for which share of the steps.
ROUNDS, MORE = 2, 0.25
# Above so many weights, only those of the last layer are uncertain: H has its square of numbers.
LARGEST = 2000


@dataclass(frozen=True)
class Problem:
    """What a baseline is given.

    Args:
        model: The model; ``num_data`` is the rows of ``x``.
        starts: Weight vectors to start at, ``(M, D)``.
        x: ``(N, …)``.
        y: ``(N, …)``; standardised, or class indices.
        settings: Optimizer, batch size, members and stopping.
        n_draws: S, for the methods that draw.
        dropout: The rate of MC dropout; None lets held-out rows choose.
        seed: Of everything random.
        log_unit: Log of the target's standard deviation, to give held-out scores in its own units.
        progress: Called at every look.
    """

    model: BayesianModel
    starts: Tensor
    x: Tensor
    y: Tensor
    settings: SVISettings
    n_draws: int = 500
    dropout: float | None = None
    seed: int = 0
    log_unit: float = 0.0
    progress: Progress | None = None

    def train(
        self, starts: Tensor, *, before: int = 0, after: int = 0, **options: Any
    ) -> tuple[Tensor, History]:
        """`train_points` on this problem, with so many steps of other training before and after it."""

        def progress(step: int, steps: int, value: float | None, score: float | None) -> None:
            if self.progress is not None:
                self.progress(before + step, before + steps + after, value, score)

        options = {"seed": self.seed, "log_unit": self.log_unit, "progress": progress, **options}
        return train_points(self.model, starts, self.x, self.y, self.settings, **options)


@dataclass(frozen=True)
class BaselineFit:
    """What a baseline gives.

    Args:
        draws: Weight vectors, ``(S, D)``, float64.
        history: The record of its training.
        about: What a report says of it.
        linearized: What runs the weights, where it is not the network itself.
    """

    draws: Tensor
    history: History
    about: Mapping[str, str]
    linearized: LinearizedTarget | None = None


@dataclass(frozen=True)
class Baseline:
    """A way to a posterior, or to what stands in for one.

    Args:
        label: What a table calls it.
        fit: From a `Problem` to its `BaselineFit`.
        recipe: An inference recipe, which a user's settings change.
    """

    label: str
    fit: Callable[[Problem], BaselineFit]
    recipe: Mapping[str, Any]


def check_model(model: BayesianModel) -> None:
    """Refuse a model that has weights beside those of its weight vector to train.

    Raises:
        RecipeError: It has some.
    """
    if any(parameter.requires_grad for parameter in model.target.parameters()):
        raise RecipeError(
            f"Got target.bayesian = {list(model.target.bayesian)}, which leaves weights to train that are "
            "not Bayesian; a baseline trains all or none: choose all, or freeze the others."
        )


def fit_map(problem: Problem) -> BaselineFit:
    """One network at a maximum of log p(θ) + Σ_n log p(y_n | x_n, θ)."""
    weights, history = problem.train(problem.starts[:1])
    return BaselineFit(weights.double(), history, {"posterior": "a point, maximum a posteriori"})


def fit_ensemble(problem: Problem) -> BaselineFit:
    """M networks from different starts (Lakshminarayanan et al. 2017).

    As in the paper, each maximises its likelihood alone; what keeps it from fitting the noise is a share of
    the rows, its own, that says when to stop.
    """
    members = problem.settings.members
    heldout = hold_out(len(problem.x), members, problem.settings, problem.seed)
    weights, history = problem.train(problem.starts[:members], heldout=heldout, prior=False)
    stopped = "" if heldout is None else f", each stopped by {int(heldout[0].sum()):,} rows of its own"
    return BaselineFit(
        weights.double(), history, {"posterior": f"{members} points, a deep ensemble{stopped}"}
    )


def fit_dropout(problem: Problem) -> BaselineFit:
    """One network trained with dropout, and predicted with it (Gal & Ghahramani 2016).

    Unless the rate is given, rows held out at first choose it and the noise, from networks that are trained
    with each rate at once, as the paper's grid search does; then one is trained on all rows.
    """
    stack_of(problem.model)
    seed, steps = problem.seed, steps_for(len(problem.x), problem.settings)
    heldout = hold_out(len(problem.x), 1, problem.settings, seed) if problem.dropout is None else None
    rate, noise, chosen = problem.dropout, None, ""
    if heldout is not None:
        rate, noise = _choose_rate(problem, heldout[0], steps)
        chosen = f", chosen by {int(heldout.sum()):,} rows held out at first"
    rate = USUAL_RATE if rate is None else rate
    scores = dropout_scores(problem.model, torch.tensor([rate]), torch.Generator().manual_seed(seed + 1))
    weights, history = problem.train(problem.starts[:1], scores=scores, before=steps if chosen else 0)
    generator = torch.Generator().manual_seed(seed + 2)
    draws = masked_draws(problem.model, weights[0], rate, problem.n_draws, generator).double()
    if noise is not None:
        scales = problem.model.spec[str(problem.model.likelihood.scale_latent)].slice
        draws[:, scales] += noise.shift + noise.spread * torch.randn(len(draws), 1, generator=generator)
    return BaselineFit(draws, history, {"posterior": f"MC dropout, rate {rate:g}{chosen}"})


def _choose_rate(problem: Problem, held: Tensor, steps: int) -> tuple[float, NoiseLevel | None]:
    """The rate, and where there is one the noise level, with which held-out rows are predicted best."""
    model, x, y = problem.model, problem.x[held], problem.y[held]
    generator = torch.Generator().manual_seed(problem.seed + 3)
    scores = dropout_scores(model, torch.tensor(RATES), generator)
    without = replace(problem, x=problem.x[~held], y=problem.y[~held])
    starts = problem.starts[:1].expand(len(RATES), -1)
    weights, _ = without.train(starts, scores=scores, steps=steps, after=steps)
    found: list[tuple[float, float, NoiseLevel | None]] = []
    for rate, one in zip(RATES, weights, strict=True):
        draws = masked_draws(model, one, rate, HELD_OUT_PASSES, generator)
        if model.likelihood.scale_latent is None:
            with torch.no_grad():
                found.append((model.log_predictive(draws, x, y).sum().item(), rate, None))
        else:
            noise = measure_noise(model, draws.unsqueeze(0), x, y)
            found.append((noise.score, rate, noise))
    _, rate, noise_level = max(found, key=lambda each: each[0])
    return rate, noise_level


def fit_laplace(problem: Problem) -> BaselineFit:
    """A Gaussian around the maximum a posteriori, of the linearised network (Immer et al. 2021).

    The likelihood's latents are set by the evidence, and the network is trained on with them; the prior is
    the model's own.

    Raises:
        RecipeError: The prior is not Normal with given scales, or vmap cannot run the network.
    """
    model = problem.model
    if not model.prior.is_normal:
        raise RecipeError(
            f"Got the prior {model.prior} for Laplace, expected a Normal one with given scales; leave "
            "laplace out, or use the prior 'fan-in'."
        )
    if not model.target.vectorizes(problem.x):
        raise RecipeError(
            f"Got a {type(model.target.network).__name__} for Laplace, which needs every row's gradient, and "
            "vmap cannot run it; leave laplace out."
        )
    steps, latents = steps_for(len(problem.x), problem.settings), tuple(model.likelihood.latents)
    more = max(1, round(MORE * steps))
    rounds = ROUNDS if latents else 0
    weights, history = problem.train(problem.starts[:1], after=rounds * more)
    exact, chosen = copy.deepcopy(model).double(), _uncertain(model)
    generator = torch.Generator().manual_seed(problem.seed)
    for turn in range(rounds):
        around = Laplace(exact, weights[0], chosen, problem.x, problem.y)
        weights[:, model.target.spec.size :] = around.maximise_evidence(generator).float()
        weights, then = problem.train(
            weights,
            fixed=latents,
            steps=more,
            seed=problem.seed + 1 + turn,
            before=steps + turn * more,
            after=(rounds - 1 - turn) * more,
        )
        history = history.then(then)
    around = Laplace(exact, weights[0], chosen, problem.x, problem.y)
    which = "all weights" if len(chosen) == model.target.spec.size else "the last layer's weights"
    about = {"posterior": f"linearised Laplace, full Gauss–Newton matrix of {which}"}
    return BaselineFit(around.draw(problem.n_draws, generator), history, about, around.target)


def _uncertain(model: BayesianModel) -> Tensor:
    """Indices of the weights that a Laplace approximation is of: all of them, or the last layer's.

    Raises:
        RecipeError: Those alone are too many.
    """
    spec = model.target.spec
    if spec.size <= LARGEST:
        return torch.arange(spec.size)
    layer = spec.names[-1].rpartition(".")[0]
    pieces = [piece for piece in spec if piece.name.rpartition(".")[0] == layer]
    size = sum(piece.size for piece in pieces)
    if size > LARGEST:
        raise RecipeError(
            f"Got a last layer of {size:,} weights for Laplace, expected {LARGEST:,} at most, since its "
            "matrix has the square of that; leave laplace out, or make the network smaller."
        )
    return torch.cat([torch.arange(piece.start, piece.start + piece.size) for piece in pieces])


def _recipe(*, holdout: float = 0.0, **options: Any) -> Mapping[str, Any]:
    """What all baselines are trained with, in the words of an inference recipe."""
    return {
        "batch_size": 128,
        "optimizer": {"learning_rate": 1e-2},
        "stopping": {"evaluate_every": 20, "patience": 50, "holdout": holdout, "holdout_from": 50},
        **options,
    }


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "map": Baseline("MAP", fit_map, _recipe()),
        "deep-ensemble": Baseline("deep ensemble", fit_ensemble, _recipe(members=5, holdout=0.1)),
        "mc-dropout": Baseline("MC dropout", fit_dropout, _recipe(holdout=0.1)),
        "laplace": Baseline("Laplace", fit_laplace, _recipe()),
    }
)
