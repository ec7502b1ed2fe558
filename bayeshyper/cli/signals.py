"""SIGTERM as an error, which passes through a command on its way out, as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Terminated", "raising_terminated"]


class Terminated(KeyboardInterrupt):
    """SIGTERM was received."""


@contextmanager
def raising_terminated() -> Iterator[None]:
    """Within the block SIGTERM raises `Terminated`, so that what was begun is cleaned up, and told of.

    Where SIGTERM does something else than to end the process, that is left as it is.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Terminated
