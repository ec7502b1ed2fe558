"""What each row says about calibration, and what the rows of a group say together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Booleans, Floats, Integers
from bayeshyper.diagnostics._words import plural
from bayeshyper.diagnostics.calibration.coverage import inside_interval
from bayeshyper.diagnostics.calibration.groups.familywise import share_p_values, uniform_mean_p_values
from bayeshyper.diagnostics.calibration.groups.grouping import Grouping
from bayeshyper.diagnostics.calibration.groups.table import Group, Measure
from bayeshyper.diagnostics.calibration.pit import check_pit
from bayeshyper.diagnostics.calibration.reliability import check_confidence, top_label
from bayeshyper.errors import DataError

MAX_CLASSES = 10
"""Of more classes, the frequencies of those with the highest mean probability are judged."""


class Evidence(NamedTuple):
    """A measure's stated and observed value in each row, ``(N,)``; of a frequency, that of the event."""

    measure: Measure
    stated: Floats
    observed: Floats
    event: str = ""


def of_numbers(pit: ArrayLike, *, coverage: float) -> list[Evidence]:
    """Reads PIT values as where the truth lies, and whether that is inside the central interval.

    Example:
        >>> [seen.measure for seen in of_numbers([0.2, 0.7], coverage=0.9)]
        ['position', 'coverage']
    """
    values = check_pit(pit)
    inside = inside_interval(values, coverage).astype(np.float64)
    return [
        Evidence("position", np.full(len(values), 0.5), values),
        Evidence("coverage", np.full(len(values), coverage), inside),
    ]


def of_events(confidence: ArrayLike, correct: ArrayLike) -> list[Evidence]:
    """Reads the probabilities of events, and whether they happened.

    Example:
        >>> [seen.measure for seen in of_events([0.2, 0.7], [False, True])]
        ['accuracy']
    """
    return [Evidence("accuracy", *check_confidence(confidence, correct))]


def of_classes(probs: ArrayLike, labels: ArrayLike, classes: Sequence[str] | None) -> list[Evidence]:
    """Reads class probabilities as whether the likeliest class is right, and how often each class happens.

    Of two classes the second tells of both. A fault that favours a class in some rows and another in others
    cancels out of the first measure, and shows in the second.

    Raises:
        DataError: Where the classes are not one name for each column of the probabilities.

    Example:
        >>> [(seen.measure, seen.event) for seen in of_classes([[0.2, 0.8]], [1], ["ham", "spam"])]
        [('accuracy', ''), ('frequency', 'spam')]
    """
    stated, happened = _checks.labelled(probs, labels)
    n_classes = stated.shape[1]
    names = [str(k) for k in range(n_classes)] if classes is None else list(classes)
    if len(names) != n_classes:
        raise DataError(
            f"Got {plural(len(names), 'name')} of classes, expected {n_classes}: one for each column."
        )
    likeliest = np.argsort(-stated.mean(axis=0), kind="stable")[:MAX_CLASSES]  # chosen before any outcome
    judged = [1] if n_classes == 2 else np.sort(likeliest).tolist()
    return [
        Evidence("accuracy", *check_confidence(*top_label(stated, happened))),
        *(
            Evidence("frequency", np.minimum(stated[:, k], 1.0), (happened == k).astype(np.float64), names[k])
            for k in judged
        ),
    ]


def measured(column: Grouping, seen: Evidence, *, kept: Booleans | None = None) -> list[Group]:
    """Returns the groups of a column with what is stated and observed in them, of the rows kept.

    A group that keeps no row is left out.

    Example:
        >>> halves = Grouping("half", np.array([0, 0, 1, 1]), ("first", "second"))
        >>> seen = Evidence("accuracy", np.full(4, 0.5), np.array([1.0, 0.0, 1.0, 1.0]))
        >>> [(group.label, group.observed) for group in measured(halves, seen)]
        [('first', 0.5), ('second', 1.0)]
    """
    if not column.labels:
        return []
    rows = column.codes + 1  # the rows of no group are counted in front, and dropped
    if kept is not None:
        rows = np.where(kept, rows, 0)
    counts, stated, observed = (
        np.bincount(rows, weights, minlength=len(column.labels) + 1)[1:]
        for weights in (None, seen.stated, seen.observed)
    )
    return [
        Group(column.column, label, seen.measure, int(n), float(said / n), float(happened / n), seen.event)
        for label, n, said, happened in zip(column.labels, counts, stated, observed, strict=True)
        if n
    ]


def as_arrays(groups: list[Group]) -> tuple[Integers, Floats, Floats, Booleans]:
    """Returns of groups ``(T,)`` the rows, what is stated, what is observed, and whether that is a position.

    Example:
        >>> as_arrays([Group("a", "b", "position", 9, 0.5, 0.4)])[3].tolist()
        [True]
    """
    return (
        np.array([group.n_rows for group in groups], dtype=np.int64),
        np.clip([group.stated for group in groups], 0.0, 1.0),
        np.array([group.observed for group in groups], dtype=np.float64),
        np.array([group.measure == "position" for group in groups], dtype=np.bool_),
    )


def chance(groups: list[Group]) -> Floats:
    """Returns how often chance alone gives a calibrated group what is observed, ``(T,)``, or an upper bound.

    Example:
        >>> chance([Group("a", "b", "accuracy", 10, 0.5, 1.0)]).tolist()
        [0.001953125]
    """
    n, stated, observed, uniform = as_arrays(groups)
    return np.where(uniform, uniform_mean_p_values(n, observed), share_p_values(n, stated, observed))
