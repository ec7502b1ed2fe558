"""Where the posterior is grown from: trained networks, how cold, and the noise they should have expected."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bayeshyper._vocabulary import check_types
from bayeshyper.errors import TrainingDiverged
from bayeshyper.hypernets import Hypernetwork
from bayeshyper.models import BayesianModel

from .batches import Batches
from .checkpoints import RandomState, Stages
from .natural import NaturalGaussian
from .noise import NoiseLevel, measure_noise
from .projection import start_from_gaussian
from .settings import SVISettings
from .warmstart import warm_start

__all__ = ["Start", "find_start"]

# The coldest fits best; where rows are noisier than they are many, the held-out ones ask for a warmer one.
TEMPERATURES = (0.1, 0.3, 1.0)
# Each next temperature takes this share of the first one's steps, from where that ended.
WARMER_SHARE = 0.15
# The second round, on all rows, moves little: its steps and its rate, as shares of the first one's.
SECOND_SHARE, SECOND_RATE = 0.25, 0.3
# Draws of each member that the held-out rows are predicted with.
DRAWS = 20


@dataclass(frozen=True)
class Start:
    """What the held-out rows chose.

    Args:
        temperature: The KL's weight once annealed.
        rows: How many rows were held out; 0 where the recipe says all.
        noise: The noise level; None where it is left as fitted.
        steps: How many steps the search had, those of temperatures that were not tried included.
    """

    temperature: float
    rows: int = 0
    noise: NoiseLevel | None = None
    steps: int = 0

    def state_dict(self) -> dict[str, Any]:
        """What `from_state` makes it from again."""
        noise = self.noise and {field.name: getattr(self.noise, field.name) for field in fields(self.noise)}
        return {"temperature": self.temperature, "rows": self.rows, "noise": noise, "steps": self.steps}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], *, scales: int = 0) -> Start:
        """The inverse of `state_dict`.

        Args:
            state: What that gave.
            scales: How many noise levels the posterior has, those of all members.

        Raises:
            KeyError, TypeError, ValueError: It is none, or of a posterior with another number of them.
        """
        noise = state["noise"] and NoiseLevel(**state["noise"])
        start = cls(**{**state, "noise": noise})
        check_types(start)
        if min(start.temperature, start.rows + 1, start.steps + 1) <= 0:
            raise ValueError("the start is of no temperature, or of fewer rows or steps than none")
        if start.noise is not None:
            check_types(start.noise)
            if start.noise.location.numel() != scales or not start.noise.spread > 0.0:
                raise ValueError("the noise level is of another number of scales, or has no spread")
        return start

    def to_dict(self) -> dict[str, float]:
        """For the record of a fit."""
        record = {"temperature": self.temperature, "rows": self.rows}
        if self.noise is not None:
            record |= {"shift": self.noise.shift, "spread": self.noise.spread}
        return record


def find_start(
    model: BayesianModel,
    hypernetwork: Hypernetwork,
    x: Tensor,
    y: Tensor,
    settings: SVISettings,
    generator: torch.Generator,
    progress: Callable[[int, int], None] | None = None,
    stages: Stages | None = None,
) -> Start:
    """Train the mean weights, and where asked for the Gaussian around them; the hypernetwork starts there.

    With a share of rows to hold out, all of that is done without them first; the temperature (if it is
    "auto") and the noise are chosen by how those rows are predicted; then they join in for a second round.

    Args:
        model: With ``num_data`` equal to the rows of ``x``, as it is left.
        hypernetwork: Changed in place.
        x: ``(N, …)``.
        y: ``(N,)``.
        settings: The inference recipe.
        generator: Of every random number drawn here.
        progress: Called with (step, steps) of the start.
        stages: What has been reached of it, and where that is kept; None for nowhere.

    Raises:
        TrainingDiverged: A loss or a gradient stopped being finite.
    """
    stages = Stages() if stages is None else stages
    stages.share(random=RandomState(generator))
    warm, rate = settings.warm_steps_for(len(x)), settings.warm_start.natural_rate
    natural = settings.natural_steps_for(len(x), model.spec.size) if hypernetwork.stored_whole else 0
    held = settings.calibration.rows_for(len(x)) if natural else 0
    asked = settings.kl.temperature
    ladder = TEMPERATURES if held and asked == "auto" else (1.0 if asked == "auto" else asked,)
    warmer, second = round(WARMER_SHARE * natural), round(SECOND_SHARE * natural) if held else 0
    total, before = warm + natural + warmer * (len(ladder) - 1) + second, 0

    def step(number: int) -> None:
        if progress is not None:
            progress(before + number, total)

    def seed() -> int:
        return int(torch.randint(2**31, (), generator=generator, device=generator.device))

    def train(gaussian: NaturalGaussian, name: str, x: Tensor, y: Tensor, steps: int, **rates: float) -> None:
        nonlocal before
        stage = stages.stage(name)
        gaussian.train(x, y, steps=steps, seed=seed(), progress=step, stage=stage, **rates)
        before += steps

    order = torch.randperm(len(x), generator=generator, device=x.device)
    kept = order[held:].sort().values
    x_kept, y_kept, x_held, y_held = x[kept], y[kept], x[order[:held]], y[order[:held]]
    model.num_data = len(kept)
    try:
        batches = Batches(x_kept, y_kept, settings.batch_size, generator)
        stage = partial(stages.stage("mean weights"), batches=batches)
        warm_start(model, hypernetwork, batches, settings, warm, step, stage)
        before += warm
        if not natural:  # nor is there a Gaussian: its D² numbers may be too many
            return Start(ladder[0], steps=total)
        gaussian = NaturalGaussian(model, hypernetwork.mean, temperature=ladder[0])
        train(gaussian, "natural gradients", x_kept, y_kept, natural, rate=rate)
        best, noise = _judge(model, gaussian, x_held, y_held, seed(), before) if held else (0.0, None)
        for temperature in ladder[1:]:
            warm_one = copy.copy(gaussian)
            warm_one.temperature = temperature
            train(warm_one, f"temperature {temperature}", x_kept, y_kept, warmer, rate=rate)
            score, its_noise = _judge(model, warm_one, x_held, y_held, seed(), before)
            if score <= best:
                break
            best, noise, gaussian = score, its_noise, warm_one
    finally:
        model.num_data = len(x)
    if second:
        train(gaussian, "all rows", x, y, second, rate=SECOND_RATE * rate, decay_from=0.0)
    start_from_gaussian(hypernetwork, gaussian, generator)
    return Start(gaussian.temperature, held, noise, total)


def _judge(
    model: BayesianModel, gaussian: NaturalGaussian, x: Tensor, y: Tensor, seed: int, step: int
) -> tuple[float, NoiseLevel | None]:
    """The log predictive density of held-out rows, at their own best noise level if there is one to set."""
    weights = gaussian.draw(DRAWS, seed=seed)
    with torch.no_grad():
        score = model.log_predictive(weights.flatten(0, 1), x, y).sum().item()
    if not math.isfinite(score):
        raise TrainingDiverged("log likelihood", step)
    if model.likelihood.scale_latent is None:
        return score, None
    noise = measure_noise(model, weights, x, y)
    return noise.score, noise
