"""Class labels and their indices."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeshyper.errors import DataError

__all__ = ["encode_labels"]


def encode_labels(labels: ArrayLike, classes: NDArray[np.generic]) -> NDArray[np.int64]:
    """Labels ``(N,)`` as indices into ``classes``.

    Raises:
        DataError: A label that is not among the classes.

    Example:
        >>> encode_labels(["b", "a", "b"], np.array(["a", "b"])).tolist()
        [1, 0, 1]
    """
    values = np.asarray(labels)
    index = {label: place for place, label in enumerate(classes.tolist())}
    unknown = [label for label in values.tolist() if label not in index]
    if unknown:
        raise DataError(
            f"Got the class {unknown[0]!r}, expected one of {', '.join(map(repr, index))}; "
            "a class that was not in the training data has no probability."
        )
    return np.array([index[label] for label in values.tolist()], dtype=np.int64)
