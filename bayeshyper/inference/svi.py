"""The training loop: mini-batches, KL annealing, clipping, held-out score, the best state kept."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bayeshyper.errors import NotConvergedWarning, TrainingDiverged, warn
from bayeshyper.models import BayesianModel
from bayeshyper.threads import seeded
from bayeshyper.version import __version__

from .batches import Batches
from .checkpoints import AdamState, Checkpoint, RandomState, Stages, Stateful, digest
from .clipping import clip_gradients
from .guide import ImplicitGuide
from .heldout import warn_of_few_held_out
from .history import History
from .improvement import unfinished
from .looks import Looks
from .objectives import Objective, Terms
from .roots import counted
from .schedule import kl_weight, rate_share
from .settings import SVISettings
from .start import Start, find_start

__all__ = ["Progress", "fit", "take_holdout"]

Progress = Callable[[int, int, float | None, float | None], None]
"""Called with (step, steps, objective per datum, held-out score), counting the start's steps too.

There is no objective before the posterior is grown, and no score where no rows are held out: None.
"""

SCORE_DRAWS = 64
# A shorter memory for the squared gradient than Adam's usual 0.999: its scale falls as the fit improves.
BETAS = (0.9, 0.99)


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
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
) -> History:
    """Fit the guide to the data by stochastic variational inference; the guide is changed in place.

    First the mean weights alone are trained (`find_start`), then the posterior is grown around them. The loss
    is Pyro's own (`elbo_terms`), or that of another of `OBJECTIVES`; what the loop adds is the schedule. With
    held-out rows the best state by their score is kept, counted only once the KL weight has reached its final
    value. Where the recipe has the noise measured, it is set at the end. Warns with `NotConvergedWarning` if
    the fit was still clearly improving (`unfinished`).

    Args:
        model: With ``num_data`` equal to the rows of ``x``; its particles and KL weight are set here.
        guide: Its guide.
        x: ``(N, …)``.
        y: ``(N,)``; standardised, or class indices.
        settings: The inference recipe.
        heldout: Rows that are not trained on.
        seed: Of every random number drawn here: batches and noise.
        log_unit: Log of the target's standard deviation, to give held-out scores in its own units.
        progress: Called at every step of the start, and at every look.
        checkpoint: Where the state is kept while it runs, for the same fit to go on from; a path or a
            `Checkpoint`. The file stays when it is done.

    Raises:
        CheckpointError: The checkpoint is of another fit.
        DataError: A target that the likelihood does not allow.
        TrainingDiverged: A term of the loss or the gradient stopped being finite; the guide is left at
            its last good state.
    """
    model.likelihood.check_target(y)
    kept = Checkpoint.at(checkpoint)
    told = {} if kept is None else _identity(model, guide, (x, y, heldout), (settings, log_unit), seed)
    with Stages(kept, told) as stages, counted() as recoveries:
        stages.share(recoveries=recoveries)
        history = _fit(model, guide, x, y, settings, heldout, seed, log_unit, progress, stages)
    return replace(history, recovered=recoveries.count)


def _fit(
    model: BayesianModel,
    guide: ImplicitGuide,
    x: Tensor,
    y: Tensor,
    settings: SVISettings,
    heldout: tuple[Tensor, Tensor] | None,
    seed: int,
    log_unit: float,
    progress: Progress | None,
    stages: Stages,
) -> History:
    """See `fit`."""
    steps = settings.steps_for(len(x))
    hypernetwork = guide.hypernetwork
    generator = torch.Generator(device=x.device).manual_seed(seed)
    stages.share(random=RandomState(generator))
    guide.generator = generator
    guide.train()
    model.target.set_statistics(x)
    model.particles = settings.particles * hypernetwork.members
    objective = settings.make_objective()
    history, looks = History(objective=objective.label, entropy=settings.entropy), Looks(guide, model)
    start = Start(1.0)

    def starting(step: int, start_steps: int) -> None:
        if progress is not None:
            progress(step, start_steps + steps, None, None)

    place = model.spec[model.likelihood.scale_latent].slice if model.likelihood.scale_latent else slice(0)
    scales = range(model.spec.size)[place]

    def find() -> dict[str, Any]:
        found = find_start(model, hypernetwork, x, y, settings, generator, starting, stages)
        return found.state_dict()

    try:
        start = stages.once(
            "start", find, partial(Start.from_state, scales=hypernetwork.members * len(scales))
        )
        history.start, history.start_steps = start.to_dict(), start.steps
        batches = Batches(x, y, settings.batch_size, generator)
        looks.keep()
        optimizer = torch.optim.Adam(_parameter_groups(model, guide, settings), betas=BETAS, fused=True)
        parts: dict[str, Stateful] = {
            "guide": guide,
            "model": model,
            "optimizer": AdamState(optimizer),
            "batches": batches,
            "history": history,
            "looks": looks,
        }
        if (of_entropy := getattr(guide.entropy, "optimizer", None)) is not None:
            parts["optimizer of the entropy"] = AdamState(of_entropy)
        for step in stages.stage("posterior")(steps, **parts):
            rate = settings.optimizer.learning_rate * rate_share(step, steps, settings.optimizer)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
            model.kl_weight = kl_weight(step, steps, settings.kl, start.temperature)
            optimizer.zero_grad()  # before the draw, which then has their memory
            terms = checked_terms(objective, model, guide, *next(batches), step=step)
            looks.confirm()
            # Per datum and member: the plate averages over members, whose gradients are clipped one by one.
            (terms.loss * (hypernetwork.members / model.num_data)).backward()
            clip_gradients(guide.parameters(), settings.optimizer.clip, step)
            optimizer.step()
            looks.values.append(terms.value() / model.num_data)
            looks.fits.append(terms.log_likelihood.detach().mean().item() / model.num_data)
            if 10 * step // steps > 10 * (step - 1) // steps:
                history.log_likelihood.append(looks.mean_fit())
            if step % settings.stopping.evaluate_every and step != steps:
                continue
            history.steps.append(step)
            history.elbo_per_datum.append(looks.mean_value())
            score = None
            annealed = step >= settings.kl.anneal * steps
            if heldout is not None:
                score = heldout_score(model, guide, *heldout) - log_unit
                if not math.isfinite(score):  # no later score would beat it
                    raise TrainingDiverged("log likelihood", step)
                history.heldout_score.append(score)
            looks.propose(step, score if annealed else None)
            if progress is not None:
                progress(start.steps + step, start.steps + steps, history.elbo_per_datum[-1], score)
            if annealed and looks.since_best >= settings.stopping.patience:
                history.stopped_early = True
                break
        model.kl_weight = kl_weight(history.steps[-1], steps, settings.kl, start.temperature)
        with torch.no_grad():  # the last state, too, is kept only once its loss has been seen to be finite
            checked_terms(objective, model, guide, *next(batches), step=history.steps[-1])
        looks.confirm()
    finally:
        history.best_step = looks.restore()
        if start.noise is not None:
            start.noise.set_in(hypernetwork, *scales)
        history.seconds = stages.seconds
        guide.generator = None
        guide.eval()
        model.eval()
        model.particles = None
        model.kl_weight = 1.0
    warn_of_few_held_out(start.rows, "calibration.holdout", "choose temperature and noise")
    warn_of_few_held_out(0 if heldout is None else len(heldout[0]), "stopping.holdout", "end the fit by")
    # Weights that are trained without a prior follow their rows for ever, and predict the worse for it.
    free = any(parameter.requires_grad for parameter in model.target.parameters())
    if not free and (doubt := unfinished(history)):
        warn(NotConvergedWarning, doubt)
    return history


def _identity(
    model: BayesianModel, guide: ImplicitGuide, data: Any, settings: tuple[SVISettings, float], seed: int
) -> dict[str, str]:
    """What tells a fit from others, before it has begun."""
    parts = (repr(model.target.network), repr(model.likelihood), repr(model.prior))
    with torch.no_grad(), seeded(0):  # a network may draw random numbers
        outputs = model.outputs(guide.hypernetwork.mean, data[0][:8])  # two may differ in a number alone
    return {
        "version": f"bayeshyper {__version__}, torch {torch.__version__}, {torch.get_default_dtype()}",
        "data": digest(data),
        "settings": digest((asdict(settings[0]), settings[1])),
        "model": digest((parts, outputs, model.state_dict(), guide.state_dict())),
        "seed": str(seed),
    }


def _parameter_groups(
    model: BayesianModel, guide: ImplicitGuide, settings: SVISettings
) -> list[dict[str, Any]]:
    """The head learns more slowly: at the mean's rate, its first steps undo what the mean has learned."""
    head = list(guide.hypernetwork.head.parameters())
    of_head = {id(parameter) for parameter in head}
    others = [
        p for p in [*guide.parameters(), *model.parameters()] if id(p) not in of_head and p.requires_grad
    ]
    return [
        {"params": others, "share": 1.0},
        {"params": head, "share": settings.optimizer.head_rate},
    ]


def checked_terms(
    objective: Objective, model: BayesianModel, guide: ImplicitGuide, x: Tensor, y: Tensor, *, step: int
) -> Terms:
    """The objective's terms, all of them finite.

    Raises:
        TrainingDiverged: One is not, or the network's outputs no longer are and a distribution refused them.
    """
    try:
        terms = objective.terms(model, guide, x, y)
    except ValueError as error:
        outputs = model.outputs(guide.hypernetwork.sample(SCORE_DRAWS, generator=guide.generator), x)
        if bool(torch.isfinite(outputs).all()):
            raise  # a mistake of another kind
        raise TrainingDiverged("log likelihood", step) from error
    terms.check(step)
    return terms


@torch.no_grad()
def heldout_score(model: BayesianModel, guide: ImplicitGuide, x: Tensor, y: Tensor) -> float:
    """Mean log predictive density of held-out rows, from a fixed number of weight draws."""
    weights = guide.hypernetwork.sample(SCORE_DRAWS, generator=guide.generator)
    scores = [
        model.log_predictive(weights, part_x, part_y)
        for part_x, part_y in zip(x.split(1024), y.split(1024), strict=True)
    ]
    return torch.cat(scores).mean().item()


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
