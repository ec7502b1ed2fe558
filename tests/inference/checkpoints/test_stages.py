from __future__ import annotations

import errno
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bayeshyper import files
from bayeshyper.errors import CheckpointWarning
from bayeshyper.inference import Checkpoint
from bayeshyper.inference.checkpoints import Stages, every_step

pytestmark = pytest.mark.usefixtures("ctrl_c")


class Sum:
    """Of the numbers of all steps."""

    def __init__(self) -> None:
        self.total = torch.zeros(())

    def state_dict(self) -> dict[str, Tensor]:
        return {"total": self.total}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.total = state["total"]


def run(stages: Stages, *, until: int = 99, totals: tuple[int, int] = (4, 6)) -> tuple[list[int], float]:
    """Two loops with a result between them: the steps that were taken, and the sum of all."""
    steps, part = [], Sum()

    def loop(name: str, total: int, first: int) -> None:
        for step in stages.stage(name)(total, part=part):
            if len(steps) == until:
                break
            part.total = part.total + step
            steps.append(first + step)

    def middle() -> float:
        loop("first", totals[0], 0)
        return 2.0 * part.total.item()

    part.total = torch.tensor(stages.once("middle", middle))
    loop("second", totals[1], 10)
    return steps, part.total.item()


WHOLE = run(Stages())


def test_without_a_checkpoint_all_steps_are_taken() -> None:
    assert WHOLE == ([1, 2, 3, 4, 11, 12, 13, 14, 15, 16], 2.0 * 10 + 21)
    assert list(every_step(3)) == list(Stages().stage("any")(3)) == [1, 2, 3]


@pytest.mark.parametrize("every", [1, 2, 3])
def test_steps_are_taken_again_from_the_last_one_kept(every: int, tmp_path: Path) -> None:
    for until in (1, 3, 5, 6, 7, 9):
        checkpoint = Checkpoint(tmp_path / f"{until}", steps=every)
        run(Stages(checkpoint), until=until)
        steps, total = run(Stages(checkpoint))
        first = until // every * every if until < 4 else 4 + (until - 4) // every * every
        # Of the first loop nothing is in a file before the second one writes.
        kept = first if until < 4 or first > 4 else 4 // every * every
        assert steps == WHOLE[0][kept:]
        assert total == WHOLE[1]


def test_a_part_that_changes_after_its_loop_does_not_change_what_is_kept(tmp_path: Path) -> None:
    checkpoint, part = Checkpoint(tmp_path / "fit", steps=1), Sum()
    stages = Stages(checkpoint)
    for step in stages.stage("first")(3, part=part):
        part.total += step  # in place
    part.total += 100.0
    for _ in stages.stage("second")(2, part=Sum()):
        pass
    again = Sum()
    assert list(Stages(checkpoint).stage("first")(3, part=again)) == []
    assert again.total.item() == 6.0


def test_by_time_only_what_is_due_is_written(tmp_path: Path) -> None:
    run(Stages(Checkpoint(tmp_path / "rare", seconds=1e9)))
    assert list(tmp_path.iterdir()) == []
    run(Stages(Checkpoint(tmp_path / "often", seconds=1e-9)))
    assert (tmp_path / "often").exists()


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_ends_the_fit_after_its_step_with_all_of_it_kept(
    number: signal.Signals,
    raised: type[BaseException],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint, done = Checkpoint(tmp_path / "fit"), []

    def work() -> None:
        with Stages(checkpoint) as stages:
            for step in stages.stage("first")(5, part=Sum()):
                if step == 3:
                    signal.raise_signal(number)
                done.append(step)

    before = signal.getsignal(number)
    with pytest.raises(raised) as caught:
        work()
    assert done == [1, 2, 3]
    assert signal.getsignal(number) is before
    assert list(Stages(checkpoint).stage("first")(5, part=Sum())) == [4, 5]
    said = str(caught.value) if number == signal.SIGINT else capsys.readouterr().err
    assert said.startswith(
        f"Stopped by {number.name} after step 3 of 5 (first). Its state is in {tmp_path}/fit"
    )
    assert isinstance(caught.value, KeyboardInterrupt) or caught.value.code == 143


def test_what_a_block_reached_is_kept_where_there_is_a_state_already(tmp_path: Path) -> None:
    def work(checkpoint: Checkpoint, until: int = 99) -> list[int]:
        done = []
        with Stages(checkpoint) as stages:
            for step in stages.stage("first")(5, part=Sum()):
                done.append(step)
                if step == until:
                    break
        return done

    rare, often = Checkpoint(tmp_path / "rare"), Checkpoint(tmp_path / "often", steps=2)
    assert work(rare) == work(rare) == [1, 2, 3, 4, 5]
    assert list(tmp_path.iterdir()) == []
    assert work(often, until=3) == [1, 2, 3]
    assert work(often) == []
    before = often.files[0].stat().st_mtime_ns
    assert work(often) == []
    assert often.files[0].stat().st_mtime_ns == before


def test_a_signal_after_the_last_step_keeps_what_was_reached(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "rare")

    def work() -> None:
        with Stages(checkpoint) as stages:
            list(stages.stage("first")(5, part=Sum()))
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=r"after its last step\. Its state is in"):
        work()
    assert list(Stages(checkpoint).stage("first")(5, part=Sum())) == []


def test_why_a_state_cannot_be_written_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = iter(["No space left on device"] * 3 + ["Permission denied"] * 3 + ["No space left on device"])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, next(reasons))

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", full)
        with pytest.warns(CheckpointWarning) as seen:
            list(Stages(Checkpoint(tmp_path / "fit", steps=1)).stage("first")(7, part=Sum()))
    said = [str(warning.message) for warning in seen]
    assert ["No space left" in one for one in said] == [True, False, True]


def test_a_full_disk_does_not_end_a_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    checkpoint = Checkpoint(tmp_path / "fit", steps=4)
    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", full)
        with pytest.warns(CheckpointWarning, match="No space left on device.*it goes on"):
            assert run(Stages(checkpoint)) == WHOLE
    assert list(tmp_path.iterdir()) == []
    with pytest.warns(CheckpointWarning), pytest.raises(KeyboardInterrupt) as caught:
        interrupted_on_a_full_disk(checkpoint, monkeypatch, full)
    assert "Its state is in" not in str(caught.value)


def interrupted_on_a_full_disk(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, full: object) -> None:
    monkeypatch.setattr(files.os, "fsync", full)
    with Stages(checkpoint) as stages:
        for _ in stages.stage("first")(5, part=Sum()):
            signal.raise_signal(signal.SIGINT)
