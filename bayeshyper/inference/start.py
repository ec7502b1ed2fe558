"""Where the posterior is grown from: trained networks, and the noise they should have expected."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork
from bayeshyper.models import BayesianModel

from .natural import NaturalGaussian
from .noise import NoiseLevel, measure_noise
from .projection import start_from_gaussian
from .settings import SVISettings
from .warmstart import warm_start

__all__ = ["batches", "find_start"]

# The second round, on all rows, moves little: it starts where the first one ended.
SECOND_SHARE = 0.25
SECOND_RATE = 0.3
# Draws of each member that the held-out rows are predicted with.
NOISE_DRAWS = 20


def find_start(
    model: BayesianModel,
    hypernetwork: Hypernetwork,
    x: Tensor,
    y: Tensor,
    settings: SVISettings,
    generator: torch.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> NoiseLevel | None:
    """Train the mean weights, and where asked for the Gaussian around them; the hypernetwork starts there.

    With a share of rows to hold out, all of that is done without them first, the noise is measured on them,
    and then they join in for a second round.

    Args:
        model: With ``num_data`` equal to the rows of ``x``, as it is left.
        hypernetwork: Changed in place.
        x: ``(N, …)``.
        y: ``(N,)``.
        settings: The inference recipe.
        generator: Of every random number drawn here.
        progress: Called with (step, steps) of the start.

    Returns:
        The noise level measured, for the end of the fit; None where none was.

    Raises:
        TrainingDiverged: A loss or a gradient stopped being finite.
    """
    warm, rate = settings.warm_steps_for(len(x)), settings.warm_start.natural_rate
    natural = settings.natural_steps_for(len(x), model.spec.size)
    held = settings.calibration.rows_for(len(x)) if model.likelihood.scale_latent else 0
    second = round(SECOND_SHARE * natural) if held else 0
    total, done = warm + natural + second, 0

    def step(_: int) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    def seed() -> int:
        return int(torch.randint(2**31, (), generator=generator, device=generator.device))

    order = torch.randperm(len(x), generator=generator, device=x.device)
    kept = order[held:] if held else slice(None)
    model.num_data = len(x) - held
    try:
        shared = batches(x[kept], y[kept], settings.batch_size, generator)
        warm_start(model, hypernetwork, shared, settings, warm, step)
        gaussian = NaturalGaussian(
            model, hypernetwork.mean, temperature=settings.temperature_for(model.likelihood)
        )
        gaussian.train(x[kept], y[kept], steps=natural, rate=rate, seed=seed(), progress=step)
        noise = None
        if held:
            weights = (
                gaussian.draw(NOISE_DRAWS, seed=seed())
                if natural
                else hypernetwork.mean.detach().unsqueeze(1)
            )
            noise = measure_noise(model, weights, x[order[:held]], y[order[:held]])
    finally:
        model.num_data = len(x)
    if second:
        gaussian.train(
            x, y, steps=second, rate=SECOND_RATE * rate, decay_from=0.0, seed=seed(), progress=step
        )
    if natural:
        start_from_gaussian(hypernetwork, gaussian, generator)
    return noise


def batches(x: Tensor, y: Tensor, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless shuffled batches; all rows where one batch holds them."""
    while True:
        if len(x) <= size:
            yield x, y
        else:
            for rows in torch.randperm(len(x), generator=generator, device=x.device).split(size):
                yield x[rows], y[rows]
