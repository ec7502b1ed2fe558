"""A trained network to grow the posterior around: maximum a posteriori for the mean weights alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bayeshyper.errors import TrainingDiverged
from bayeshyper.hypernets import Hypernetwork
from bayeshyper.models import BayesianModel

from .clipping import clip_gradients
from .schedule import learning_rate
from .settings import SVISettings

__all__ = ["warm_start"]

Batches = Iterator[tuple[Tensor, Tensor]]

# Without the posterior's noise to average over, the mean takes smaller steps than it does later.
RATE_SHARE = 0.5


def warm_start(
    model: BayesianModel, hypernetwork: Hypernetwork, batches: Batches, settings: SVISettings, steps: int
) -> None:
    """Move each member's mean weights μ towards a mode of log p(θ) + (N/B) Σ log p(y | x, θ).

    From random weights, the KL prunes many of a network's units before they have learned anything; from a
    trained network it widens what is there. A step costs a small part of a full one.

    Args:
        model: The model.
        hypernetwork: Its ``mean`` is changed in place; nothing else is.
        batches: Endless batches of rows.
        settings: The optimiser's settings.
        steps: How many steps.

    Raises:
        TrainingDiverged: The loss or a gradient stopped being finite.
    """
    mean = hypernetwork.mean
    optimizer = torch.optim.Adam([mean], lr=settings.optimizer.learning_rate, fused=True)
    for step in range(1, steps + 1):
        x, y = next(batches)
        rate = RATE_SHARE * learning_rate(step, steps, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        log_likelihood = model.log_likelihood(mean, x, y).sum() * (model.num_data / len(y))
        loss = -(log_likelihood + model.prior().log_prob(mean).sum()) / model.num_data
        if not bool(torch.isfinite(loss)):
            raise TrainingDiverged("log likelihood", step)
        optimizer.zero_grad()
        loss.backward()
        clip_gradients([mean], settings.optimizer.clip, step)
        optimizer.step()
