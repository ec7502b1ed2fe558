"""Monte Carlo dropout (Gal & Ghahramani 2016) in plain torch.

Units are dropped before every layer, the inputs too, in training and in prediction. The prior that all
methods share is the weight decay, ½(1 − rate)‖w‖² in its coordinates (the paper's l² is the prior's
precision), beside the log likelihood of all N rows under a learned noise. The rate and the noise of the
predictions are those with the best log likelihood on held-out tenths of the training rows, two of them for
each rate, all trained in one batched pass; then one network is trained on all rows with them. The number of
steps was doubled once, on held-out training rows of concrete and energy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from bnn import BATCH, LOG_SCALE_DEVIATION, LOG_SCALE_MEAN, function, is_weight, prior_draw, steps_for, widths
from interface import Array, Fit, GaussianMixture, Setup, Standardized
from torch import Tensor

RATES = (0.002, 0.005, 0.01, 0.05, 0.1)  # those of the authors' experiments, and one below
FOLDS = 2
HELD_OUT = 0.1
LEARNING_RATE = 1e-2
HELD_OUT_PASSES = 200
PASSES = 1000
SCALES = torch.logspace(-2.5, 0.3, 57)  # of the noise, in standardised units: 12 % apart


def mc_dropout(X: Any, y: Array, seed: int, setup: Setup, *, steps: int | None = None) -> Fit:
    """Choose the rate and the noise on held-out rows, and train on all of them."""
    data = Standardized(X, y)
    units = widths(data.x.shape[1], setup.hidden)
    generator = torch.Generator().manual_seed(seed)
    steps = steps or steps_for(len(data.x))
    rate, scale = choose(data.x, data.y, units, steps, generator)
    every = torch.arange(len(data.x))[None]
    u = train(data.x, data.y, every, units, torch.tensor([rate]), steps, generator, scale)

    def predictive(X_new: Any) -> GaussianMixture:
        generator = torch.Generator().manual_seed(seed)  # the same draws, however often it is asked
        x = data.encode(X_new)
        draws = passes(u, x[None], units, torch.tensor([rate]), PASSES, generator)
        return data.mixture(draws[:, 0], torch.full((1, 1), scale))

    return Fit(predictive, steps * (1 + FOLDS * len(RATES)))


def choose(
    x: Tensor, y: Tensor, units: tuple[int, ...], steps: int, generator: torch.Generator
) -> tuple[float, float]:
    """The dropout rate and the noise scale of the best mean log likelihood of held-out rows."""
    held_rows = max(1, round(HELD_OUT * len(x)))
    orders = torch.stack([torch.randperm(len(x), generator=generator) for _ in range(FOLDS)])
    orders = orders.repeat(len(RATES), 1)  # every rate sees the same folds
    rates = torch.tensor(RATES).repeat_interleave(FOLDS)
    held, kept = orders[:, :held_rows], orders[:, held_rows:]
    u = train(x, y, kept, units, rates, steps, generator)
    draws = passes(u, x[held], units, rates, HELD_OUT_PASSES, generator)  # (T, G, H)
    scores = torch.stack([mixture_score(draws, y[held], scale) for scale in SCALES], -1)
    scores = scores.reshape(len(RATES), FOLDS, len(SCALES)).mean(1)
    best = int(scores.argmax())
    return RATES[best // len(SCALES)], float(SCALES[best % len(SCALES)])


def mixture_score(draws: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    """Mean over rows of log ¹⁄T Σ_t N(y | f_t, scale²), but for a constant: ``(T, G, H)`` to ``(G,)``."""
    logs = -0.5 * ((y - draws) / scale).square() - scale.log()
    score: Tensor = (torch.logsumexp(logs, 0) - np.log(len(draws))).mean(-1)
    return score


def train(
    x: Tensor,
    y: Tensor,
    rows: Tensor,
    units: tuple[int, ...],
    rates: Tensor,
    steps: int,
    generator: torch.Generator,
    scale: float | None = None,
) -> Tensor:
    """Train G networks at once, each on rows of its own: Adam on mini-batches at a rate that falls to 0.

    Args:
        x: Rows, ``(N, F)``.
        y: Targets, ``(N,)``.
        rows: Row numbers of each network's own rows, ``(G, K)``.
        units: Of the networks.
        rates: Of dropout, ``(G,)``.
        steps: Gradient steps.
        generator: Decides all.
        scale: Of the noise; None learns one for each network.

    Returns:
        Coordinates of the weights, ``(G, D)``.
    """
    count = rows.shape[1]
    u = torch.stack([prior_draw(units, generator) for _ in rates]).requires_grad_()
    log_scale = torch.full((len(rates), 1), -1.0 if scale is None else float(np.log(scale)))
    learned = [u] if scale is not None else [u, log_scale.requires_grad_()]
    decay = torch.where(is_weight(units), 1.0 - rates[:, None], 1.0)
    optimizer = torch.optim.Adam(learned, lr=LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        picked = torch.randint(count, (len(rates), min(BATCH, count)), generator=generator)
        batch = rows.gather(1, picked)
        error = y[batch] - dropped(u, x[batch], units, rates, generator)
        fit = (0.5 * (error * torch.exp(-log_scale)).square() + log_scale).mean(1).sum()
        prior = (decay * u.square()).sum() + (
            (log_scale - LOG_SCALE_MEAN) / LOG_SCALE_DEVIATION
        ).square().sum()
        optimizer.zero_grad()
        (fit + 0.5 * prior / count).backward()
        optimizer.step()
        schedule.step()
    return u.detach()


def dropped(
    u: Tensor, x: Tensor, units: tuple[int, ...], rates: Tensor, generator: torch.Generator
) -> Tensor:
    """One pass with units dropped: of G networks at ``(G, N, F)``, to ``(G, N)``."""
    keep = 1.0 - rates[:, None, None]

    def drop(values: Tensor) -> Tensor:
        shape = torch.broadcast_shapes(values.shape, keep.shape)
        return values * (torch.rand(shape, generator=generator) < keep) / keep

    output: Tensor = function(u, x, units, drop)
    return output


@torch.no_grad()
def passes(
    u: Tensor, x: Tensor, units: tuple[int, ...], rates: Tensor, count: int, generator: torch.Generator
) -> Tensor:
    """Predictions of T passes of G networks, ``(T, G, N)``."""
    return torch.stack([dropped(u, x, units, rates, generator) for _ in range(count)])
