"""Class imbalance: a class with next to no rows, or one class that is nearly all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.data.names import listed

__all__ = ["imbalance"]

FEW = 12
"""With 11 rows a class's frequency is not known within a factor of two: the exact 95 % interval for the mean
of a Poisson count of 11 (Garwood 1936) begins at 5.49; that of 12 is 6.2 to 21.0."""

EVEN_SHARE = 0.5
"""In a small table every class has few rows: rare is one that has less than half of an even share, too. A
class of a single row is rare in any table."""

NEARLY_ALL = 0.95
"""Who always says the most frequent class is right so often that accuracy can hardly tell a model from that:
a perfect one could add 5 points."""


def imbalance(what: str, classes: Sequence[Any], counts: ArrayLike) -> str | None:
    """Says which classes are rare, or which is nearly everything, and what to do; None for a balanced target.

    Args:
        what: What the target is called.
        classes: The labels.
        counts: How many rows each has.

    Example:
        >>> imbalance("y", ["no", "yes"], [90, 60]) is None
        True
        >>> imbalance("y", ["no", "yes"], [970, 30]).partition(":")[0]
        "y is 'no' in 97.0 % of 1,000 rows, so that accuracy means little"
    """
    rows = np.asarray(counts)
    total, most = int(rows.sum()), int(rows.argmax())
    few = max(min(FEW, EVEN_SHARE * total / len(rows)), 2)
    rare = np.flatnonzero(rows < few)
    said = []
    if len(rare):
        ranked = rare[rows[rare].argsort(kind="stable")].tolist()
        named = listed([f"{classes[place]!r} ({rows[place]:,})" for place in ranked], most=3)
        said.append(
            f"{what} has classes with next to none of its {total:,} rows: {named}. Little can be learned "
            "about them, not even how frequent they are within a factor of two: add rows, or merge classes."
        )
    if rows[most] >= NEARLY_ALL * total:
        said.append(
            f"{what} is {classes[most]!r} in {100 * rows[most] / total:.1f} % of {total:,} rows, so that "
            "accuracy means little: always saying so is right as often. Judge by the log score and by each "
            "class's own probabilities, and add rows of the other classes."
        )
    return " ".join(said) or None
