"""The first model against each of the others, on the same rows."""

from __future__ import annotations

from dataclasses import replace

from bayeshyper.diagnostics import Evaluation, Score, paired_difference
from bayeshyper.diagnostics._words import listing
from bayeshyper.report.sections.scores import ALONE, score_cell, score_column
from bayeshyper.report.sections.section import Cell, Column, Table

_NOT_HERE = (*ALONE, "sharpness")  # which of two is sharper does not say which is better


def differences(first: Evaluation, other: Evaluation) -> list[Score]:
    """Returns the paired differences of all scores that two models have for each row."""
    return [paired_difference(first, other, name) for name in shared_scores({"": first, "other": other})]


def shared_scores(models: dict[str, Evaluation]) -> list[str]:
    """Returns the names of the scores that all models have for each row: draws alone have no log score."""
    first, *others = models.values()
    return [name for name in first.rows if all(name in other.rows for other in others)]


def differences_table(models: dict[str, Evaluation]) -> Table:
    """Lays out the paired differences: one row per other model, and whether they are more than chance."""
    (name, first), *others = models.items()
    shown = [score for score in shared_scores(models) if not score.startswith(_NOT_HERE)]
    lines = {
        other: [paired_difference(first, evaluation, score) for score in shown]
        for other, evaluation in others
    }
    columns = next(iter(lines.values()))
    return Table(
        name="differences",
        caption=f"{name} less each other model, row by row, with 95\u00a0% intervals",
        columns=(
            Column("Against", numeric=False),
            *(score_column(score) for score in columns),
        ),
        rows=tuple(
            (Cell(other, order=other), *(_cell(score, first.n_rows) for score in line))
            for other, line in lines.items()
        ),
        models=tuple(range(1, len(models))),
    )


def comparison_sentences(models: dict[str, Evaluation]) -> tuple[str, ...]:
    """Says which of the others the first model beats, and which beat it, by the first score that all have."""
    (name, first), *others = models.items()
    score = shared_scores(models)[0]
    label = first[score].label
    by = label if label.isupper() else label.lower()
    sides: dict[str, list[str]] = {"better": [], "worse": [], "unclear": []}
    missing = []
    for other, evaluation in others:
        difference = paired_difference(first, evaluation, score)
        word, _ = winner(difference)
        if word:
            sides[word].append(other)
        else:
            missing.append(f"Against {other}, the {by} cannot be judged. {difference.reason}".strip())
    same = sides.pop("unclear")
    said = [
        f"By {by}, {name} is {word} on rows like these than {listing(which)}."
        for word, which in sides.items()
        if which
    ]
    if same:
        said.append(f"By {by}, these rows cannot tell {name} from {listing(same)}.")
    return (*said, *missing)


def other_verdicts(models: dict[str, Evaluation]) -> dict[str, tuple[str, str]]:
    """Returns what each verdict but the first says, its headline and its findings: the first has a card."""
    _, *others = models.items()
    return {name: (model.verdict.headline, " ".join(model.verdict.findings)) for name, model in others}


def _cell(score: Score, n_rows: int) -> Cell:
    word, tone = winner(score)
    cell = score_cell(score, n_rows)
    return replace(cell, under=f"{cell.under}: {word}" if word else cell.under, tone=tone)


def winner(score: Score) -> tuple[str, str]:
    """Says whether the first is better, and in which tone; nothing without an interval or a better side."""
    if score.lower is None or score.upper is None or score.better == "nominal":
        return "", ""
    if score.lower <= 0.0 <= score.upper:
        return "unclear", ""
    better = (score.lower > 0.0) == (score.better == "higher")
    return ("better", "good") if better else ("worse", "bad")
