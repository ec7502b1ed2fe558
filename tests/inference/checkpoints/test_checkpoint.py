from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bayeshyper import files
from bayeshyper.container import write_container
from bayeshyper.errors import CheckpointError, CheckpointWarning
from bayeshyper.inference import Checkpoint

FIT = {"version": "1", "data": "a", "settings": "b", "model": "c", "seed": "0"}


def state(number: int) -> dict[str, Any]:
    return {"number": number, "tensor": torch.full((50,), float(number))}


def number_in(checkpoint: Checkpoint, fit: dict[str, str] = FIT) -> int | None:
    found = checkpoint.read(fit)
    if found:
        assert torch.equal(found["tensor"], state(found["number"])["tensor"])
    return found.get("number")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """One that was written three times."""
    made = Checkpoint(tmp_path / "fit.checkpoint")
    for number in range(3):
        made.write(FIT, state(number))
    return made


def test_where_there_is_nothing_there_is_no_state(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path / "fit").read(FIT) == {}


def test_the_newest_two_are_kept(checkpoint: Checkpoint) -> None:
    newest, previous = checkpoint.files
    assert number_in(checkpoint) == 2
    newest.unlink()
    assert number_in(checkpoint) == 1
    assert sorted(path.name for path in newest.parent.iterdir()) == [previous.name]


def test_a_file_that_is_torn_anywhere_leads_to_the_one_before_it(checkpoint: Checkpoint) -> None:
    newest, _ = checkpoint.files
    whole = newest.read_bytes()
    for size in [*range(0, 300, 7), *range(300, len(whole), 97), len(whole) - 1]:
        newest.write_bytes(whole[:size])
        with pytest.warns(CheckpointWarning, match=r"fit\.checkpoint .* goes on from the state before it"):
            assert number_in(checkpoint) == 1
    for size in range(
        0, len(whole), 211
    ):  # as after a power cut: of the right length, and its end not written
        newest.write_bytes(whole[:size] + bytes(len(whole) - size))
        with pytest.warns(CheckpointWarning):
            assert number_in(checkpoint) == 1


def test_a_torn_file_does_not_take_the_place_of_the_one_that_is_whole(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest, _ = checkpoint.files
    newest.write_bytes(newest.read_bytes()[:100])
    with pytest.warns(CheckpointWarning):
        assert number_in(checkpoint) == 1

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write(FIT, state(2))
    assert number_in(checkpoint) == 1


def test_two_torn_files_lead_to_a_new_start(checkpoint: Checkpoint) -> None:
    for path in checkpoint.files:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(CheckpointWarning, match="starts anew") as caught:
        assert checkpoint.read(FIT) == {}
    assert len(caught) == 2


@pytest.mark.parametrize("when", ["replace", "fsync"])
def test_a_write_that_fails_or_is_killed_anywhere_leaves_a_state(
    when: str, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(os, when)
    for call in (1, 2):
        calls = iter(range(1, 9))

        def fails(*arguments: Any, at: int = call, calls: Iterator[int] = calls) -> Any:
            if next(calls) == at:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(files.os, when, fails)
            with pytest.raises(OSError, match="No space left"):
                checkpoint.write(FIT, state(7))
        assert number_in(checkpoint) in (2, 7)
        checkpoint.write(FIT, state(2))
        assert number_in(checkpoint) == 2


def test_what_a_kill_left_half_written_is_removed(checkpoint: Checkpoint) -> None:
    folder = checkpoint.files[0].parent
    of, other = (files._beginning(folder / name) for name in ("fit.checkpoint", "fit.checkpoint2"))
    kept = [f"{of}other.tmp", f"{other}0123456789abcdef.tmp"]
    for name in (f"{of}0123456789abcdef.tmp", *kept):
        (folder / name).write_bytes(b"half")
    assert number_in(checkpoint) == 2
    hidden = sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
    assert hidden == sorted(kept)


@pytest.mark.parametrize("name", FIT)
def test_the_state_of_another_fit_is_refused_in_words(name: str, checkpoint: Checkpoint) -> None:
    words = {"data": "other data", "seed": "another seed", "model": "another model"}
    with pytest.raises(CheckpointError, match=words.get(name, "another version|other settings")):
        checkpoint.read({**FIT, name: "?"})
    assert replace(checkpoint, replace=True).read({**FIT, name: "?"}) == {}


def test_all_that_differs_is_named(checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=r"with other data and another seed: remove it"):
        checkpoint.read({**FIT, "data": "?", "seed": "?"})


def test_it_can_be_removed(checkpoint: Checkpoint) -> None:
    checkpoint.remove(None)
    checkpoint.remove({**FIT, "seed": "1"})
    assert all(file.exists() for file in checkpoint.files)
    assert checkpoint.owner() == FIT
    checkpoint.remove(FIT)
    checkpoint.remove(FIT)
    assert list(checkpoint.files[0].parent.iterdir()) == []
    assert checkpoint.owner() is None


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n3,4\n", b"PK\x03\x04" + bytes(range(100)), bytes(range(256))]
)
def test_a_file_that_is_no_checkpoint_is_refused_and_kept(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    for replacing in (False, True):
        with pytest.raises(CheckpointError, match=r"table\.csv is no checkpoint .* is left as it is"):
            Checkpoint(path, replace=replacing).read(FIT)
    assert path.read_bytes() == content


def test_a_newer_checkpoint_is_refused_and_kept(checkpoint: Checkpoint) -> None:
    newest, _ = checkpoint.files
    write_container(newest, "checkpoint", 99, {}, {})
    before = newest.read_bytes()
    with pytest.raises(CheckpointError, match="update bayeshyper"):
        checkpoint.read(FIT)
    assert newest.read_bytes() == before


def test_a_checkpoint_that_cannot_be_read_now_is_kept(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refused)
        with pytest.raises(CheckpointError, match=r"cannot be read .Permission denied"):
            checkpoint.read(FIT)
    assert number_in(checkpoint) == 2


def test_a_path_is_a_file_in_a_folder_that_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "missing" / "fit"):
        with pytest.raises(CheckpointError, match="expected a file in a folder"):
            Checkpoint.at(path)
    with pytest.raises(CheckpointError, match="no regular file"):
        Checkpoint("/dev/null").read(FIT)
    monkeypatch.chdir(tmp_path)
    made = Checkpoint.at("fit")
    assert made is not None
    assert made.path == tmp_path / "fit"


def test_a_link_stays_one_and_the_files_lie_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link, there = tmp_path / "link", tmp_path / "elsewhere" / "fit"
    link.symlink_to(there)
    with pytest.raises(CheckpointError, match="a link that leads to nothing"):
        Checkpoint.at(link)
    for number in (1, 2):
        Checkpoint(there).write(FIT, state(number))
    checkpoint = Checkpoint.at(link)
    assert checkpoint is not None
    checkpoint.write(FIT, state(3))
    assert number_in(Checkpoint(there)) == 3
    assert sorted(path.name for path in there.parent.iterdir()) == ["fit", "fit.previous"]
    assert link.is_symlink()


@pytest.mark.parametrize("path", ["", b"x", True, "a\0b", 5, "\ud800", 1.5, ["fit"]])
def test_what_is_no_path_is_refused_in_a_sentence(
    path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for given in (path, Checkpoint(path)):
        with pytest.raises(
            CheckpointError, match=r"^Got the checkpoint .*, (expected the path|which no file)"
        ):
            Checkpoint.at(given)
    assert list(tmp_path.iterdir()) == []


def test_a_name_too_long_for_the_files_beside_it_is_refused_at_once(tmp_path: Path) -> None:
    longest = os.pathconf(tmp_path, "PC_NAME_MAX") - len(".previous.damaged")
    with pytest.raises(CheckpointError, match=f"name of {longest + 1} bytes, expected {longest} at most"):
        Checkpoint.at(tmp_path / ("é" * (longest // 2) + "x" * (longest % 2 + 1)))
    checkpoint = Checkpoint.at(tmp_path / ("x" * longest))
    assert checkpoint is not None
    for number in range(3):
        checkpoint.write(FIT, state(number))
    for path in checkpoint.files:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(CheckpointWarning):
        assert checkpoint.read(FIT) == {}


def test_whose_state_it_is_is_told_by_the_header_alone(checkpoint: Checkpoint) -> None:
    newest, previous = checkpoint.files
    previous.unlink()
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # a number of a tensor
    assert checkpoint.owner() == FIT
    newest.write_bytes(whole[:-1])
    assert checkpoint.owner() is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 0.0},
        {"seconds": float("nan")},
        {"seconds": "60"},
        {"steps": 0},
        {"steps": 1.5},
        {"steps": "1"},
    ],
)
def test_times_and_steps_are_above_0(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        Checkpoint("fit", **wrong)


def test_nothing_is_said_of_files_that_are_whole(checkpoint: Checkpoint) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert number_in(checkpoint) == 2
