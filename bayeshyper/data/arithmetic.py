"""What an encoder does to numbers and labels, as arrays: all that a model file keeps of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeshyper.data.columns import LARGEST

__all__ = ["ARRAYS", "Labels", "Numbers"]

Array = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]

# What a mean of numbers up to 1 may be above 1.
ROUNDING = 1e-6
# What is divided by less may become infinite; and the root of the least variance above 0.
LEAST, LEAST_ROOT = np.finfo(np.float64).tiny, np.sqrt(np.finfo(np.float64).smallest_subnormal)


@dataclass(frozen=True, eq=False)
class Numbers:
    """Columns of numbers: what is missing becomes the median, then x ↦ (x / largest - mean) / scale.

    Dividing by the largest value first makes a constant column exactly constant (the mean of many equal
    large numbers is a little off), and measures a later change of it in parts of itself.

    Args:
        median: ``(n,)``, of the values that were there.
        largest: ``(n,)``, of the absolute values; 1 where all are 0.
        mean: ``(n,)``, after division.
        scale: ``(n,)``, the standard deviation after division; 1 where it is 0.
        indicated: ``(k,)``, the places of the columns that get another one, 1 where a value is missing.

    Raises:
        ValueError: The arrays do not belong together, or their values cannot come from a table.

    Example:
        >>> parts = (np.array([value]) for value in (2.0, 4.0, 0.5, 0.25, 0))
        >>> Numbers(*parts).encode(np.array([[4.0], [np.nan]]))
        array([[2., 0.],
               [0., 1.]])
    """

    median: Array
    largest: Array
    mean: Array
    scale: Array
    indicated: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in ("median", "largest", "mean", "scale"):
            values = getattr(self, name)
            if values.dtype != np.float64 or values.shape != (len(self.median),):
                raise ValueError(f"Got {name} of shape {values.shape}, expected {len(self.median)} float64.")
            if not np.isfinite(values).all():
                raise ValueError(f"Got a {name} that is not finite, expected finite ones.")
        if not ((self.largest >= LEAST).all() and (self.scale >= LEAST_ROOT).all()):
            raise ValueError("Got a scale that is not positive, or next to nothing, expected larger ones.")
        if (self.largest > LARGEST).any() or (np.abs(self.median) > self.largest).any():
            raise ValueError(f"Got a median above the largest value, or that above {LARGEST:g}.")
        # Of numbers from -1 to 1.
        if (np.maximum(np.abs(self.mean), self.scale) > 1.0 + ROUNDING).any():
            raise ValueError("Got a mean beyond ±1 or a scale above 1, of numbers divided by their largest.")
        if self.indicated.dtype != np.int64 or self.indicated.ndim != 1:
            raise ValueError("Got places of missing values that are no whole numbers.")
        places = np.concatenate([[-1], self.indicated, [len(self.median)]])
        if not (np.diff(places) > 0).all():
            raise ValueError(
                f"Got places of missing values that are not rising from 0 to {len(self.median)}."
            )

    def encode(self, numbers: Array) -> Array:
        """Encode ``(N, n)`` with NaN for missing values as ``(N, n + k)``."""
        missing = np.isnan(numbers)
        filled = np.where(missing, self.median, numbers)
        return np.concatenate(
            [(filled / self.largest - self.mean) / self.scale, missing[:, self.indicated]], 1
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is of it, by name."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Labels:
    """Columns of labels: a 0/1 column for each that is frequent, and one for all that are rare, if any are.

    Args:
        levels: The labels of each column, in order.
        rare: For each column, whether each label is rare.

    Raises:
        ValueError: The two do not belong together, or a label comes twice.

    Example:
        >>> labels = Labels([["blue", "grey", "red"]], [np.array([False, True, False])])
        >>> labels.encode(np.array([["red"], ["grey"], ["new"]], dtype=object))
        array([[0., 1., 0.],
               [0., 0., 1.],
               [0., 0., 1.]])
    """

    levels: Sequence[Sequence[str]]
    rare: Sequence[NDArray[np.bool_]]

    def __post_init__(self) -> None:
        for levels, rare in zip(self.levels, self.rare, strict=True):
            if rare.dtype != np.bool_ or rare.shape != (len(levels),) or not levels:
                raise ValueError(
                    f"Got {rare.shape} rare labels for {len(levels)}, expected as many, and any."
                )
            if len(set(levels)) < len(levels):
                raise ValueError("Got a label twice, expected each once.")

    @cached_property
    def _places(self) -> list[tuple[pd.Index, NDArray[np.int64], int]]:
        """Each column's labels, their places among its encoded columns, and how many of these it has.

        The last place is that of unknown labels: -1 for none.
        """
        found = []
        for levels, rare in zip(self.levels, self.rare, strict=True):
            frequent = int((~rare).sum())
            places = np.where(rare, frequent, np.cumsum(~rare) - 1)
            places = np.append(places, frequent if rare.any() else -1)
            found.append((pd.Index(levels, dtype=object), places, frequent + bool(rare.any())))
        return found

    def encode(self, labels: NDArray[np.object_]) -> Array:
        """Encode ``(N, n)`` as ``(N, columns)``."""
        parts = [np.zeros((len(labels), 0))]
        for column, (levels, places, width) in zip(labels.T, self._places, strict=True):
            place = places[levels.get_indexer(pd.Index(column, dtype=object))]
            parts.append((place[:, None] == np.arange(width)).astype(np.float64))
        return np.concatenate(parts, axis=1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is of it, by name: ``text`` is UTF-8, one label after the other."""
        everything = [label.encode("utf-8", "surrogatepass") for levels in self.levels for label in levels]
        return {
            "levels": np.array([len(levels) for levels in self.levels], dtype=np.int64),
            "lengths": np.array([len(label) for label in everything], dtype=np.int64),
            "text": np.frombuffer(b"".join(everything), dtype=np.uint8),
            "rare": np.concatenate([np.zeros(0, dtype=bool), *self.rare]),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Labels:
        """The inverse of `arrays`.

        Raises:
            ValueError: The arrays do not belong together.
        """
        lengths = arrays["lengths"]
        if arrays["text"].dtype != np.uint8 or arrays["rare"].dtype != np.bool_:
            raise ValueError("Got labels that are no bytes, or marks that are neither true nor false.")
        text = [part.tobytes().decode("utf-8", "surrogatepass") for part in _cut(arrays["text"], lengths)]
        ends = np.cumsum(arrays["levels"]).tolist()
        rare = _cut(arrays["rare"], arrays["levels"])
        return cls([text[end - len(part) : end] for part, end in zip(rare, ends, strict=True)], rare)


# All that an encoder consists of.
ARRAYS = (*(field.name for field in fields(Numbers)), "levels", "lengths", "text", "rare")


def _cut(whole: NDArray[Any], sizes: NDArray[Any]) -> list[NDArray[Any]]:
    """Parts of the given sizes, one after the other, which must be all there is."""
    if sizes.dtype != np.int64 or sizes.ndim != 1 or whole.ndim != 1:
        raise ValueError("Got sizes of labels that are no whole numbers.")
    # Python's sum, which cannot come out right by overflow.
    if (sizes < 0).any() or sum(sizes.tolist()) != len(whole):
        raise ValueError(f"Got labels of {len(whole):,} bytes or marks, which is not what their sizes say.")
    ends = np.cumsum(sizes).tolist()
    return [whole[end - size : end] for end, size in zip(ends, sizes.tolist(), strict=True)]
