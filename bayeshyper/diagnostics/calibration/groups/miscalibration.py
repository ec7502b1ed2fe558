"""Miscalibration by group: what each group says, and which of them chance cannot explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._words import plural
from bayeshyper.diagnostics.calibration.groups.evidence import (
    Evidence,
    as_arrays,
    chance,
    measured,
    of_classes,
    of_events,
    of_numbers,
)
from bayeshyper.diagnostics.calibration.groups.familywise import holm, share_band, uniform_mean_band
from bayeshyper.diagnostics.calibration.groups.grouping import MIN_ROWS, group_rows
from bayeshyper.diagnostics.calibration.groups.sources import with_sources
from bayeshyper.diagnostics.calibration.groups.table import FAULTS, Group, GroupTable
from bayeshyper.errors import DataError


def miscalibration_by_group(
    table: pd.DataFrame,
    *,
    pit: ArrayLike | None = None,
    confidence: ArrayLike | None = None,
    correct: ArrayLike | None = None,
    probs: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    level: float = 0.05,
    coverage: float = 0.9,
) -> GroupTable:
    """Judges the predictions inside each level of each column, and each tenth of each number or date.

    Each group is judged against *calibrated*, not against the other groups: a model that is over-confident
    everywhere is flagged in most of them. A calibrated one has any group flagged with probability ``level``
    at most, however many groups there are and however they overlap (Holm), because each p-value is exact or
    an upper bound:

    - position: the mean of n PIT values, whose tails are lighter than the Gaussian's (p-values up to 0.05);
    - coverage: the exact binomial of the rows inside their interval;
    - accuracy: the exact binomial at the mean confidence, which bounds the true tail (Hoeffding, 1956);
    - frequency, for each class, or for the ten with the highest mean probability: the same at the mean of its
      probability. A group in which one class is favoured over another may be as sure as it should be.

    Groups overlap, so that a fault in one shows in others too. Those of which nothing is left without the
    rows of less credible groups name them in ``explained_by``; the rest are the table's ``sources``.

    Groups with fewer than 20 rows are listed, not judged. Below 300 rows numbers are cut into fewer parts, of
    about 30 rows. Of a column with more than 20 levels the largest
    are kept; one with a single value, or with no level of 20 rows, is left out. Notes say so.

    Args:
        table: The rows that were predicted, with any columns: those the model saw or others.
        pit: The PIT of each row ``(N,)``, for predicted numbers; or one of the next two pairs.
        confidence: The stated probability of an event for each row ``(N,)``.
        correct: Whether it happened, ``(N,)`` booleans.
        probs: Class probabilities ``(N, C)``: the likeliest class is the event, and each class is judged.
        labels: The number of the class that happened, ``(N,)``.
        classes: Their names ``(C,)``; None for 0 to C - 1.
        level: The probability, at most, of a false alarm anywhere.
        coverage: The level of the central interval that "coverage" looks at.

    Raises:
        DataError: Where two columns have the same name, and where the evidence is not exactly one of PIT
            values, confidences with their outcomes and probabilities with their labels, or has not one value
            per row of the table.

    References:
        Holm (1979), A simple sequentially rejective multiple test procedure; Hoeffding (1956), On the
        distribution of the number of successes in independent trials.

    Example:
        >>> table = pd.DataFrame({"region": ["north", "south"] * 100})
        >>> happened = np.where(table["region"] == "north", True, np.arange(200) % 8 < 4)
        >>> found = miscalibration_by_group(table, confidence=[0.9] * 200, correct=happened)
        >>> [(group.label, group.fault) for group in found.flagged]
        [('south', 'over-confident'), ('north', 'under-confident')]
    """
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"table must be a pandas DataFrame: got {type(table).__name__}.")
    if not table.columns.map(str).is_unique:
        raise DataError("Columns of the table share a name, so that their groups could not be told apart.")
    _checks.share("level", level)
    _checks.share("coverage", coverage)
    evidence = _read(pit, confidence, correct, probs, labels, classes, coverage)
    if len(evidence[0].observed) != len(table):
        raise DataError(f"The evidence has {len(evidence[0].observed)} rows, the table {len(table)}.")
    columns = [group_rows(table.iloc[:, k], str(name)) for k, name in enumerate(table.columns)]
    groups = [group for column in columns for seen in evidence for group in measured(column, seen)]
    judged, n_tests = _judged(groups, level)
    judged.sort(key=lambda g: (g.p_value is None, g.p_value or 0.0, -abs(g.statistic or 0.0)))
    explained = _shifted(with_sources(judged, columns, evidence))
    return GroupTable(tuple(explained), level, n_tests, {c.column: c.note for c in columns if c.note})


def _read(
    pit: ArrayLike | None,
    confidence: ArrayLike | None,
    correct: ArrayLike | None,
    probs: ArrayLike | None,
    labels: ArrayLike | None,
    classes: Sequence[str] | None,
    coverage: float,
) -> list[Evidence]:
    given = {
        name
        for name, value in [
            ("pit", pit),
            ("confidence", confidence),
            ("correct", correct),
            ("probs", probs),
            ("labels", labels),
        ]
        if value is not None
    }
    if pit is not None and given == {"pit"}:
        return of_numbers(pit, coverage=coverage)
    if confidence is not None and correct is not None and given == {"confidence", "correct"}:
        return of_events(confidence, correct)
    if probs is not None and labels is not None and given == {"probs", "labels"}:
        return of_classes(probs, labels, classes)
    raise DataError(
        "Give either pit, or confidence and correct together, or probs and labels together: one kind of "
        f"evidence per row. Got {', '.join(sorted(given)) or 'none'}."
    )


def _judged(groups: list[Group], level: float) -> tuple[list[Group], int]:
    """Adds to each group what chance alone gives, by Holm's step-down over all that have enough rows."""
    few = [
        replace(group, note=f"Only {plural(group.n_rows, 'row')}: too few to judge.")
        for group in groups
        if group.n_rows < MIN_ROWS
    ]
    tested = [group for group in groups if group.n_rows >= MIN_ROWS]
    if not tested:
        return few, 0
    n, stated, observed, uniform = as_arrays(tested)
    p_values = chance(tested)
    adjusted = holm(p_values)
    # Holm stops at this tail: what it flags lies outside the band at it, and what it does not, inside.
    tail = level / max(len(tested) - int((adjusted <= level).sum()), 1) / 2.0
    lower, upper = np.where(uniform, uniform_mean_band(n, tail), share_band(n, stated, tail))
    deviation = np.sqrt(np.where(uniform, 1.0 / 12.0, stated * (1.0 - stated)) / n)
    judged = [
        replace(
            group,
            lower=float(lower[k]),
            upper=float(upper[k]),
            statistic=float((observed[k] - stated[k]) / deviation[k]) if deviation[k] > 0.0 else None,
            p_value=float(p_values[k]),
            adjusted_p_value=float(adjusted[k]),
            flagged=bool(adjusted[k] <= level),
            fault=FAULTS[group.measure][int(observed[k] > stated[k])] if adjusted[k] <= level else "",
        )
        for k, group in enumerate(tested)
    ]
    return judged + few, len(tested)


def _shifted(groups: list[Group]) -> list[Group]:
    """Notes where intervals miss in a group whose predictions are also shifted."""
    shifted = {(group.column, group.label) for group in groups if group.fault in FAULTS["position"]}
    return [
        replace(group, note="The shift of these predictions alone lets intervals miss.")
        if group.fault == "too narrow" and (group.column, group.label) in shifted
        else group
        for group in groups
    ]
