"""The file that a fit can go on from, and the one before it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from bayeshyper._vocabulary import fits
from bayeshyper.container import NewerFileError, not_ours, read_container, read_record, write_container
from bayeshyper.errors import CheckpointError, CheckpointWarning, ModelFileError, warn
from bayeshyper.files import leads_nowhere, remove_unfinished

from .states import packed, unpacked

__all__ = ["Checkpoint"]

KIND, VERSION = "checkpoint", 1
# What a checkpoint begins with, after eight bytes.
OPENING = b'{"__metadata__":{"bayeshyper":"{'
# What two fits may differ in, in words.
OTHER = {
    "version": "another version of bayeshyper or torch, or another default type of torch's numbers",
    "data": "other data",
    "settings": "other settings",
    "model": "another model",
    "seed": "another seed",
}
# Beside the state: the one before it, and one that was found damaged.
PREVIOUS, DAMAGED = ".previous", ".damaged"
LONGEST_NAME = 255  # bytes, where the folder does not say
SEED = re.compile("-?[0-9]{1,18}")


@dataclass(frozen=True)
class Checkpoint:
    """Where a fit keeps its state while it runs, and how often.

    A fit that was ended, by whatever, goes on from there when it is started again in the same way, and comes
    to the same bits as if it had never ended (on the same machine, on the CPU). Ctrl-C and SIGTERM wait for
    the end of a step, and for its state to be written.

    Args:
        path: The file. What it held before stands beside it, under the same name with ``.previous``.
        seconds: Between two states. Writing them takes a twentieth of the time at most: large ones are rarer.
        steps: Also after every so many steps; None for time alone.
        replace: Whether the state of another fit may be written over; otherwise it is refused.

    Raises:
        ValueError: Times or steps that are not above 0.
    """

    path: str | os.PathLike[str]
    seconds: float = 60.0
    steps: int | None = None
    replace: bool = False

    def __post_init__(self) -> None:
        timed = fits(self.seconds, float) and self.seconds > 0.0
        if not timed or not (self.steps is None or (fits(self.steps, int) and self.steps >= 1)):
            raise ValueError(
                f"Got a checkpoint every {self.seconds} seconds or {self.steps} steps, expected more than 0."
            )

    @classmethod
    def at(cls, where: Checkpoint | str | os.PathLike[str] | None) -> Checkpoint | None:
        """A checkpoint as it stands, or one at a path; wherever the process goes, its path stays the same.

        Raises:
            CheckpointError: It is no path, its folder is missing, it is that of a folder, or its name is too
                long for the files beside it.
        """
        if where is None:
            return None
        given = where if isinstance(where, Checkpoint) else cls(where)
        path = _as_path(given.path)
        if path.is_dir() or not path.parent.is_dir():
            raise CheckpointError(f"Got the checkpoint {path}, expected a file in a folder that there is.")
        if leads_nowhere(path):
            raise CheckpointError(f"The checkpoint {path} is a link that leads to nothing: remove it.")
        if path.is_symlink():  # it stays one, and the files lie where it leads
            path = path.resolve()
        length, most = len(os.fsencode(path.name)), _longest_name(path.parent) - len(PREVIOUS + DAMAGED)
        if length > most:
            raise CheckpointError(
                f"Got a checkpoint with a name of {length} bytes, expected {most} at most: files beside it "
                f"have the same name, with {PREVIOUS} or {DAMAGED} behind it."
            )
        return replace(given, path=path)

    @property
    def files(self) -> tuple[Path, Path]:
        """The newest state, and the one before it."""
        newest = Path(self.path)
        return newest, newest.with_name(newest.name + PREVIOUS)

    def write(self, fit: Mapping[str, str], state: Mapping[str, Any]) -> None:
        """Write a state, and keep the one before it.

        Args:
            fit: What tells this fit from others, by the names in `OTHER`.
            state: What `read` will give.

        Raises:
            OSError: It cannot be written; the state before it is still there.
        """
        newest, previous = self.files
        tensors: dict[str, Tensor] = {}
        record = {"fit": dict(fit), "state": packed(state, tensors)}
        with contextlib.suppress(FileNotFoundError):  # at first there is none
            os.replace(newest, previous)
        write_container(newest, KIND, VERSION, record, tensors)

    def read(
        self, fit: Mapping[str, str], check: Callable[[Any], None] = lambda state: None
    ) -> dict[str, Any]:
        """The newest state that is whole, or nothing.

        Args:
            fit: As for `write`.
            check: Raises ValueError where a state, whose checksum is right, is none all the same.

        Raises:
            CheckpointError: It is of another fit, and not to be replaced; or it is no checkpoint at all, or
                cannot be read now.
        """
        remove_unfinished(self.files[0])
        for file in self.files:
            if not (opening := _opening(file)):
                continue
            try:
                _, record, tensors = read_container(file, KIND, VERSION)
                found, state = _fit_of(record), unpacked(record["state"], tensors)
                check(state)
            except ModelFileError as error:
                self._put_aside(file, opening, error)
                continue
            except (LookupError, TypeError, ValueError) as error:
                self._put_aside(file, opening, not_ours(file, KIND, error))
                continue
            if found == fit:
                return dict(state)
            if not self.replace:
                raise CheckpointError(self._refusal(file, fit, found))
        return {}

    def _put_aside(self, file: Path, opening: bytes, error: Exception) -> None:
        """Rename a damaged checkpoint: the next write would put it in the place of the one that is whole.

        Raises:
            CheckpointError: It is none, or not damaged but newer.
        """
        torn = opening.rstrip(b"\0")[8 : 8 + len(OPENING)]
        if not OPENING.startswith(torn) or isinstance(error, NewerFileError):
            raise CheckpointError(
                f"{file} is no checkpoint that this bayeshyper can read, and is left as it is ({error}) Give "
                "another path."
            )
        aside = file.with_name(file.name + DAMAGED)
        os.replace(file, aside)
        warn(
            CheckpointWarning,
            f"{error} It is now {aside.name}, and the fit goes on from the state before it, or starts anew "
            "if there is none.",
        )

    def owner(self) -> dict[str, str] | None:
        """What tells the fit whose state it is from others, by the header alone; None where there is none."""
        for file in self.files:
            if (found := _owner(file)) is not None:
                return found
        return None

    def remove(self, fit: Mapping[str, str] | None) -> None:
        """Remove the files that are of a fit, once what they lead to is safe."""
        for file in self.files:
            if fit is not None and _owner(file) == fit:
                file.unlink()

    def _refusal(self, file: Path, fit: Mapping[str, str], found: Mapping[str, str]) -> str:
        others = [words for name, words in OTHER.items() if found.get(name) != fit.get(name)]
        return (
            f"{file} is the state of a fit with {' and '.join(others)}: remove it, give another path, or "
            "have it replaced (replace=True, --force)."
        )


def _opening(file: Path) -> bytes:
    """The first bytes of a file; none where there is no file.

    Raises:
        CheckpointError: It cannot be read, or is no regular file.
    """
    try:
        if file.exists() and not file.is_file():
            raise CheckpointError(f"{file} is no regular file: give another path for the checkpoint.")
        with file.open("rb") as opened:
            return opened.read(4096) or b"\0"
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise CheckpointError(
            f"{file} cannot be read ({error.strerror}), and is left as it is: see to that, or give another "
            "path."
        ) from error


def _owner(file: Path) -> dict[str, str] | None:
    try:
        return _fit_of(read_record(file, KIND, VERSION))
    except (FileNotFoundError, LookupError, ValueError):
        return None


def _fit_of(record: Mapping[str, Any]) -> dict[str, str]:
    """What tells the fit whose record it is from others.

    Raises:
        KeyError, ValueError: The record does not say that.
    """
    fit = record["fit"]
    if not isinstance(fit, dict) or not all(isinstance(value, str) for value in fit.values()):
        raise ValueError("its fit is not told in texts")
    if not SEED.fullmatch(fit.get("seed", "0")):
        raise ValueError("its seed is no whole number of 64 bits")
    return fit


def _as_path(given: Any) -> Path:
    """A path as the operating system takes it, from the root on.

    Raises:
        CheckpointError: It is none.
    """
    path = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(path, str) or not path or "\0" in path:
        raise CheckpointError(f"Got the checkpoint {given!r}, expected the path of a file, as text.")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise CheckpointError(f"Got the checkpoint {given!r}, which no file can be called.") from None
    return Path(path).absolute()


def _longest_name(folder: Path) -> int:
    """Bytes of a file's name there."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return LONGEST_NAME
