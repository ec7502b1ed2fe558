"""Building what a file describes, without trusting it about sizes."""

from __future__ import annotations

import math
import re
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Budget"]

# The operations that make tensors of sizes that they are given; all others make theirs out of tensors.
SIZED = re.compile("empty|zeros|ones|full|rand|repeat")


class Budget(TorchDispatchMode):
    """A block in which no tensor of more than so many numbers is made: a larger one is refused before it is.

    A recipe in a file can ask for ``hidden = [10**9]`` in a few bytes. Whatever the parts are that recipes
    name, and whatever their arguments mean, the tensors that such a model consists of lie in the same file.

    Args:
        numbers: The most that a tensor may hold.

    Example:
        >>> import torch
        >>> with Budget(100):
        ...     torch.zeros(101)
        Traceback (most recent call last):
        ValueError: Got a tensor of 101 numbers, expected 100 at most.
    """

    def __init__(self, numbers: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers = numbers

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Look at the sizes that are asked for, and at what comes out."""
        if SIZED.search(func._schema.name):
            for sizes in args:
                if isinstance(sizes, (list, tuple)):
                    self._check(math.prod(sizes))
        result = func(*args, **(kwargs or {}))
        for made in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(made, Tensor):
                self._check(made.numel())
        return result

    def _check(self, asked: int) -> None:
        if asked > self.numbers:
            raise ValueError(f"Got a tensor of {asked:,} numbers, expected {self.numbers:,} at most.")
