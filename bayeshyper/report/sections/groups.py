"""Where is it wrong: calibration inside each group of rows, the worst first."""

from __future__ import annotations

from bayeshyper.diagnostics import Group, GroupTable
from bayeshyper.diagnostics._words import percent, plural
from bayeshyper.report.sections.section import Cell, Column, Section, Table

_MEASURES = {
    "position": "Mean quantile of the truth",
    "coverage": "Rows inside their interval",
    "accuracy": "Rows it gets right",
    "frequency": "Rows that are",
}


def groups_section(groups: GroupTable) -> Section:
    """Shows all groups, and says how many are flagged and what that means."""
    flagged, judged = len(groups.flagged), groups.n_tests
    few = sum(group.p_value is None for group in groups.groups)
    sentences = [
        f"{flagged or 'None'} of {plural(judged, 'judgement')} on groups of rows "
        f"{'is' if flagged == 1 else 'are'} flagged. Were the model calibrated, any would be in at most "
        f"{percent(groups.level, 1000)} of tables, however many groups there are."
        if judged
        else "No group has enough rows to be judged."
    ]
    if few and judged:
        sentences.append(
            f"{plural(few, 'line')} at the end {'has' if few == 1 else 'have'} too few rows to judge."
        )
    sentences += [f"Column {column}: {note}" for column, note in groups.notes.items()]
    word = (f"{plural(flagged, 'flag')}", "bad") if flagged else ("no group flagged", "good")
    return Section(
        "groups",
        "Where is it wrong?",
        sentences=tuple(sentences),
        tables=(groups_table(groups),) if groups.groups else (),
        badge=word if judged else ("too few rows to judge", "open"),
    )


def groups_table(groups: GroupTable) -> Table:
    """Lays out the groups: what is stated, what is observed, and whether that may be chance."""
    return Table(
        name="groups",
        caption="Groups of rows, the least credible first",
        columns=(
            Column("Group", numeric=False),
            Column("Judgement", numeric=False, sorted="ascending"),
            Column("What is measured", numeric=False),
            Column("Rows", first="descending"),
            Column("Stated", first="descending"),
            Column("Observed", "not flagged between", first="descending"),
            Column("p-value", "for all groups together"),
        ),
        rows=tuple(_row(group, rank) for rank, group in enumerate(groups.groups)),
    )


def _row(group: Group, rank: int) -> tuple[Cell, ...]:
    n, p = group.n_rows, group.adjusted_p_value
    between = ""
    if group.lower is not None and group.upper is not None:
        between = f"{percent(group.lower, n)} to {percent(group.upper, n)}"
    return (
        Cell(f"{group.column}: {group.label}", order=f"{group.column} {group.label}"),
        _judgement(group, rank),
        Cell(f"{_MEASURES[group.measure]} {group.event}".strip(), order=f"{group.measure} {group.event}"),
        Cell(f"{n:,}", order=n),
        Cell(percent(group.stated, n), order=group.stated),
        Cell(percent(group.observed, n), between, order=group.observed),
        Cell("not judged") if p is None else Cell("< 0.0001" if p < 1e-4 else f"{p:.2g}", order=p),
    )


def _judgement(group: Group, rank: int) -> Cell:
    if group.flagged:
        tone = "care" if group.fault in ("too wide", "under-confident") else "bad"
        shared = f"Only in the rows shared with {group.explained_by}." if group.explained_by else ""
        return Cell(group.fault.capitalize(), " ".join(filter(None, (shared, group.note))), rank, tone)
    if group.p_value is None:
        return Cell("Too few rows to judge", "", rank, "open")
    return Cell("No fault seen", group.note, rank)
