"""What threads share, borrowed under a lock and given back; and what a forked child finds of it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["OwnLock", "pyro_stack", "seeded"]


class OwnLock:
    """A lock for ``with`` that its owner can be copied and pickled with: each copy has a lock of its own.

    ``torch.func.functional_call`` swaps tensors into a module in place; two threads that predict with one
    model at once would run each other's weights.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def forget_others(self) -> None:
        """In a forked child: be free if a thread held it that stayed behind in the parent."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._lock = threading.RLock()

    def __deepcopy__(self, memo: object) -> OwnLock:
        return OwnLock()

    def __reduce__(self) -> tuple[type[OwnLock], tuple[()]]:
        return OwnLock, ()


_locks: weakref.WeakSet[OwnLock] = weakref.WeakSet()
_global_random_state = OwnLock()
# Pyro keeps one stack of effect handlers for all threads; two inside it at once would see each other's.
pyro_stack = OwnLock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator for a block; afterwards it is as it was.

    For code that takes no generator of its own: a module's ``reset_parameters``, a distribution's
    ``sample``. Threads take turns, so that none sees another's seed.

    Example:
        >>> with seeded(0):
        ...     first = torch.rand(1)
        >>> with seeded(0):
        ...     second = torch.rand(1)
        >>> bool(first == second)
        True
    """
    with _global_random_state, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _after_fork() -> None:
    """Let a forked child compute alone.

    The threads that torch's operations are spread over stay behind in the parent: the first operation large
    enough to be spread would wait for them forever.
    """
    torch.set_num_threads(1)
    for lock in _locks:
        lock.forget_others()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
