"""Where the posterior is grown from: trained networks, how cold, and the noise they should have expected."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bayeshyper.errors import TrainingDiverged
from bayeshyper.hypernets import Hypernetwork
from bayeshyper.models import BayesianModel

from .natural import NaturalGaussian
from .noise import NoiseLevel, measure_noise
from .projection import start_from_gaussian
from .settings import SVISettings
from .warmstart import warm_start

__all__ = ["Start", "batches", "find_start"]

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
    """

    temperature: float
    rows: int = 0
    noise: NoiseLevel | None = None

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

    Raises:
        TrainingDiverged: A loss or a gradient stopped being finite.
    """
    warm, rate = settings.warm_steps_for(len(x)), settings.warm_start.natural_rate
    natural = settings.natural_steps_for(len(x), model.spec.size) if hypernetwork.stored_whole else 0
    held = settings.calibration.rows_for(len(x)) if natural else 0
    asked = settings.kl.temperature
    ladder = TEMPERATURES if held and asked == "auto" else (1.0 if asked == "auto" else asked,)
    warmer, second = round(WARMER_SHARE * natural), round(SECOND_SHARE * natural) if held else 0
    total, done = warm + natural + warmer * (len(ladder) - 1) + second, 0

    def step(_: int) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    def seed() -> int:
        return int(torch.randint(2**31, (), generator=generator, device=generator.device))

    order = torch.randperm(len(x), generator=generator, device=x.device)
    kept = order[held:].sort().values
    x_kept, y_kept, x_held, y_held = x[kept], y[kept], x[order[:held]], y[order[:held]]
    model.num_data = len(kept)
    try:
        shared = batches(x_kept, y_kept, settings.batch_size, generator)
        warm_start(model, hypernetwork, shared, settings, warm, step)
        if not natural:  # nor is there a Gaussian: its D² numbers may be too many
            return Start(ladder[0])
        gaussian = NaturalGaussian(model, hypernetwork.mean, temperature=ladder[0])
        gaussian.train(x_kept, y_kept, steps=natural, rate=rate, seed=seed(), progress=step)
        best, noise = _judge(model, gaussian, x_held, y_held, seed(), done) if held else (0.0, None)
        for temperature in ladder[1:]:
            warm_one = copy.copy(gaussian)
            warm_one.temperature = temperature
            warm_one.train(x_kept, y_kept, steps=warmer, rate=rate, seed=seed(), progress=step)
            score, its_noise = _judge(model, warm_one, x_held, y_held, seed(), done)
            if score <= best:
                break
            best, noise, gaussian = score, its_noise, warm_one
    finally:
        model.num_data = len(x)
    if second:
        rate *= SECOND_RATE
        gaussian.train(x, y, steps=second, rate=rate, decay_from=0.0, seed=seed(), progress=step)
    start_from_gaussian(hypernetwork, gaussian, generator)
    return Start(gaussian.temperature, held, noise)


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


def batches(x: Tensor, y: Tensor, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless shuffled batches; all rows where one batch holds them."""
    while True:
        if len(x) <= size:
            yield x, y
        else:
            for rows in torch.randperm(len(x), generator=generator, device=x.device).split(size):
                yield x[rows], y[rows]
