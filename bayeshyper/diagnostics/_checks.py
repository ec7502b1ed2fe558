"""Reading arrays that a caller hands in: one sentence says what is wrong with the first bad one."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayeshyper.diagnostics._words import plural
from bayeshyper.errors import DataError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Booleans: TypeAlias = NDArray[np.bool_]

SUM_TOLERANCE = 1e-4
"""How far the probabilities of a row may be from one in sum: float32 softmaxes over many classes are."""


def array(name: str, values: Any) -> NDArray[Any]:
    """Reads an array of anything, as many values in each of its rows."""
    try:
        return np.asarray(values)
    except ValueError:
        raise DataError(f"{name} must be an array: got rows of different lengths.") from None


def numbers(name: str, values: ArrayLike) -> Floats:
    """Reads numbers of any shape."""
    read = array(name, values)
    try:
        return read.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        raise DataError(f"{name} must hold numbers: got {read.dtype} values.") from None


def column(name: str, values: ArrayLike, *, n_rows: int | None = None, finite: bool = True) -> Floats:
    """Reads one number per row, ``(N,)``; NaN is always refused, infinity where ``finite`` is set."""
    read = numbers(name, values)
    if read.ndim != 1:
        raise DataError(f"{name} must have one number per row, shape (N,): got shape {read.shape}.")
    if len(read) == 0:
        raise DataError(f"{name} is empty: expected at least one row.")
    if n_rows is not None and len(read) != n_rows:
        raise DataError(f"{name} has {len(read)} rows, expected {n_rows}: one for each row predicted.")
    bad = ~np.isfinite(read) if finite else np.isnan(read)
    if bad.any():
        kind = "NaN" if np.isnan(read).any() else "infinite"
        raise DataError(
            f"{name} has {int(bad.sum())} {kind} value{'s' if bad.sum() > 1 else ''}, the first in row "
            f"{int(np.argmax(bad))}: leave those rows out, or look at what made them."
        )
    return read


def draws(samples: ArrayLike, *, n_rows: int) -> Floats:
    """Reads posterior predictive draws ``(S, N)``, at least two and all finite."""
    read = numbers("Samples", samples)
    if read.ndim != 2 or read.shape[1] != n_rows:
        raise DataError(f"Samples must have shape (S, {n_rows}), one column per row: got shape {read.shape}.")
    if read.shape[0] < 2:
        raise DataError("Samples hold one draw per row, but a spread needs at least two: draw more.")
    check_finite("Samples", read)
    return read


def check_finite(name: str, values: Floats) -> None:
    """Refuses NaN and infinity, in arrays of any shape."""
    bad = int((~np.isfinite(values)).sum())
    if bad:
        are = "is" if bad == 1 else "are"
        raise DataError(f"{name} hold {plural(bad, 'value')} that {are} NaN or infinite.")


def probabilities(probs: ArrayLike) -> Floats:
    """Reads class probabilities ``(N, C)``: not negative, and one in sum for each row."""
    read = numbers("Probabilities", probs)
    if read.ndim != 2 or read.shape[1] < 2 or len(read) == 0:
        raise DataError(
            f"Probabilities must have shape (N, C) with one column per class, at least two, and at least one "
            f"row: got shape {read.shape}."
        )
    check_finite("Probabilities", read)
    if read.min() < 0:
        row = int(np.argmin(read.min(axis=1)))
        raise DataError(f"Probabilities must not be negative: got {read[row].min():.6g} in row {row}.")
    total = read.sum(axis=1)
    off = np.abs(total - 1.0)
    if off.max() > SUM_TOLERANCE:
        row = int(np.argmax(off))
        raise DataError(
            f"Probabilities must sum to one in every row: row {row} sums to {total[row]:.6g}. "
            "If these are logits, apply a softmax first."
        )
    return read


def label_indices(labels: ArrayLike, n_classes: int, *, n_rows: int) -> Integers:
    """Reads class numbers ``(N,)`` between 0 and C - 1; those written as 1.0 too."""
    read = array("Labels", labels)
    if read.shape != (n_rows,):
        raise DataError(f"Labels must have shape ({n_rows},), one class number per row: got {read.shape}.")
    if read.dtype.kind not in "iubf":
        raise DataError(f"Labels must be class numbers (integers): got {read.dtype} values.")
    if read.dtype.kind == "f" and not (np.isfinite(read) & (read == np.round(read))).all():
        raise DataError("Labels must be class numbers (integers): got fractions, NaN or infinity.")
    read = read.astype(np.int64)
    if read.min() < 0 or read.max() >= n_classes:
        raise DataError(
            f"Labels must lie between 0 and {n_classes - 1}, one number per column of the probabilities: "
            f"got {int(read.min())} to {int(read.max())}."
        )
    return read


def counts(name: str, values: ArrayLike, *, n_rows: int) -> Floats:
    """Reads one count per row, ``(N,)``: whole, and not below zero."""
    read = column(name, values, n_rows=n_rows)
    bad = (read != np.round(read)) | (read < 0.0)
    if bad.any():
        raise DataError(
            f"{name} must hold counts, as the prediction is of counts: got {read[bad][0]:g} in row "
            f"{int(bad.argmax())}."
        )
    return read


def labelled(probs: ArrayLike, labels: ArrayLike) -> tuple[Floats, Integers]:
    """Reads class probabilities ``(N, C)`` and the class that happened in each row, ``(N,)``."""
    stated = probabilities(probs)
    return stated, label_indices(labels, stated.shape[1], n_rows=len(stated))


def share(name: str, value: float) -> float:
    """Reads a level, or another share that is neither none nor all."""
    if not 0.0 < value < 1.0:
        raise DataError(f"{name} must lie strictly between 0 and 1, as in 0.9: got {value}.")
    return value


def generator(seed: int) -> np.random.Generator:
    """Makes the source of random numbers of a seed."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise DataError(f"seed must be a whole number that is not negative: got {seed!r}.") from None


def class_numbers(labels: ArrayLike, classes: ArrayLike | None, n_classes: int, *, n_rows: int) -> Integers:
    """Reads labels ``(N,)`` as their places among the classes; one that training never saw is named."""
    seen = array("y", labels)
    if seen.shape != (n_rows,):
        raise DataError(f"y must have one label per row, shape ({n_rows},): got shape {seen.shape}.")
    missing = pd.isna(seen)
    if missing.any():
        raise DataError(
            f"The target is missing in {plural(int(missing.sum()), 'row')}, the first of them row "
            f"{int(missing.argmax())}: leave those rows out."
        )
    known = list(range(n_classes)) if classes is None else np.asarray(classes).tolist()
    number_of = {label: k for k, label in enumerate(known)}
    found = [number_of.get(label, -1) for label in seen.tolist()]
    unknown = sorted({repr(label) for label, k in zip(seen.tolist(), found, strict=True) if k < 0})
    if unknown:
        names = ", ".join(map(repr, known[:5])) + (" …" if len(known) > 5 else "")
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise DataError(
            f"y holds labels that were not seen in training: {', '.join(unknown[:3])}{more}. "
            f"The model knows {names}."
        )
    return np.asarray(found, dtype=np.int64)


def row_numbers(index: Any, n_rows: int) -> Integers:
    """Reads which rows are meant, as integers: integers (also from the end), a slice or a boolean mask."""
    try:
        return np.atleast_1d(np.arange(n_rows)[index])
    except IndexError as error:
        raise DataError(
            f"Rows are chosen by integers between 0 and {n_rows - 1}, a slice, or a boolean mask of shape "
            f"({n_rows},): {error}."
        ) from None
