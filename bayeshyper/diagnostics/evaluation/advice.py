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
    alike = [group for group in table.groups if _kind(group) == _kind(wrong[0]) and group.p_value is not None]
    flagged = sum(group.flagged for group in alike)
    if verdict.flagged and len(wrong) > _MOST and flagged > len(alike) / 4 and not _apart(wrong):
        everywhere = (
            f"It is so in many places: {flagged} of {plural(len(alike), 'group')} of rows are flagged."
        )
        return replace(verdict, findings=(*verdict.findings, everywhere))
    places = {(group.column, group.label) for group in wrong}
    findings = tuple(_finding(group) for group in wrong[:_MOST])
    if len(wrong) > _MOST and len(places) > 1:
        findings = (
            *findings,
            f"{plural(len(places), 'group')} in all are wrong by themselves: see the table of groups.",
        )
    if verdict.flagged:
        return replace(
            verdict, findings=(*verdict.findings, *findings), actions=(*verdict.actions, *_look_there(wrong))
        )
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
    """Adds to a verdict the repair that improves the prediction: of a fault, or of none that the tests see.

    A prediction is not to be used as it is where a repair helps beyond chance.
    """
    if repairs.best is None:
        return verdict
    if verdict.flagged or verdict.status == "undecided":
        return replace(verdict, actions=(*verdict.actions, repairs.conclusion))
    aside = f"The tests find no fault that matters, and yet a repair helps: {repairs.conclusion}"
    return replace(verdict, actions=(aside,))


def _look_there(wrong: list[Group]) -> tuple[str, ...]:
    """What to do about groups whose predictions are shifted: no repair of all rows moves them back."""
    shifted = [group for group in wrong if group.measure == "position"]
    if not shifted:
        return ()
    places = listing(_rows(group) for group in shifted[:_MOST])
    columns = listing(dict.fromkeys(group.column for group in shifted))
    what = "too low in some and too high in others" if _apart(wrong) else shifted[0].fault
    return (
        f"Look first at the rows where {places}: the predictions are {what}, and that alone lets intervals "
        f"miss. More such rows, or a feature that interacts with {columns}, would mend what wider intervals "
        "only cover.",
    )


def _kind(group: Group) -> tuple[str, str]:
    return group.measure, group.event


def _apart(groups: list[Group]) -> bool:
    """Whether predictions are too low in some groups and too high in others."""
    return len({group.fault for group in groups if group.measure == "position"}) == 2


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
