"""What a caller may ask for: counts, levels of quantiles, and values of sites."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["check_count", "read_levels", "read_values"]


def check_count(name: str, value: Any, least: int) -> None:
    """Refuse what is no count.

    Args:
        name: What the caller knows it by.
        value: The count.
        least: The smallest that will do.

    Raises:
        ValueError: No whole number, or too small a one.
    """
    try:
        whole = not isinstance(value, bool) and operator.index(value) >= least
    except TypeError:
        whole = False
    if not whole:
        raise ValueError(f"Got {name} = {value!r}, expected a whole number, {least} or more.")


def read_levels(levels: float | Sequence[float] | Tensor, like: Tensor) -> Tensor:
    """The levels of quantiles, ``()`` or ``(Q,)``, in the type and on the device of another tensor.

    Raises:
        ValueError: Numbers outside of [0, 1], or of other shapes.

    Example:
        >>> read_levels([0.05, 0.95], like=torch.zeros(3, dtype=torch.float64))
        tensor([0.0500, 0.9500], dtype=torch.float64)
    """
    try:
        read = torch.as_tensor(levels, dtype=like.dtype, device=like.device)
    except (TypeError, ValueError, RuntimeError):
        read = None
    if read is None or read.dim() > 1 or not bool(((read >= 0.0) & (read <= 1.0)).all()):
        raise ValueError(
            f"Got the levels {levels!r} of quantiles, expected one number between 0 and 1 or several in a "
            "row, such as [0.05, 0.95]."
        )
    return read


def read_values(values: Mapping[str, Any], names: Collection[str]) -> dict[str, Tensor]:
    """Values of sites in float64.

    Args:
        values: Tensors, arrays or numbers of each site.
        names: All sites that there are.

    Raises:
        ValueError: A site that there is not.
    """
    unknown = [name for name in values if name not in names]
    if unknown:
        raise ValueError(
            f"Got values of {', '.join(map(repr, unknown))}, expected those of the guide's own sites: "
            f"{', '.join(map(repr, names))}."
        )
    return {name: torch.as_tensor(value, dtype=torch.float64) for name, value in values.items()}
