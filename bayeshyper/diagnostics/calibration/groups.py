"""Where is the model wrong? Calibration inside each group of rows that the columns of a table make."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics._words import plural
from bayeshyper.diagnostics.calibration.familywise import (
    holm,
    share_band,
    share_p_values,
    uniform_mean_band,
    uniform_mean_p_values,
)
from bayeshyper.diagnostics.calibration.grouping import MIN_ROWS, Grouping, group_rows
from bayeshyper.diagnostics.calibration.pit import check_pit
from bayeshyper.diagnostics.calibration.reliability import check_confidence
from bayeshyper.errors import DataError

Measure: TypeAlias = Literal["position", "coverage", "accuracy"]

_FAULTS: dict[Measure, tuple[str, str]] = {  # where less, and where more, is observed than stated
    "position": ("too high", "too low"),
    "coverage": ("too narrow", "too wide"),
    "accuracy": ("over-confident", "under-confident"),
}


@dataclass(frozen=True)
class Group:
    """One group of rows, judged by one measure.

    Args:
        column: The column that makes the group.
        label: The group's value or values in that column: "north", "31 to 40", "missing".
        measure: "position" (the mean PIT: 0.5, and more where the predictions are too low), "coverage" (the
            share of rows inside their interval) or "accuracy" (the share of rows whose event happened).
        n_rows: How many rows.
        stated: What the measure is if the predictions are calibrated: 0.5, the interval's level, or the mean
            confidence of these rows.
        observed: What it is.
        lower: From here to ``upper`` the measure is not flagged; None where the group is not judged.
        upper: Likewise.
        statistic: ``observed - stated`` in standard deviations of a calibrated forecast.
        p_value: How often chance alone gives a difference that large, or an upper bound for it.
        adjusted_p_value: The same, for the number of groups looked at (Holm).
        flagged: Whether that is at most the level of the table.
        fault: What the predictions are, where flagged: "too low", "too high", "too narrow", "too wide",
            "over-confident" or "under-confident"; else "".
        note: Why the group is not judged, or how to read its fault.
    """

    column: str
    label: str
    measure: Measure
    n_rows: int
    stated: float
    observed: float
    lower: float | None = None
    upper: float | None = None
    statistic: float | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    flagged: bool = False
    fault: str = ""
    note: str = ""


@dataclass(frozen=True)
class GroupTable:
    """All groups, the least credible first and those with too few rows last.

    Args:
        groups: One for each group and measure.
        level: How often, at most, a calibrated forecast has any group flagged.
        n_tests: How many groups and measures were judged.
        notes: For columns that were left out, or cut to their largest levels: why.
    """

    groups: tuple[Group, ...]
    level: float
    n_tests: int
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def flagged(self) -> tuple[Group, ...]:
        """The groups in which the model is wrong beyond chance."""
        return tuple(group for group in self.groups if group.flagged)

    def to_dict(self) -> dict[str, Any]:
        """Returns the table as JSON knows it."""
        return asdict(self) | {"groups": [asdict(group) for group in self.groups]}


def miscalibration_by_group(
    table: pd.DataFrame,
    *,
    pit: ArrayLike | None = None,
    confidence: ArrayLike | None = None,
    correct: ArrayLike | None = None,
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
    - accuracy: the exact binomial at the mean confidence, which bounds the true tail (Hoeffding, 1956).

    Groups with fewer than 20 rows are listed, not judged. Of a column with more than 20 levels the largest
    are kept; one with a single value, or with no level of 20 rows, is left out. Notes say so.

    Args:
        table: The rows that were predicted, with any columns: those the model saw or others.
        pit: The PIT of each row ``(N,)``, for predicted numbers; or, for classes, the next two.
        confidence: The stated probability of an event for each row ``(N,)``: of the likeliest class, say.
        correct: Whether it happened, ``(N,)`` booleans.
        level: The probability, at most, of a false alarm anywhere.
        coverage: The level of the central interval that "coverage" looks at.

    Raises:
        DataError: Where the evidence is neither PIT values nor confidences with their outcomes, or has not
            one value per row of the table.

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
    if not 0.0 < level < 1.0 or not 0.0 < coverage < 1.0:
        raise DataError(f"level and coverage must lie between 0 and 1: got {level} and {coverage}.")
    evidence = _evidence(pit, confidence, correct, coverage)
    if len(evidence[0].observed) != len(table):
        raise DataError(f"The evidence has {len(evidence[0].observed)} rows, the table {len(table)}.")
    columns = [group_rows(table.iloc[:, k], str(name)) for k, name in enumerate(table.columns)]
    groups = [group for column in columns for seen in evidence for group in _measured(column, seen)]
    judged, n_tests = _judged(groups, level)
    order = sorted(judged, key=lambda g: (g.p_value is None, g.p_value or 0.0, -abs(g.statistic or 0.0)))
    return GroupTable(tuple(order), level, n_tests, {c.column: c.note for c in columns if c.note})


class _Evidence(NamedTuple):
    """A measure's stated and observed value in each row, ``(N,)``."""

    measure: Measure
    stated: Floats
    observed: Floats


def _evidence(
    pit: ArrayLike | None, confidence: ArrayLike | None, correct: ArrayLike | None, coverage: float
) -> list[_Evidence]:
    if pit is not None and confidence is None and correct is None:
        values = check_pit(pit)
        inside = (np.abs(2.0 * values - 1.0) <= coverage).astype(np.float64)
        return [
            _Evidence("position", np.full(len(values), 0.5), values),
            _Evidence("coverage", np.full(len(values), coverage), inside),
        ]
    if pit is None and confidence is not None and correct is not None:
        return [_Evidence("accuracy", *check_confidence(confidence, correct))]
    raise DataError("Give either pit, or confidence and correct together: one kind of evidence per row.")


def _measured(column: Grouping, seen: _Evidence) -> list[Group]:
    if not column.labels:
        return []
    rows = column.codes + 1  # the rows of no group are counted in front, and dropped
    counts, stated, observed = (
        np.bincount(rows, weights, minlength=len(column.labels) + 1)[1:]
        for weights in (None, seen.stated, seen.observed)
    )
    return [
        Group(column.column, label, seen.measure, int(n), float(said / n), float(happened / n))
        for label, n, said, happened in zip(column.labels, counts, stated, observed, strict=True)
    ]


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
    n = np.array([group.n_rows for group in tested])
    stated = np.clip([group.stated for group in tested], 0.0, 1.0)
    observed = np.array([group.observed for group in tested])
    uniform = np.array([group.measure == "position" for group in tested])
    p_values = np.where(uniform, uniform_mean_p_values(n, observed), share_p_values(n, stated, observed))
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
            fault=_FAULTS[group.measure][int(observed[k] > stated[k])] if adjusted[k] <= level else "",
        )
        for k, group in enumerate(tested)
    ]
    return _explained(judged) + few, len(tested)


def _explained(judged: list[Group]) -> list[Group]:
    """Notes where intervals miss in a group whose predictions are also shifted."""
    shifted = {
        (group.column, group.label) for group in judged if group.flagged and group.measure == "position"
    }
    return [
        replace(group, note="The shift of these predictions alone lets intervals miss.")
        if group.fault == "too narrow" and (group.column, group.label) in shifted
        else group
        for group in judged
    ]
