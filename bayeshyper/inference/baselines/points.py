"""Networks trained as points: by maximum a posteriori, or as an ensemble by maximum likelihood."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from bayeshyper.errors import TrainingDiverged
from bayeshyper.inference.batches import Batches
from bayeshyper.inference.clipping import clip_gradients
from bayeshyper.inference.history import History
from bayeshyper.inference.schedule import rate_share
from bayeshyper.inference.settings import SVISettings
from bayeshyper.inference.svi import Progress
from bayeshyper.models import BayesianModel

__all__ = ["RowScores", "hold_out", "steps_for", "train_points", "with_unit_noise"]

RowScores = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From weights ``(M, D)`` and a batch ``x (B, …)``, ``y (B,)`` to each row's log likelihood, ``(M, B)``."""

# What "auto" steps are: this many passes over the rows, in bounds.
EPOCHS, LEAST_STEPS, MOST_STEPS = 200, 3000, 10_000


def steps_for(rows: int, settings: SVISettings) -> int:
    """The number of steps for a table of N rows, as the settings say or by its size.

    Example:
        >>> steps_for(500, SVISettings()), steps_for(10**6, SVISettings())
        (3000, 10000)
    """
    if settings.optimizer.steps != "auto":
        return settings.optimizer.steps
    return min(max(EPOCHS * rows // settings.batch_size, LEAST_STEPS), MOST_STEPS)


def with_unit_noise(model: BayesianModel, weights: Tensor) -> Tensor:
    """Weight vectors ``(M, D)`` to start at, whose noise level is 1 where the likelihood has one.

    A network fits the noise while a level that starts too low still rises; one that starts high falls as fast
    as the network learns (an ensemble on the diabetes table: -5.49 nats per row instead of -5.75).
    """
    starts = weights.clone()
    if model.likelihood.scale_latent is not None:
        starts[:, model.spec[model.likelihood.scale_latent].slice] = 0.0
    return starts


def hold_out(rows: int, members: int, settings: SVISettings, seed: int) -> Tensor | None:
    """Which rows each of M members holds out for its own early stopping, ``(M, N)``; None for none."""
    held = min(round(settings.stopping.holdout * rows), 5000)
    if held < 1 or rows < settings.stopping.holdout_from:
        return None
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(members, rows, dtype=torch.bool)
    for row in mask:
        row[torch.randperm(rows, generator=generator)[:held]] = True
    return mask


def train_points(
    model: BayesianModel,
    weights: Tensor,
    x: Tensor,
    y: Tensor,
    settings: SVISettings,
    *,
    seed: int,
    steps: int | None = None,
    heldout: Tensor | None = None,
    fixed: tuple[str, ...] = (),
    prior: bool = True,
    scores: RowScores | None = None,
    log_unit: float = 0.0,
    progress: Progress | None = None,
) -> tuple[Tensor, History]:
    """Climb log p(θ) + Σ_n log p(y_n | x_n, θ) from M weight vectors at once, by Adam on mini-batches.

    Members share the batches' order; the rows that one of them holds out have no weight in its sum, and the
    state that predicts them best is the one that it keeps. Latents of the prior's own stay where they are:
    the joint mode of weights and their scale is at a scale of zero.

    Args:
        model: The model.
        weights: Where each member starts, ``(M, D)``.
        x: ``(N, …)``.
        y: ``(N, …)``; standardised, or class indices.
        settings: Its optimizer, batch size and stopping.
        seed: Of the batches.
        steps: How many; None as `steps_for` says.
        heldout: Which rows each member holds out, ``(M, N)``; None keeps the last state.
        fixed: Names of tensors that are not trained.
        prior: Whether log p(θ) is in the sum; without it, it is maximum likelihood.
        scores: The log likelihood that is climbed, where it is not the model's own.
        log_unit: Log of the target's standard deviation, to give held-out scores in its own units.
        progress: Called at every look.

    Returns:
        The kept weights ``(M, D)``, and the record; its ``best_step`` is the latest of the members'.

    Raises:
        TrainingDiverged: The log joint or its gradient stopped being finite.
    """
    started = time.monotonic()
    steps = steps_for(len(x), settings) if steps is None else steps
    row_scores = model.log_likelihood if scores is None else scores
    kept = None if heldout is None else (~heldout).to(x.dtype)
    free = torch.ones(weights.shape[1])
    for name in (*fixed, *model.prior_latents):
        free[model.spec[name].slice] = 0.0
    weights = weights.clone().requires_grad_()
    looks = _Looks(weights, log_unit)
    optimizer = torch.optim.Adam([weights], lr=settings.optimizer.learning_rate, fused=True)
    index = torch.arange(len(x))
    shared = Batches(index, index, settings.batch_size, torch.Generator().manual_seed(seed))
    history = History(objective="log joint density" if prior else "log likelihood", entropy="none")
    since_look: list[float] = []
    for step in range(1, steps + 1):
        rows, _ = next(shared)
        for group in optimizer.param_groups:
            group["lr"] = settings.optimizer.learning_rate * rate_share(step, steps, settings.optimizer)
        fit = row_scores(weights, x[rows], y[rows])
        if kept is not None:
            fit = fit * kept[:, rows]
        joint = fit.mean(1)
        if prior:
            joint = joint + model.prior().log_prob(weights) / len(x)
        value = joint.mean().item()
        if not math.isfinite(value):
            raise TrainingDiverged("log likelihood", step)
        optimizer.zero_grad()
        (-joint.sum()).backward()
        assert weights.grad is not None
        weights.grad.mul_(free)
        clip_gradients([weights], settings.optimizer.clip, step)
        optimizer.step()
        since_look.append(value)
        if step % settings.stopping.evaluate_every and step != steps:
            continue
        history.steps.append(step)
        history.elbo_per_datum.append(math.fsum(since_look) / len(since_look))
        since_look.clear()
        score = None
        if heldout is not None:
            score = looks.propose(step, model, x, y, heldout)
            history.heldout_score.append(score)
        if progress is not None:
            progress(step, steps, history.elbo_per_datum[-1], score)
        if looks.stalled >= settings.stopping.patience:
            history.stopped_early = step < steps
            break
    final = weights.detach() if heldout is None else looks.best
    history.best_step = history.steps[-1] if heldout is None else int(looks.steps.max())
    history.seconds = time.monotonic() - started
    return final, history


class _Looks:
    """Each member's best state so far, by the log likelihood of the rows that it holds out."""

    def __init__(self, weights: Tensor, log_unit: float) -> None:
        self.weights, self.log_unit = weights, log_unit
        self.best = weights.detach().clone()
        self.scores = torch.full((len(weights),), -math.inf)
        self.steps = torch.zeros(len(weights), dtype=torch.long)
        self._since = torch.zeros(len(weights), dtype=torch.long)

    @property
    def stalled(self) -> int:
        """For how many looks no member has done better."""
        return int(self._since.min())

    @torch.no_grad()
    def propose(self, step: int, model: BayesianModel, x: Tensor, y: Tensor, heldout: Tensor) -> float:
        """Keep the states that are better than before; returns the mean of the present scores."""
        rows = heldout.any(0).nonzero()[:, 0]
        held = heldout[:, rows].to(x.dtype)
        parts = [model.log_likelihood(self.weights, x[some], y[some]) for some in rows.split(1024)]
        scores = (torch.cat(parts, dim=1) * held).sum(1) / held.sum(1)
        better = scores > self.scores
        self.scores = torch.where(better, scores, self.scores)
        self.steps = torch.where(better, step, self.steps)
        self.best = torch.where(better[:, None], self.weights.detach(), self.best)
        self._since = torch.where(better, 0, self._since + 1)
        return scores.mean().item() - self.log_unit
