"""The file that a fit can go on from, and the one before it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from bayeshyper.container import NewerFileError, read_container, write_container
from bayeshyper.errors import CheckpointError, CheckpointWarning, ModelFileError, warn
from bayeshyper.files import remove_unfinished

from .states import packed, unpacked

__all__ = ["Checkpoint"]

KIND, VERSION = "checkpoint", 1
# What a checkpoint begins with, after eight bytes.
OPENING = b'{"__metadata__":{"bayeshyper":"{'
# What two fits may differ in, in words.
OTHER = {
    "version": "another version of bayeshyper or torch",
    "data": "other data",
    "settings": "other settings",
    "model": "another model",
    "seed": "another seed",
}


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
        if not self.seconds > 0.0 or (self.steps is not None and self.steps < 1):
            raise ValueError(
                f"Got a checkpoint every {self.seconds} seconds or {self.steps} steps, expected more than 0."
            )

    @classmethod
    def at(cls, where: Checkpoint | str | os.PathLike[str] | None) -> Checkpoint | None:
        """A checkpoint as it stands, or one at a path; wherever the process goes, its path stays the same.

        Raises:
            CheckpointError: The folder is missing, or the path is that of a folder.
        """
        if where is None:
            return None
        given = where if isinstance(where, Checkpoint) else cls(where)
        path = Path(given.path).absolute()
        if path.is_dir() or not path.parent.is_dir():
            raise CheckpointError(f"Got the checkpoint {path}, expected a file in a folder that there is.")
        return replace(given, path=path)

    @property
    def files(self) -> tuple[Path, Path]:
        """The newest state, and the one before it."""
        newest = Path(self.path)
        return newest, newest.with_name(f"{newest.name}.previous")

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

    def read(self, fit: Mapping[str, str]) -> dict[str, Any]:
        """The newest state that is whole, or nothing.

        Args:
            fit: As for `write`.

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
                found, state = record["fit"], unpacked(record["state"], tensors)
            except (ModelFileError, LookupError, TypeError) as error:
                self._put_aside(file, opening, error)
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
        aside = file.with_name(f"{file.name}.damaged")
        os.replace(file, aside)
        warn(
            CheckpointWarning,
            f"{error} It is now {aside.name}, and the fit goes on from the state before it, or starts anew "
            "if there is none.",
        )

    def owner(self) -> dict[str, str] | None:
        """What tells the fit whose state it is from others; None where there is no state."""
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
        return dict(read_container(file, KIND, VERSION)[1]["fit"])
    except (FileNotFoundError, ModelFileError, LookupError, TypeError, ValueError):
        return None
