"""What groups of rows and repairs add to a verdict: in which places it is wrong, and what would mend it."""

from __future__ import annotations

from dataclasses import replace

from bayeshyper.diagnostics._words import listing, percent, plural
from bayeshyper.diagnostics.calibration.groups import Group, GroupTable
from bayeshyper.diagnostics.evaluation.verdict import SMALL, Verdict
from bayeshyper.diagnostics.repair.comparison import RepairComparison

_MOST = 3  # places that are told; the table has them all

_WHAT = {
    "too low": "the predictions are too low",
    "too high": "the predictions are too high",
    "too narrow": "the intervals are too narrow",
    "too wide": "the intervals are too wide",
    "over-confident": "it is right less often than it says",
    "under-confident": "it is right more often than it says",
}


def with_places(verdict: Verdict, table: GroupTable, task: str) -> Verdict:
    """Adds to a verdict the groups of rows in which the forecast is wrong by more than chance and a little.

    A forecast that is calibrated on the whole is "wrong in places" then; one with a fault on the whole keeps
    its verdict, and the places where it is worst are told.
    """
    wrong = [group for group in table.sources if abs(group.observed - group.stated) >= SMALL[task]]
    if not wrong:
        return verdict
    if verdict.flagged and len(wrong) > _MOST and len(table.flagged) > table.n_tests / 4:
        everywhere = (
            f"It is so in many places: {len(table.flagged)} of {plural(table.n_tests, 'judgement')} on"
        )
        return replace(verdict, findings=(*verdict.findings, f"{everywhere} groups of rows are flagged."))
    places = {(group.column, group.label) for group in wrong}
    findings = tuple(_finding(group) for group in wrong[:_MOST])
    if len(wrong) > _MOST and len(places) > 1:
        findings = (
            *findings,
            f"{plural(len(places), 'group')} in all are wrong by themselves: see the table of groups.",
        )
    if verdict.flagged:
        return replace(verdict, findings=(*verdict.findings, *findings))
    worst = wrong[0]
    columns = listing(dict.fromkeys(group.column for group in wrong))
    elsewhere = ("Elsewhere, use it as it is.",) if len(places) == 1 else ()
    return Verdict(
        "wrong in places",
        f"Wrong in places: no fault is visible on the whole, but where {_rows(worst)}, {_what(worst)}.",
        (*verdict.findings, *findings),
        (
            "Do not trust what it states for those rows. See whether they differ from the training "
            f"rows, or were few there; more of them, or a feature that interacts with {columns}, may help.",
            *elsewhere,
        ),
    )


def with_repairs(verdict: Verdict, repairs: RepairComparison) -> Verdict:
    """Adds to a verdict that found a fault the repair that mends some of it."""
    if not verdict.flagged or repairs.best is None:
        return verdict
    return replace(verdict, actions=(*verdict.actions, repairs.conclusion))


def _rows(group: Group) -> str:
    return f"{group.column} is {group.label}"


def _what(group: Group) -> str:
    return f"{group.event} is {group.fault}" if group.measure == "frequency" else _WHAT[group.fault]


def _finding(group: Group) -> str:
    rows = plural(group.n_rows, "row")
    where = f"Where {_rows(group)} ({rows}), {_what(group)}"
    seen = percent(group.observed, group.n_rows)
    if group.measure == "position":
        return f"{where}: on average the truth lies at their {seen} quantile, not in the middle."
    stated = percent(group.stated, group.n_rows)
    if group.measure == "coverage":
        return f"{where}: {seen} lie inside their {stated} interval."
    if group.measure == "frequency":
        return f"{where}: it is given {stated} on average, and happened in {seen}."
    return f"{where}: {stated} sure on average, right in {seen}."
