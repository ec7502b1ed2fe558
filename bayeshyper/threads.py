"""What threads share, borrowed under a lock and given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["OwnLock", "seeded"]


class OwnLock:
    """A lock for ``with`` that its owner can be copied and pickled with: each copy has a lock of its own.

    ``torch.func.functional_call`` swaps tensors into a module in place; two threads that predict with one
    model at once would run each other's weights.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __deepcopy__(self, memo: object) -> OwnLock:
        return OwnLock()

    def __reduce__(self) -> tuple[type[OwnLock], tuple[()]]:
        return OwnLock, ()


_global_random_state = threading.RLock()


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
