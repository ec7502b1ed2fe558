"""Running a model outside of everything that surrounds a guide's call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyro import poutine
from pyro.poutine.runtime import _DIM_ALLOCATOR, _ENUM_ALLOCATOR

__all__ = ["outside"]


@contextmanager
def outside() -> Iterator[None]:
    """Outside of all handlers and plates that are active, which find all as they left it.

    ``poutine.block`` alone hides a model's sites from them, but leaves the dimensions of active plates taken,
    and those that an ELBO enumerates over are forgotten as soon as another enumeration begins.

    Example:
        >>> import pyro
        >>> with pyro.plate("particles", 10, dim=-1):
        ...     with outside(), pyro.plate("rows", 3, dim=-1):
        ...         pyro.sample("x", pyro.distributions.Normal(0.0, 1.0)).shape
        torch.Size([3])
    """
    allocators = (_DIM_ALLOCATOR, _ENUM_ALLOCATOR)
    before = [dict(vars(allocator)) for allocator in allocators]
    _DIM_ALLOCATOR._stack = []
    try:
        with poutine.block():
            yield
    finally:
        for allocator, state in zip(allocators, before, strict=True):
            vars(allocator).clear()
            vars(allocator).update(state)
