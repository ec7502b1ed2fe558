"""Torch's global random state, borrowed under a lock and given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["seeded"]

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
