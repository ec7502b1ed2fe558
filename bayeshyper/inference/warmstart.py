"""A trained network to grow the posterior around: maximum a posteriori for the mean weights alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bayeshyper.errors import TrainingDiverged
from bayeshyper.hypernets import Hypernetwork
from bayeshyper.models import BayesianModel

from .checkpoints import AdamState, Stage, Stateful, every_step
from .clipping import clip_gradients
from .schedule import rate_share
from .settings import SVISettings

__all__ = ["warm_start"]

Batches = Iterator[tuple[Tensor, Tensor]]


def warm_start(
    model: BayesianModel,
    hypernetwork: Hypernetwork,
    batches: Batches,
    settings: SVISettings,
    steps: int,
    progress: Callable[[int], None] | None = None,
    stage: Stage = every_step,
) -> None:
    """Move each member's mean weights μ towards a mode of log p(θ) + (N/B) Σ log p(y | x, θ).

    From random weights, the KL prunes many of a network's units before they have learned anything; from a
    trained network it widens what is there. A step costs a small part of a full one. Where the mean weights
    are frozen it is the head that is trained, at z = 0. What the network has that is trained but not Bayesian
    is trained here too, for all members at once. Latents of the prior's own stay where they are: the joint
    mode of weights and their scale is at a scale of zero.

    Args:
        model: The model.
        hypernetwork: Its ``mean`` is changed in place, or its head where that is frozen; no other part.
        batches: Endless batches of rows.
        settings: The inference recipe.
        steps: How many steps.
        progress: Called after every step with its number.
        stage: Where the numbers of the steps come from.

    Raises:
        TrainingDiverged: The loss or a gradient stopped being finite.
    """
    free = hypernetwork.mean.requires_grad
    trained = [hypernetwork.mean] if free else list(hypernetwork.head.parameters())
    points = [parameter for parameter in model.target.parameters() if parameter.requires_grad]
    held = [model.spec[name].start for name in model.prior_latents]
    optimizer = torch.optim.Adam([*trained, *points], lr=settings.warm_start.learning_rate, fused=True)
    parts: dict[str, Stateful] = {
        "hypernetwork": hypernetwork,
        "target": model.target,
        "optimizer": AdamState(optimizer),
    }
    for step in stage(steps, **parts):
        x, y = next(batches)
        rate = settings.warm_start.learning_rate * rate_share(step, steps, settings.optimizer)
        for group in optimizer.param_groups:
            group["lr"] = rate
        mean = hypernetwork.mean if free else hypernetwork.center()
        if held:
            mean = mean.clone()
            mean[:, held] = hypernetwork.mean[:, held].detach()
        log_likelihood = model.log_likelihood(mean, x, y).sum() * (model.num_data / len(y))
        loss = -(log_likelihood + model.prior().log_prob(mean).sum()) / model.num_data
        if not bool(torch.isfinite(loss)):
            raise TrainingDiverged("log likelihood", step)
        optimizer.zero_grad()
        loss.backward()
        clip_gradients(trained, settings.optimizer.clip, step)
        optimizer.step()
        if progress is not None:
            progress(step)
