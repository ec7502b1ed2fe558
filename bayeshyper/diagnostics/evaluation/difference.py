"""Two models on the same rows: which is better, and is it chance?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.evaluation.results import Evaluation
from bayeshyper.diagnostics.scores.difference import score_difference
from bayeshyper.diagnostics.scores.score import Better, Score
from bayeshyper.errors import DataError

OF_MEANS: dict[str, Callable[[Floats], Floats]] = {"rmse": np.sqrt}
"""Scores that are a function of the mean of what `Evaluation.rows` holds under their name."""


def paired_difference(first: Evaluation, second: Evaluation, score: str = "log_score") -> Score:
    """Returns the first model's score less the second's, on the same rows, with a paired interval.

    Pairing removes what makes a row hard for both, so the interval is far narrower than the two apart.

    Args:
        first: The evaluation of one model.
        second: That of the other, of the same rows in the same order.
        score: The name of a score that both have for each row: one of ``first.rows``.

    Raises:
        DataError: Where the two were not scored on the same number of rows, differ in task, or have no such
            score for each row.

    Example:
        >>> from bayeshyper.diagnostics.evaluation.verdict import Verdict
        >>> verdict = Verdict("undecided", "", (), ())
        >>> a = Evaluation("regression", 3, (), verdict, {"crps": np.array([1.0, 2.0, 3.0])})
        >>> b = Evaluation("regression", 3, (), verdict, {"crps": np.array([2.0, 3.0, 4.0])})
        >>> paired_difference(a, b, "crps").value
        -1.0
    """
    if (first.task, first.n_rows) != (second.task, second.n_rows):
        raise DataError(
            f"Only evaluations of the same rows can be compared: got {first.n_rows} rows of {first.task} "
            f"and {second.n_rows} rows of {second.task}."
        )
    if score not in first.rows or score not in second.rows:
        both = [name for name in first.rows if name in second.rows]
        raise DataError(
            f"Got the score {score!r}, expected one that both models have for each row: {', '.join(both)}."
        )
    known = {known.name: known for known in first.scores}.get(score)
    label, unit = (known.label, known.unit) if known else (score, "")
    better: Better = known.better if known else "higher"
    sides = {"higher": "above zero the first is better", "lower": "below zero the first is better"}
    side = sides.get(better, "zero is no difference")
    return score_difference(
        first.rows[score],
        second.rows[score],
        statistic=OF_MEANS.get(score),
        seed=first.seed,
        n_bootstrap=first.n_bootstrap,
        name=f"{score}_difference",
        label=f"{label} difference",
        unit=unit,
        better=better,
        explanation=f"The first model less the second, on the same rows; {side}.",
    )
