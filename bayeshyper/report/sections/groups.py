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
    few = len({(group.column, group.label) for group in groups.groups if group.p_value is None})
    many = f"{flagged or 'None'} of {plural(judged, 'judgement')}" if judged > 1 else "The one judgement"
    verb = "are" if flagged > 1 else "is" if flagged or judged > 1 else "is not"
    sentences = [
        f"{many} on groups of rows {verb} flagged. Were the model calibrated, any would be in at most "
        f"{percent(groups.level, 1000)} of tables, however many groups there are."
        if judged
        else "No group has enough rows to be judged."
    ]
    if few and judged:
        sentences.append(f"{_few(few)} to judge.")
    sentences += [f"Column {column}: {note}" for column, note in groups.notes.items()]
    word = (f"{plural(flagged, 'flag')}", "bad") if flagged else ("no group flagged", "good")
    return Section(
        "groups",
        "Where is it wrong?",
        sentences=tuple(sentences),
        tables=tuple(groups_tables(groups)),
        badge=word if judged else ("too few rows to judge", "open"),
    )


def groups_tables(groups: GroupTable) -> list[Table]:
    """Lays out the groups that were judged, and, folded, those with too few rows."""
    judged = [group for group in groups.groups if group.p_value is not None]
    others = [group for group in groups.groups if group.p_value is None]
    few = _few(len({(group.column, group.label) for group in others}))
    tables = [
        Table(
            name="groups",
            caption="Groups of rows, the least credible first",
            columns=(
                Column("Group", numeric=False),
                Column("Judgement", numeric=False, sorted="ascending"),
                Column("What is measured", numeric=False),
                Column("Rows", first="descending"),
                Column("Stated", first="descending"),
                Column("Observed", first="descending"),
                Column("Chance allows", first=""),
                Column("p-value", "for all groups together"),
            ),
            rows=tuple(_judged(group, rank) for rank, group in enumerate(judged)),
        ),
        Table(
            name="small-groups",
            caption="Groups of too few rows to judge",
            columns=(
                Column("Group", numeric=False),
                Column("What is measured", numeric=False),
                Column("Rows", first="descending"),
                Column("Stated", first="descending"),
                Column("Observed", first="descending"),
            ),
            rows=tuple((_name(group), *_measured(group)) for group in others),
            folded=few,
        ),
    ]
    return [table for table in tables if table.rows]


def _judged(group: Group, rank: int) -> tuple[Cell, ...]:
    n, p, between = group.n_rows, group.adjusted_p_value, "any"
    if group.lower is not None and group.upper is not None:
        between = f"{percent(group.lower, n)} to {percent(group.upper, n)}"
    judged = Cell("not judged") if p is None else Cell("< 0.0001" if p < 1e-4 else f"{p:.2g}", order=p)
    return _name(group), _judgement(group, rank), *_measured(group), Cell(between), judged


def _name(group: Group) -> Cell:
    return Cell(f"{group.column}: {group.label}", order=f"{group.column} {group.label}")


def _measured(group: Group) -> tuple[Cell, ...]:
    n = group.n_rows
    return (
        Cell(f"{_MEASURES[group.measure]} {group.event}".strip(), order=f"{group.measure} {group.event}"),
        Cell(f"{n:,}", order=n),
        Cell(percent(group.stated, n), order=group.stated),
        Cell(percent(group.observed, n), order=group.observed),
    )


def _judgement(group: Group, rank: int) -> Cell:
    if group.flagged:
        tone = "care" if group.fault in ("too wide", "under-confident") else "bad"
        shared = f"Only in the rows shared with {group.explained_by}." if group.explained_by else ""
        return Cell(group.fault.capitalize(), " ".join(filter(None, (shared, group.note))), rank, tone)
    return Cell("No fault seen", group.note, rank)


def _few(count: int) -> str:
    return f"{plural(count, 'group')} {'has' if count == 1 else 'have'} too few rows"
