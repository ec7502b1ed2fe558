"""The scores: of one model with what each means, of several side by side."""

from __future__ import annotations

from dataclasses import dataclass

from bayeshyper.diagnostics import Evaluation, Score
from bayeshyper.diagnostics._words import NO_BREAK, number, percent, plural
from bayeshyper.report.sections.section import Cell, Column, Table

ALONE = ("coverage_50", "coverage_80", "coverage_95", "interval_score", "weighted_interval_score")
"""Not in the tables of several models: the coverage plot and the CRPS say the same of them."""


@dataclass(frozen=True)
class ScoreLine:
    """One score of one model: value, interval and meaning as text, and the score for the little drawing."""

    value: str
    interval: str
    direction: str
    score: Score

    @property
    def track(self) -> bool:
        """Whether a drawing from 0 to 100 % helps: a share with a nominal value and an interval."""
        s = self.score
        return s.unit == "share" and None not in (s.value, s.nominal, s.lower, s.upper)


def score_lines(evaluation: Evaluation) -> list[ScoreLine]:
    """Lays out the scores of one model."""
    n = evaluation.n_rows
    return [
        ScoreLine(value_text(score, n), interval_text(score, n), direction(score), score)
        for score in evaluation.scores
    ]


def models_table(models: dict[str, Evaluation], tones: dict[str, str]) -> Table:
    """Lays out the scores of several models: one row per model, with its verdict."""
    first = next(iter(models.values()))
    shown = [score for score in first.scores if score.name not in ALONE]
    rows = []
    for name, model in models.items():
        status = model.verdict.status
        cells = [Cell(name, order=name), Cell(status.capitalize(), order=status, tone=tones[status])]
        rows.append((*cells, *(score_cell(model[score.name], model.n_rows) for score in shown)))
    return Table(
        name="models",
        caption="Scores of each model, with 95\u00a0% intervals",
        columns=(
            Column("Model", numeric=False),
            Column("Verdict", "on it alone", numeric=False),
            *(score_column(score) for score in shown),
        ),
        rows=tuple(rows),
        models=tuple(range(len(models))),
    )


def method_sentence(evaluation: Evaluation) -> str:
    """Says where the intervals come from."""
    return (
        f"Intervals are at 95{NO_BREAK}%: bootstrap over rows "
        f"({plural(evaluation.n_bootstrap, 'replicate')}, seed {evaluation.seed}), exact binomial for "
        f"shares. Rows are taken to be independent. The verdict calls at most 5{NO_BREAK}% of calibrated "
        "models faulty."
    )


def interval_text(score: Score, n_rows: int) -> str:
    """Writes the interval of a score: "0.12 to 0.49", or why there is none."""
    if score.value is None or score.lower is None or score.upper is None:
        return score.reason
    if score.upper - score.lower <= 1e-9 * abs(score.value):
        return "no spread"
    ends = (_value(score, end, n_rows) for end in (score.lower, score.upper))
    return f"{NO_BREAK}to{NO_BREAK}".join(ends)


def value_text(score: Score, n_rows: int) -> str:
    """Writes the value of a score with the digits that its interval supports."""
    return "not available" if score.value is None else _value(score, score.value, n_rows)


def direction(score: Score) -> str:
    """Says in what a score is measured, and which way is better."""
    if score.better == "nominal":
        return ""
    unit = "" if score.unit in ("", "share") else score.unit
    return ", ".join(part for part in (unit, f"{score.better} is better") if part)


def score_column(score: Score) -> Column:
    """Heads a column of scores or of their differences; the first click on it puts the best on top."""
    label = score.label.removesuffix(" difference")
    if score.better == "nominal":
        return Column(label)
    first = "descending" if score.better == "higher" else "ascending"
    return Column(label, f"{score.better} is better", first=first)


def score_cell(score: Score, n_rows: int = 0) -> Cell:
    """Writes a score above its interval; what should be near a nominal value is sorted by its distance."""
    order = score.value
    if order is not None and score.better == "nominal" and score.nominal is not None:
        order = abs(order - score.nominal)
    return Cell(value_text(score, n_rows), interval_text(score, n_rows), order=order)


def _value(score: Score, value: float, n_rows: int) -> str:
    """Writes a value or an end of its interval: two digits of the half width at most, four digits in all."""
    half = 0.0 if score.lower is None or score.upper is None else (score.upper - score.lower) / 2.0
    if score.unit == "share":
        return percent(value, 1000 if score.better == "lower" and half < 0.1 else n_rows)
    largest = max(abs(one) for one in (value, score.value, score.lower, score.upper) if one is not None)
    return number(value, error=max(half, largest / 100.0))
