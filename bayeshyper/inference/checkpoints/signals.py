"""Ctrl-C, SIGTERM and a terminal that is closed, put off until a step is done."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["PostponedSignals"]

# Windows has no SIGHUP.
POSTPONED = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__
)


class PostponedSignals:
    """Within a ``with`` block, the first of these signals is noted and no more; a second one does its work.

    Signals that the process ignores stay ignored, as those of a job that runs on after its terminal. In other
    threads than the main one, which signals do not reach, the block does nothing.

    Attributes:
        received: The signal that came, or None.

    Example:
        >>> with PostponedSignals() as signals:
        ...     signal.raise_signal(signal.SIGTERM)
        ...     signals.received.name
        'SIGTERM'
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in POSTPONED:
                # None is a handler that was not set from Python, and cannot be put back from there.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            self._give_back()
            signal.raise_signal(number)
        self.received = signal.Signals(number)

    def _give_back(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())
