"""A fit that was ended goes on from its checkpoint, and comes to the bits of one that never was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bayeshyper.errors import CheckpointError, TrainingDiverged
from bayeshyper.inference import (
    ENTROPIES,
    CalibrationSettings,
    Checkpoint,
    History,
    ImplicitGuide,
    KLSettings,
    OptimizerSettings,
    StoppingSettings,
    SVISettings,
    WarmStartSettings,
    fit,
)
from bayeshyper.inference import start as start_module
from bayeshyper.models import PRIORS, BayesianModel, Prior
from tests.inference.toys import same_bits, small_problem, state_of

USUAL = SVISettings(
    particles=2,
    members=2,
    batch_size=10,
    warm_start=WarmStartSettings(steps=3, natural_steps=8),
    calibration=CalibrationSettings(holdout=0.25, least=6),
    optimizer=OptimizerSettings(learning_rate=1e-2, steps=10),
    kl=KLSettings(temperature="auto", anneal=0.3),
    stopping=StoppingSettings(evaluate_every=3, patience=2),
)
RECIPES = {
    "a start by natural gradients": USUAL,
    "a start without": replace(
        USUAL, warm_start=WarmStartSettings(steps=4), calibration=CalibrationSettings(), kl=KLSettings()
    ),
    "all rows at once": replace(USUAL, batch_size=100),
    "no mean weights first": replace(USUAL, warm_start=WarmStartSettings(steps=0, natural_steps=4)),
    **{
        f"the entropy {name}": replace(USUAL, entropy=name, particles=4, local_reparameterization=False)
        for name in ENTROPIES
        if name != "linearized"
    },
}

Fitted = tuple[History, list[Tensor]]


class Ended(Exception):
    """Stands for whatever ends a process."""


def fitted(
    settings: SVISettings,
    *,
    seed: int = 0,
    heldout: bool = True,
    ended_at: int | None = None,
    checkpoint: Checkpoint | None = None,
    shift: float = 0.0,
    prior: Prior | None = None,
) -> Fitted:
    """A fit as a new process makes it, ended before a step where asked for: its history and its bits."""
    torch.manual_seed(5)
    model, guide, x, y = small_problem(members=2, prior=prior)
    entropy = ENTROPIES[settings.entropy](guide.hypernetwork)
    guide = ImplicitGuide(model, guide.hypernetwork, entropy=entropy, local=settings.local_reparameterization)
    held = (x[:5], y[:5]) if heldout else None
    progress = None if ended_at is None else ends_at(ended_at, model)
    history = fit(
        model,
        guide,
        x,
        y + shift,
        settings,
        heldout=held,
        seed=seed,
        progress=progress,
        checkpoint=checkpoint,
    )
    return replace(history, seconds=0.0), state_of(guide, model)


def fitted_in_parts(settings: SVISettings, path: Path, prior: Prior | None = None) -> Fitted:
    """The same, ended over and over."""
    checkpoint = Checkpoint(path, steps=1)
    for step in (1, 2, 4, 6, 9, 12, 13, 15, 17, 20, 23):
        try:
            fitted(settings, prior=prior, checkpoint=checkpoint, ended_at=step)
        except Ended:
            continue
    return fitted(settings, prior=prior, checkpoint=checkpoint)


def ends_at(step: int, model: BayesianModel) -> Callable[..., None]:
    def progress(at: int, *_: object) -> None:
        if at >= step:
            raise Ended

    return progress


def same(one: Fitted, other: Fitted) -> bool:
    return one[0] == other[0] and same_bits(one[1], other[1])


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_fit_that_is_ended_over_and_over_comes_to_the_same_bits(recipe: str, tmp_path: Path) -> None:
    settings, whole = RECIPES[recipe], fitted(RECIPES[recipe])
    assert same(fitted_in_parts(settings, tmp_path / "fit"), whole)
    # And once more, now that all of it is done.
    assert same(fitted(settings, checkpoint=Checkpoint(tmp_path / "fit", steps=1)), whole)


@pytest.mark.parametrize("prior", PRIORS)
def test_so_it_is_with_each_prior(prior: str, tmp_path: Path) -> None:
    settings = RECIPES["a start without"]
    whole = fitted(settings, prior=PRIORS[prior]())
    assert same(fitted_in_parts(settings, tmp_path / "fit", PRIORS[prior]()), whole)


@pytest.mark.parametrize(("scores", "every"), [([0.0, -1.0], 1), ([0.0, 1.0, 2.0], 1), ([0.0, 1.0, 2.0], 4)])
def test_each_step_is_one_to_go_on_from(
    scores: list[float], every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(*_: object) -> tuple[float, None]:
        return next(left), None

    monkeypatch.setattr(start_module, "_judge", judge)
    left = iter(scores)
    whole = fitted(USUAL, heldout=False)
    for step in range(1, 30):
        checkpoint = Checkpoint(tmp_path / f"fit {step}", steps=every)
        left = iter(scores)
        try:
            fitted(USUAL, heldout=False, checkpoint=checkpoint, ended_at=step)
        except Ended:
            left = iter(scores)
            assert same(fitted(USUAL, heldout=False, checkpoint=checkpoint), whole), step


def test_a_checkpoint_changes_nothing(tmp_path: Path) -> None:
    for checkpoint in (Checkpoint(tmp_path / "by steps", steps=3), Checkpoint(tmp_path / "by time", 1e-9)):
        assert same(fitted(USUAL, checkpoint=checkpoint), fitted(USUAL))
    assert not (tmp_path / "rare").exists()
    fitted(USUAL, checkpoint=Checkpoint(tmp_path / "rare", seconds=1e9))
    assert not (tmp_path / "rare").exists()


@pytest.mark.parametrize("early", [False, True])
def test_what_a_fit_came_to_is_kept_and_no_step_is_taken_twice(early: bool, tmp_path: Path) -> None:
    stopping = StoppingSettings(evaluate_every=1, patience=1 if early else 100)
    settings = replace(USUAL, stopping=stopping, optimizer=OptimizerSettings(learning_rate=0.3, steps=31))
    checkpoint = Checkpoint(tmp_path / "fit", steps=4)
    whole = fitted(settings, checkpoint=checkpoint)
    assert whole[0].stopped_early == early
    assert same(fitted(settings, checkpoint=checkpoint, ended_at=1), whole)


def test_time_that_was_lost_is_not_counted_and_time_that_was_used_is(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "fit", steps=1)
    with pytest.raises(Ended):
        fitted(USUAL, checkpoint=checkpoint, ended_at=20)
    kept = checkpoint.read(checkpoint_identity(checkpoint))["seconds"]
    torch.manual_seed(5)
    model, guide, x, y = small_problem(members=2)
    history = fit(model, guide, x, y, USUAL, heldout=(x[:5], y[:5]), checkpoint=checkpoint)
    assert kept > 0.0
    assert history.seconds > kept


def checkpoint_identity(checkpoint: Checkpoint) -> dict[str, str]:
    from bayeshyper.container import read_container

    _, record, _ = read_container(checkpoint.files[0], "checkpoint", 1)
    return dict(record["fit"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "another seed"),
        ({"shift": 1e-6}, "other data"),
        ({"heldout": False}, "other data"),
        ({"settings": replace(USUAL, particles=3)}, "other settings"),
        ({"settings": replace(USUAL, entropy="stein"), "seed": 1}, "other settings"),
    ],
)
def test_the_checkpoint_of_another_fit_is_refused_and_kept(
    change: dict[str, object], words: str, tmp_path: Path
) -> None:
    checkpoint = Checkpoint(tmp_path / "fit", steps=1)
    with pytest.raises(Ended):
        fitted(USUAL, checkpoint=checkpoint, ended_at=15)
    before = [file.read_bytes() for file in checkpoint.files]
    arguments: dict[str, object] = {"settings": USUAL, **change}
    with pytest.raises(CheckpointError, match=words):
        fitted(**arguments, checkpoint=checkpoint)  # type: ignore[arg-type]
    assert [file.read_bytes() for file in checkpoint.files] == before
    replaced = fitted(**arguments, checkpoint=replace(checkpoint, replace=True))  # type: ignore[arg-type]
    assert same(replaced, fitted(**arguments))  # type: ignore[arg-type]


def test_a_fit_that_diverges_diverges_again(tmp_path: Path) -> None:
    wild = replace(USUAL, optimizer=OptimizerSettings(learning_rate=1e18, steps=10, clip=0.0))
    raised = []
    for checkpoint in (None, Checkpoint(tmp_path / "fit", steps=1)):
        for _ in range(2):
            with pytest.raises(TrainingDiverged) as caught:
                fitted(wild, checkpoint=checkpoint)
            raised.append(str(caught.value))
    assert len(set(raised)) == 1
