"""The training loop: mini-batches, KL annealing, clipping, held-out score, the best state kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from bayeshyper.errors import TrainingDiverged
from bayeshyper.models import BayesianModel

from .guide import ImplicitGuide
from .history import History
from .objective import elbo_terms
from .settings import SVISettings

__all__ = ["Progress", "fit", "take_holdout"]

Progress = Callable[[int, int, float, float | None], None]
"""Called at each look with (step, steps, ELBO per datum, held-out score or None)."""

SCORE_DRAWS = 64


def fit(
    model: BayesianModel,
    guide: ImplicitGuide,
    x: Tensor,
    y: Tensor,
    settings: SVISettings,
    *,
    heldout: tuple[Tensor, Tensor] | None = None,
    seed: int = 0,
    log_unit: float = 0.0,
    progress: Progress | None = None,
) -> History:
    """Fit the guide to the data by stochastic variational inference; the guide is changed in place.

    The loss is Pyro's own (`elbo_terms`); what the loop adds is the schedule. With held-out rows the best
    state by their score is kept, counted only once the KL weight has reached its final value.

    Args:
        model: With ``num_data`` equal to the rows of ``x``; its particles and KL weight are set here.
        guide: Its guide.
        x: ``(N, …)``.
        y: ``(N,)``; standardised, or class indices.
        settings: The inference recipe.
        heldout: Rows that are not trained on.
        seed: Of every random number drawn here: batches and noise.
        log_unit: Log of the target's standard deviation, to give held-out scores in its own units.
        progress: Called at every look.

    Raises:
        TrainingDiverged: A term of the loss or the gradient stopped being finite; the guide is left at
            its last good state.
    """
    started = time.monotonic()
    steps = settings.steps_for(len(x))
    generator = torch.Generator(device=x.device).manual_seed(seed)
    model.particles = settings.particles * guide.hypernetwork.members
    parameters = [p for p in [*guide.parameters(), *model.parameters()] if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=settings.optimizer.learning_rate, fused=True)
    best = _Best(guide, model)
    history = History()
    since_look = 0.0
    guide.generator = generator
    guide.train()
    model.train()
    try:
        batches = _batches(len(x), settings.batch_size, generator)
        for step in range(1, steps + 1):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps, settings)
            model.kl_weight = kl_weight(step, steps, settings)
            rows = next(batches)
            batch = (x, y) if rows is None else (x[rows], y[rows])
            terms = elbo_terms(model, guide, *batch)
            terms.check(step)
            optimizer.zero_grad()
            (terms.loss / model.num_data).backward()
            clip_gradients(guide.hypernetwork, settings.optimizer.clip, step)
            optimizer.step()
            since_look += terms.elbo() / model.num_data
            look = settings.stopping.evaluate_every
            if step % look and step != steps:
                continue
            history.steps.append(step)
            history.elbo_per_datum.append(since_look / (step % look or look))
            since_look = 0.0
            score = None
            annealed = step >= settings.kl.anneal * steps
            if heldout is not None:
                score = heldout_score(model, guide, *heldout) - log_unit
                history.heldout_score.append(score)
            best.consider(step, score if annealed else None)
            if progress is not None:
                progress(step, steps, history.elbo_per_datum[-1], score)
            if annealed and best.looks_since >= settings.stopping.patience:
                history.stopped_early = True
                break
    finally:
        history.best_step = best.restore()
        history.seconds = time.monotonic() - started
        guide.generator = None
        guide.eval()
        model.eval()
        model.particles = None
        model.kl_weight = 1.0
    return history


def learning_rate(step: int, steps: int, settings: SVISettings) -> float:
    """Linear warm-up, then a cosine from the highest rate to ``final`` times it."""
    optimizer = settings.optimizer
    warmup = min(optimizer.warmup, steps // 10)
    if step <= warmup:
        return optimizer.learning_rate * step / warmup
    progress = (step - warmup) / max(steps - warmup, 1)
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return optimizer.learning_rate * (optimizer.final + (1.0 - optimizer.final) * cosine)


def kl_weight(step: int, steps: int, settings: SVISettings) -> float:
    """Rises linearly to the temperature over the annealing, then stays; never 0."""
    anneal = settings.kl.anneal * steps
    return settings.kl.temperature * (min(step / anneal, 1.0) if anneal > 0 else 1.0)


def clip_gradients(hypernetwork: nn.Module, limit: float, step: int) -> None:
    """Scale each member's gradient to a norm of at most ``limit``.

    Members share no parameter (all have a leading index M), so each has a norm of its own: clipping them
    together would make one member's step depend on another's.

    Raises:
        TrainingDiverged: A gradient is not finite.
    """
    gradients = [p.grad for p in hypernetwork.parameters() if p.grad is not None]
    squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients if g.numel()])
    norms = squares.sum(0).sqrt()
    if not bool(torch.isfinite(norms).all()):
        raise TrainingDiverged("gradient", step)
    if limit > 0 and bool((norms > limit).any()):
        factors = (limit / norms).clamp_max(1.0)
        for gradient in gradients:
            gradient.mul_(factors.reshape(-1, *[1] * (gradient.dim() - 1)))


@torch.no_grad()
def heldout_score(model: BayesianModel, guide: ImplicitGuide, x: Tensor, y: Tensor) -> float:
    """Mean log predictive density of held-out rows, from a fixed number of weight draws."""
    model.eval()
    weights = guide.hypernetwork.sample(SCORE_DRAWS, generator=guide.generator)
    scores = [
        model.log_predictive(weights, part_x, part_y)
        for part_x, part_y in zip(x.split(1024), y.split(1024), strict=True)
    ]
    model.train()
    return torch.cat(scores).mean().item()


class _Best:
    """The last good state, or with a held-out score the best one."""

    def __init__(self, *modules: nn.Module) -> None:
        self.modules = modules
        self.score: float | None = None
        self.looks_since = 0
        self._keep(0)

    def _keep(self, step: int) -> None:
        self.step = step
        self.states = [
            {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
            for module in self.modules
        ]

    def consider(self, step: int, score: float | None) -> None:
        """Keep the state unless an earlier one scored better; without a score the latest is the best."""
        if score is None or self.score is None or score > self.score:
            self._keep(step)
            self.score = score
            self.looks_since = 0
        else:
            self.looks_since += 1

    def restore(self) -> int:
        """Put the kept state back; returns its step."""
        for module, state in zip(self.modules, self.states, strict=True):
            module.load_state_dict(state)
        return self.step


def _batches(rows: int, size: int, generator: torch.Generator) -> Iterator[Tensor | None]:
    """Endless shuffled batches of row indices; None stands for all rows where one batch holds them."""
    while True:
        if rows <= size:
            yield None
        else:
            order = torch.randperm(rows, generator=generator, device=generator.device)
            yield from order.split(size)


def take_holdout(
    rows: int, settings: SVISettings, generator: torch.Generator
) -> tuple[Tensor, Tensor] | None:
    """Indices of training and held-out rows, or None where the table is too small to give any away."""
    stopping = settings.stopping
    held = min(int(stopping.holdout * rows), 5000)
    if rows < stopping.holdout_from or held < 1:
        return None
    order = torch.randperm(rows, generator=generator)
    return order[held:].sort().values, order[:held].sort().values
