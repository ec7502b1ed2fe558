"""The first model against each of the others, on the same rows."""

from __future__ import annotations

from bayeshyper.diagnostics import Evaluation, Score, paired_difference
from bayeshyper.diagnostics._words import number
from bayeshyper.report.sections.scores import direction, interval_text, value_text
from bayeshyper.report.sections.section import Cell, Column, Table


def differences(first: Evaluation, other: Evaluation) -> list[Score]:
    """Returns the paired differences of two models' scores."""
    return [paired_difference(first, other)]


def differences_table(models: dict[str, Evaluation]) -> Table:
    """Lays out the paired differences: one row per other model, and whether they are more than chance."""
    (name, first), *others = models.items()
    lines = {other: differences(first, evaluation) for other, evaluation in others}
    columns = next(iter(lines.values()))
    return Table(
        name="differences",
        caption=f"{name} less each other model, row by row, with 95\u00a0% intervals",
        columns=(
            Column("Against", numeric=False),
            *(Column(score.label, direction(score), first=_best_first(score)) for score in columns),
        ),
        rows=tuple(
            (Cell(other, order=other), *(_cell(score, first.n_rows) for score in line))
            for other, line in lines.items()
        ),
        models=tuple(range(1, len(models))),
    )


def comparison_sentences(models: dict[str, Evaluation]) -> tuple[str, ...]:
    """Compares the first model with each of the others, and tells what is wrong with those."""
    (_, first), *others = models.items()
    sentences = []
    for name, other in others:
        said = _sentence(name, paired_difference(first, other))
        fault = f" Its own verdict: {other.verdict.headline}" if other.verdict.flagged else ""
        sentences.append(said + fault)
    return tuple(sentences)


def _cell(score: Score, n_rows: int) -> Cell:
    word, tone = _winner(score)
    interval = interval_text(score, n_rows)
    return Cell(value_text(score, n_rows), f"{interval}: {word}" if word else interval, score.value, tone)


def _winner(score: Score) -> tuple[str, str]:
    """Says whether the first model is better, and in which tone; nothing where there is no interval."""
    if score.lower is None or score.upper is None:
        return "", ""
    if score.lower <= 0.0 <= score.upper:
        return "no clear difference", ""
    better = (score.lower > 0.0) == (score.better == "higher")
    return ("better", "good") if better else ("worse", "bad")


def _best_first(score: Score) -> str:
    return "descending" if score.better == "higher" else "ascending"


def _sentence(name: str, difference: Score) -> str:
    if difference.value is None or difference.lower is None or difference.upper is None:
        return f"Against {name}: {difference.reason or 'no difference can be computed.'}"
    size = number(abs(difference.value), error=(difference.upper - difference.lower) / 4.0)
    side = "higher" if difference.value >= 0 else "lower"
    said = f"{size} nats per row {side} (95\u00a0% interval {interval_text(difference, 0)})"
    if difference.lower > 0 or difference.upper < 0:
        better = "better" if difference.lower > 0 else "worse"
        return f"Against {name}, its log score is {said}: it is {better} on rows like these."
    return f"Against {name}, its log score is {said}: these rows cannot tell the two apart."
