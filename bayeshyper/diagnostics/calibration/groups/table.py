"""What is said of each group of rows, and of all of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

Measure: TypeAlias = Literal["position", "coverage", "accuracy", "frequency"]

FAULTS: dict[Measure, tuple[str, str]] = {  # where less, and where more, is observed than stated
    "position": ("too high", "too low"),
    "coverage": ("too narrow", "too wide"),
    "accuracy": ("over-confident", "under-confident"),
    "frequency": ("predicted too often", "predicted too rarely"),
}


@dataclass(frozen=True)
class Group:
    """One group of rows, judged by one measure.

    Args:
        column: The column that makes the group.
        label: The group's value or values in that column: "north", "31 to 40", "missing".
        measure: "position" (the mean PIT: 0.5, and more where the predictions are too low), "coverage" (the
            share of rows inside their interval), "accuracy" (the share of rows whose event happened: that the
            likeliest class is right, say) or "frequency" (the share of rows of one class).
        n_rows: How many rows.
        stated: What the measure is if the predictions are calibrated: 0.5, the interval's level, or the mean
            confidence or probability of these rows.
        observed: What it is.
        event: The class whose frequency it is; else "".
        lower: From here to ``upper`` the measure is not flagged; None where the group is not judged.
        upper: Likewise.
        statistic: ``observed - stated`` in standard deviations of a calibrated forecast.
        p_value: How often chance alone gives a difference that large, or an upper bound for it.
        adjusted_p_value: The same, for the number of groups looked at (Holm).
        flagged: Whether that is at most the level of the table.
        fault: What the predictions are, where flagged: "too low", "too high", "too narrow", "too wide",
            "over-confident", "under-confident", "predicted too often" or "predicted too rarely"; else "".
        explained_by: The groups without whose rows nothing is left of this fault, as in "region: south"; ""
            for a group that is wrong by itself.
        note: Why the group is not judged, or how to read its fault.
    """

    column: str
    label: str
    measure: Measure
    n_rows: int
    stated: float
    observed: float
    event: str = ""
    lower: float | None = None
    upper: float | None = None
    statistic: float | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    flagged: bool = False
    fault: str = ""
    explained_by: str = ""
    note: str = ""


@dataclass(frozen=True)
class GroupTable:
    """All groups, the least credible first and those with too few rows last.

    Args:
        groups: One for each group and measure.
        level: How often, at most, a calibrated forecast has any group flagged.
        n_tests: How many groups and measures were judged.
        notes: For columns that were left out, or cut to their largest levels: why.
    """

    groups: tuple[Group, ...]
    level: float
    n_tests: int
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def flagged(self) -> tuple[Group, ...]:
        """The groups in which the model is wrong beyond chance."""
        return tuple(group for group in self.groups if group.flagged)

    @property
    def sources(self) -> tuple[Group, ...]:
        """The flagged groups that no other group explains: where the model is wrong."""
        return tuple(group for group in self.flagged if not group.explained_by)

    def to_dict(self) -> dict[str, Any]:
        """Returns the table as JSON knows it."""
        return asdict(replace(self, groups=())) | {"groups": [asdict(group) for group in self.groups]}
