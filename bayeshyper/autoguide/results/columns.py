"""Values of Pyro sites as named arrays, with plates for dimensions: what ArviZ is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bayeshyper.diagnostics.arviz.majors import Groups

__all__ = ["Columns"]

# Dimensions that ArviZ has for itself.
RESERVED = ("chain", "draw", "sample")


class Columns:
    """Groups of arrays, filled draw by draw.

    The plates that a site stands in name its dimensions; a dimension of size 1 between them that is no
    plate's is left out; all others are ``site_dim_0``, …, counted from the left, as ArviZ has them.

    Example:
        >>> columns = Columns()
        >>> for draw in torch.zeros(100, 5):
        ...     columns.add("posterior", "x", draw, batch_dim=0)
        >>> columns.groups()["posterior"]["x"].shape, columns.dims  # one chain of 100 draws
        ((1, 100, 5), {'x': ['x_dim_0']})
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[Tensor]] = {}
        self.dims: dict[str, list[str]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, group: str, name: str, value: Tensor, batch_dim: int, frames: Iterable[Any] = ()) -> None:
        """Add a draw of a site, or its data.

        Args:
            group: As ArviZ calls it.
            name: The site's.
            value: ``(*shape,)``.
            batch_dim: How many of its dimensions, from the left, can be plates.
            frames: The plates it stands in.
        """
        plates = _plates(value.shape, batch_dim, frames)
        kept = [
            axis for axis, size in enumerate(value.shape) if size > 1 or axis in plates or axis >= batch_dim
        ]
        value = value.detach().reshape([value.shape[axis] for axis in kept])
        self._values.setdefault((group, name), []).append(value)
        dims = [plates.get(axis, f"{name}_dim_{number}") for number, axis in enumerate(kept)]
        self._sizes.update(zip(dims, value.shape, strict=True))
        # Of an observed site's dimensions, its log likelihood has the first ones alone.
        if len(dims) >= len(self.dims.get(name, [])):
            self.dims[name] = dims

    def groups(self) -> Groups:
        """Arrays ``(1, S, *shape)`` by group and name; of ``observed_data``, ``(*shape,)``."""
        found: Groups = {}
        for (group, name), values in self._values.items():
            array: NDArray[Any] = torch.stack(values).cpu().numpy()
            found.setdefault(group, {})[name] = array[0] if group == "observed_data" else array[None]
        return found

    def coords(self, given: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        """The labels along dimensions, checked.

        Raises:
            ValueError: An unknown dimension, or one with another number of labels than its size.
        """
        labels = {dim: np.asarray(values) for dim, values in given.items()}
        for dim, values in labels.items():
            if dim not in self._sizes:
                known = ", ".join(sorted(self._sizes)) or "none"
                raise ValueError(f"Got coordinates of {dim!r}, expected those of a dimension: {known}.")
            if values.shape != (self._sizes[dim],):
                raise ValueError(
                    f"Got coordinates of shape {values.shape} for {dim!r}, expected one for each of its "
                    f"{self._sizes[dim]} places."
                )
        return labels


def _plates(shape: torch.Size, batch_dim: int, frames: Iterable[Any]) -> dict[int, str]:
    """The plate that each axis stands for; a value that is the same all along a plate may not show it."""
    found = {}
    for frame in frames:
        axis = batch_dim + frame.dim if frame.vectorized else -1
        if axis >= 0 and shape[axis] == (frame.full_size or frame.size) and frame.name not in RESERVED:
            found[axis] = frame.name
    return found
