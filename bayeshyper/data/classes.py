"""Class labels: those that a model file has words for, and those that can be told apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeshyper.data.columns import LARGEST
from bayeshyper.data.names import check_text
from bayeshyper.errors import DataError, DataWarning, warn

__all__ = ["as_python", "check_classes"]


def as_python(labels: NDArray[np.object_]) -> NDArray[np.object_]:
    """Labels whose numbers and texts are Python's own, as a model file gives them back, ``(N,)``."""
    plain = np.empty(len(labels), dtype=object)
    plain[:] = [label.item() if isinstance(label, np.generic) else label for label in labels]
    return plain


def check_classes(labels: Iterable[Any], what: str) -> None:
    """Refuse labels that no model file can hold, before anything is trained, and those that are confused.

    Args:
        labels: As Python has them; each once is enough.
        what: What the target is called.

    Raises:
        DataError: A label is no text, number or truth value, or too large, or ``True`` stands beside ``1``.

    Example:
        >>> check_classes([b"no", b"yes"], "y")
        Traceback (most recent call last):
        bayeshyper.errors.DataError: Unknown label type: y has the class b'no' of type bytes, expected ...
    """
    # Equal labels of two types are one class; a dictionary keeps them in the order of the rows.
    kinds = dict.fromkeys((type(label), label) for label in labels).keys()
    for _, label in kinds:
        _check_class(label, what)
    for kind, label in kinds:
        if kind is bool and {(int, label), (float, label)} & kinds:
            raise DataError(
                f"{what} has both {label} and {int(label)}, which Python takes for the same class: write one "
                "of them as text."
            )
    for kind, label in kinds:
        if kind is int and (float, label) in kinds:
            warn(DataWarning, f"{what} has both {label} and {float(label)}: they are read as the same class.")
            break


def _check_class(label: Any, what: str) -> None:
    if isinstance(label, str):
        check_text(label, "The class")
    elif not isinstance(label, (int, float)):
        raise DataError(
            f"Unknown label type: {what} has the class {repr(label)[:40]} of type {type(label).__name__}, "
            "expected text, numbers, or true and false: write it as text."
        )
    elif not (-(2**63) <= label < 2**64 if isinstance(label, int) else abs(label) <= LARGEST):
        raise DataError(
            f"{what} has the class {str(label)[:40]}, expected finite numbers, whole ones of 64 bits: write "
            "it as text."
        )
