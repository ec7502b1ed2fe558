"""The stages of a fit: loops over steps that go on from where a file says that they were."""

from __future__ import annotations

import copy
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import torch

from bayeshyper.errors import CheckpointError, CheckpointWarning, warn

from .checkpoint import Checkpoint
from .signals import PostponedSignals
from .states import Stateful

__all__ = ["Stage", "Stages", "every_step"]

Result = TypeVar("Result")

# What is raised where a state is of the right structure, and not of the part that it is given to.
DOES_NOT_FIT = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)
# Of the time, that writing states may take.
SHARE = 0.05


class Stage(Protocol):
    """Gives the numbers of the steps of a loop that are still to be taken."""

    def __call__(self, total: int, **parts: Stateful) -> Iterator[int]:
        """Of ``total`` steps; ``parts`` are all that a step changes."""


def every_step(total: int, **parts: Stateful) -> Iterator[int]:
    """The stage of a fit that is kept nowhere: 1 to ``total``."""
    return iter(range(1, total + 1))


class Stages:
    """What a fit has reached, stage by stage.

    A fit is code that runs from top to bottom, with loops whose steps come from `stage` and results that are
    kept by `once`. When it runs again after it was ended, loops that were done are passed with their parts as
    they were at the end, and the loop that was under way goes on in the middle; whatever lies between has to
    do the same again, given the same parts. A loop that is left by ``break`` is done.

    In a ``with`` block, what was reached when it ends well is kept too, where there is a state already: that
    of a fit which is over before its first one is due is kept nowhere.

    Args:
        checkpoint: Where that is kept; None for nowhere.
        fit: What tells this fit from others, by the names in `checkpoint.OTHER`.

    Raises:
        CheckpointError: The file is of another fit; or later, a state in it is not of what it is given to.

    Example:
        >>> import tempfile, torch
        >>> from pathlib import Path
        >>> kept = Checkpoint(Path(tempfile.mkdtemp()) / "fit", steps=2)
        >>> total = torch.nn.Parameter(torch.zeros(()))
        >>> part = torch.nn.ParameterList([total]).requires_grad_(False)
        >>> for step in Stages(kept, {"seed": "0"}).stage("sum")(10, part=part):
        ...     total += step
        ...     if step == 5:
        ...         break  # as if it were ended: after 4 steps it was kept last
        >>> for step in Stages(kept, {"seed": "0"}).stage("sum")(10, part=part):
        ...     total += step
        >>> total.item(), sum(range(11))
        (55.0, 55)
    """

    def __init__(self, checkpoint: Checkpoint | None = None, fit: Mapping[str, str] | None = None) -> None:
        self._checkpoint, self._fit = checkpoint, dict(fit or {})
        found = checkpoint.read(self._fit, _check_state) if checkpoint is not None else {}
        self._reached: dict[str, Any] = found.get("reached", {})
        self._before: float = found.get("seconds", 0.0)
        threads = torch.get_num_threads()
        if (before := found.get("threads", threads)) != threads:
            warn(
                CheckpointWarning,
                f"The fit was begun with {before} threads and goes on with {threads}: it may "
                "differ in its last digits from one that was not ended. Set OMP_NUM_THREADS, or "
                "torch.set_num_threads, as before if that matters.",
            )
        self._started = self._written = time.monotonic()
        self._pause = 0.0 if checkpoint is None else checkpoint.seconds
        self._has_file = checkpoint is not None and any(file.exists() for file in checkpoint.files)
        self._is_kept = True  # what was reached
        self._told = ""  # why a state could not be written
        self._signals = PostponedSignals()
        self._common: dict[str, Stateful] = {}

    def __enter__(self) -> Self:
        if self._checkpoint is not None:
            self._signals.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signals.__exit__(kind, error, trace)
        if error is not None or self._checkpoint is None:
            return
        stopped = self._signals.received
        if not self._is_kept and (stopped or self._has_file):
            self._write(self._checkpoint, {})
        if stopped:
            self._stop(stopped, "its last step", self._checkpoint.owner() == self._fit)

    @property
    def seconds(self) -> float:
        """Wall-clock time, what was lost left out."""
        return self._before + time.monotonic() - self._started

    def share(self, **parts: Stateful) -> None:
        """Make something a part of every stage from now on."""
        self._common |= parts

    def stage(self, name: str) -> Stage:
        """The steps of a loop.

        Args:
            name: Its own, the same at each run.
        """
        return partial(self._steps, name)

    def once(
        self, name: str, compute: Callable[[], Any], read: Callable[[Any], Result] = lambda state: state
    ) -> Result:
        """A result, computed once for all runs; what was kept before is forgotten, so its stages lie within.

        Args:
            name: Its own.
            compute: Gives a state: numbers, texts, tensors, and lists, tuples and dicts of them.
            read: Makes the result of that state; it raises ValueError where the state is none.
        """
        if "result" not in self._reached.get(name, {}):
            self._reached, self._is_kept = {name: {"result": compute()}}, False
            return read(self._reached[name]["result"])
        with self._of_this_fit(name):
            return read(self._reached[name]["result"])

    def _steps(self, name: str, total: int, **parts: Stateful) -> Iterator[int]:
        if self._checkpoint is None:
            yield from range(1, total + 1)
            return
        parts, done = {**self._common, **parts}, 0
        if name in self._reached:
            with self._of_this_fit(name):
                done = _restored(self._reached[name], total, parts)
        kept = done
        for step in range(done + 1, total + 1):
            self._is_kept = False
            try:
                yield step
            except GeneratorExit:  # the loop was left
                self._reached[name] = copy.deepcopy(_state(total, parts))
                raise
            stopped = self._signals.received
            by_steps = self._checkpoint.steps is not None and step - kept >= self._checkpoint.steps
            if stopped or by_steps or time.monotonic() - self._written >= self._pause:
                saved = self._write(self._checkpoint, {name: _state(step, parts)})
                kept = step
                if stopped:
                    self._stop(stopped, f"step {step:,} of {total:,} ({name})", saved)
        if done < total:
            self._reached[name] = copy.deepcopy(_state(total, parts))

    @contextmanager
    def _of_this_fit(self, name: str) -> Iterator[None]:
        """A block that puts a state of the file back, which may not be one."""
        try:
            yield
        except DOES_NOT_FIT as error:
            path = "The checkpoint" if self._checkpoint is None else self._checkpoint.path
            reason = str(error).partition("\n")[0]
            raise CheckpointError(
                f"{path} has a state of {name!r} that is none of this fit ({reason}): remove it, or give "
                "another path."
            ) from error

    def _write(self, checkpoint: Checkpoint, under_way: Mapping[str, Any]) -> bool:
        """Write all that has been reached; a full disk does not end a fit."""
        began = time.monotonic()
        reached = {**self._reached, **under_way}
        state = {"reached": reached, "seconds": self.seconds, "threads": torch.get_num_threads()}
        try:
            checkpoint.write(self._fit, state)
        except OSError as error:
            reason, self._told = self._told, str(error.strerror)
            if self._told != reason:
                warn(
                    CheckpointWarning,
                    f"The state of the fit could not be written to {checkpoint.path} ({error.strerror}): it "
                    "goes on, and would start from an earlier state if it were ended now. See to that while "
                    "it runs: the next state will be tried again.",
                )
            return False
        finally:
            self._written = time.monotonic()
            self._pause = max(checkpoint.seconds, (self._written - began) / SHARE)
        self._has_file = self._is_kept = True
        return True

    def _stop(self, received: signal.Signals, where: str, saved: bool) -> None:
        """End as the signal would have ended the process."""
        sentence = f"Stopped by {received.name} after {where}."
        if saved and self._checkpoint is not None:
            path = self._checkpoint.path
            sentence += f" Its state is in {path}: start the same fit again, and it goes on from there."
        if received == signal.SIGINT:
            raise KeyboardInterrupt(sentence)
        with suppress(OSError):  # a terminal that was closed
            print(sentence, file=sys.stderr)
        raise SystemExit(128 + received)


def _check_state(state: Any) -> None:
    """Refuse what `Stages` does not write.

    Raises:
        ValueError: It is not of that structure.
    """
    match state:
        case {"reached": dict(reached), "seconds": float(seconds), "threads": int(), **others} if not others:
            known = 0.0 <= seconds < math.inf and all(map(_is_stage, reached.values()))
        case _:
            known = False
    if not known:
        raise ValueError("it holds no stages of a fit")


def _is_stage(reached: Any) -> bool:
    """Whether it is a result, or the state after a step."""
    match reached:
        case {"result": _, **others}:
            return not others
        case {"step": int(step), "parts": dict(parts), **others}:
            whole = not others and step > 0 and not isinstance(step, bool)
            return whole and all(isinstance(state, dict) for state in parts.values())
    return False


def _restored(reached: Mapping[str, Any], total: int, parts: Mapping[str, Stateful]) -> int:
    """Put all parts of a stage back; returns the step that they are of."""
    step: int = reached["step"]
    if step > total or reached["parts"].keys() != parts.keys():
        raise ValueError(f"it is of other parts, or of step {step:,} of {total:,}")
    for part, state in reached["parts"].items():
        parts[part].load_state_dict(copy.deepcopy(state))
    return step


def _state(step: int, parts: Mapping[str, Stateful]) -> dict[str, Any]:
    return {"step": step, "parts": {name: part.state_dict() for name, part in parts.items()}}
