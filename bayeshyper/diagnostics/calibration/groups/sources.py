"""Which flagged groups only share the rows of another one?

A fault in one region also shows among the old, if many of them live there. So the least credible group is
taken to be a source, its rows are left out, and the others are looked at again.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayeshyper.diagnostics._checks import Booleans
from bayeshyper.diagnostics._words import listing
from bayeshyper.diagnostics.calibration.groups.evidence import Evidence, chance, measured
from bayeshyper.diagnostics.calibration.groups.grouping import MIN_ROWS, Grouping
from bayeshyper.diagnostics.calibration.groups.table import Group

_MOST_SOURCES = 5  # whose rows are left out; beyond that a fault is everywhere
_NOTHING_LEFT = 0.05  # shared by the groups looked at again: above it, a fault is gone


def with_sources(groups: list[Group], columns: list[Grouping], evidence: list[Evidence]) -> list[Group]:
    """Says of each flagged group which others explain it; the groups come with the least credible first.

    Sources together may hold at most half of the rows: what is wrong in more is wrong everywhere, and no
    group explains it.

    Example:
        >>> codes = np.repeat([0, 1], [30, 70])  # two columns that make the same groups
        >>> columns = [Grouping(name, codes, ("few", "many")) for name in ("region", "age")]
        >>> seen = Evidence("accuracy", np.full(100, 0.9), (codes == 1) * 0.9)
        >>> flagged = [replace(measured(column, seen)[0], flagged=True) for column in columns]
        >>> [(group.column, group.explained_by) for group in with_sources(flagged, columns, [seen])]
        [('region', ''), ('age', 'region: few')]
    """
    by_name = {column.column: column for column in columns}
    found = {_key(group): group for group in groups}
    for seen in evidence:
        unexplained = [group for group in groups if group.flagged and _of(group, seen)]
        kept = np.ones(len(seen.stated), dtype=np.bool_)
        sources: list[str] = []
        while len(unexplained) > 1 and len(sources) < _MOST_SOURCES:
            source = unexplained.pop(0)
            without = kept & ~_rows(source, by_name[source.column])
            if np.count_nonzero(without) < len(kept) / 2:
                continue
            kept = without
            sources.append(f"{source.column}: {source.label}")
            wrong = _still_wrong(unexplained, by_name, seen, kept)
            for group in unexplained:
                if _key(group) not in wrong:
                    found[_key(group)] = replace(group, explained_by=listing(sources))
            unexplained = [group for group in unexplained if _key(group) in wrong]
    return [found[_key(group)] for group in groups]


def _key(group: Group) -> tuple[str, str, str, str]:
    return group.column, group.label, group.measure, group.event


def _of(group: Group, seen: Evidence) -> bool:
    return (group.measure, group.event) == (seen.measure, seen.event)


def _rows(group: Group, column: Grouping) -> Booleans:
    return np.asarray(column.codes == column.labels.index(group.label), dtype=np.bool_)


def _still_wrong(
    flagged: list[Group], columns: dict[str, Grouping], seen: Evidence, kept: Booleans
) -> set[tuple[str, str, str, str]]:
    """Which of these groups are wrong on the rows kept; one with too few of them left is not."""
    keys = {_key(group) for group in flagged}
    groups = [
        group
        for name in {group.column for group in flagged}
        for group in measured(columns[name], seen, kept=kept)
        if group.n_rows >= MIN_ROWS and _key(group) in keys
    ]
    if not groups:
        return set()
    share = _NOTHING_LEFT / len(flagged)
    return {_key(group) for group, p in zip(groups, chance(groups), strict=True) if p <= share}
