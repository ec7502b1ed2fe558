"""The file that a fit can go on from, and the one before it."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bayeshyper.container import read_container, write_container
from bayeshyper.errors import CheckpointError, CheckpointWarning, ModelFileError
from bayeshyper.files import remove_unfinished

from .states import packed, unpacked

__all__ = ["Checkpoint"]

KIND, VERSION = "checkpoint", 1
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
        """A checkpoint as it stands, or one at a path."""
        return cls(where) if isinstance(where, str | os.PathLike) else where

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
            CheckpointError: It is of another fit, and not to be replaced.
        """
        remove_unfinished(self.files[0])
        for file in self.files:
            try:
                _, record, tensors = read_container(file, KIND, VERSION)
                found, state = record["fit"], unpacked(record["state"], tensors)
            except FileNotFoundError:
                continue
            except (ModelFileError, KeyError) as error:
                warnings.warn(
                    f"{error} The fit goes on from the state before it, or starts anew if there is none.",
                    CheckpointWarning,
                    stacklevel=2,
                )
                file.unlink()  # or the next write would put it in the place of the one that is whole
                continue
            if found == fit:
                return dict(state)
            if not self.replace:
                raise CheckpointError(self._refusal(file, fit, found))
        return {}

    def seed(self) -> int | None:
        """The seed of the fit whose state it is; None where there is no state."""
        for file in self.files:
            with contextlib.suppress(FileNotFoundError, ModelFileError, KeyError, ValueError):
                return int(read_container(file, KIND, VERSION)[1]["fit"]["seed"])
        return None

    def remove(self) -> None:
        """Remove both files, once what they lead to is safe."""
        for file in self.files:
            file.unlink(missing_ok=True)

    def _refusal(self, file: Path, fit: Mapping[str, str], found: Mapping[str, str]) -> str:
        others = [words for name, words in OTHER.items() if found.get(name) != fit.get(name)]
        return (
            f"{file} is the state of a fit with {' and '.join(others)}: remove it, give another path, or "
            "have it replaced (replace=True, --force)."
        )
