"""Can it be repaired: the scores before and after each repair, on rows that it did not learn from."""

from __future__ import annotations

from dataclasses import replace

from bayeshyper.diagnostics import Score
from bayeshyper.diagnostics._words import plural
from bayeshyper.diagnostics.repair import RepairComparison, RepairResult
from bayeshyper.report.sections.comparison import winner
from bayeshyper.report.sections.scores import score_cell, score_column
from bayeshyper.report.sections.section import Cell, Column, Section, Table

_WIDTHS = ("width_90", "size_90")  # narrower is better only where the coverage holds


def repairs_section(repairs: RepairComparison) -> Section:
    """Shows what each repair would change."""
    return Section(
        "repairs",
        "Can it be repaired?",
        sentences=(
            repairs.conclusion,
            f"The rows were dealt into {plural(repairs.folds, 'part')}. Each part was repaired by what the "
            "others taught: no row is judged by a repair that saw it.",
        ),
        tables=(repairs_table(repairs),),
        badge=("a repair helps", "good") if repairs.best else ("no repair helps", "open"),
    )


def repairs_table(repairs: RepairComparison) -> Table:
    """Lays out the scores: as it is, and after each repair, with whether the change is more than chance."""
    before = repairs.before
    return Table(
        name="repairs",
        caption=f"Before and after, on {plural(repairs.n_rows, 'row')}, with 95\u00a0% intervals",
        columns=(Column("Repair", numeric=False), *map(score_column, before.values())),
        rows=(
            (Cell("as it is", order=""), *(score_cell(score, repairs.n_rows) for score in before.values())),
            *(_row(repair, repairs) for repair in repairs.repairs),
        ),
    )


def _row(repair: RepairResult, repairs: RepairComparison) -> tuple[Cell, ...]:
    under = "helps most" if repair.name == repairs.best else repair.reason
    cells = []
    for name, before in repairs.before.items():
        judged = name not in _WIDTHS and before.better != "nominal"
        difference = repair.differences.get(name) if judged else None
        cells.append(_cell(repair.scores.get(name), difference, repairs.n_rows))
    return (Cell(repair.name, under, order=repair.name), *cells)


def _cell(score: Score | None, difference: Score | None, n_rows: int) -> Cell:
    if score is None:
        return Cell("not available")
    cell = score_cell(score, n_rows)
    word, tone = ("", "") if difference is None else winner(difference)
    if difference is not None and difference.lower == difference.upper == 0.0:
        word = "unchanged"
    return replace(cell, under=f"{cell.under}: {word}" if word else cell.under, tone=tone)
