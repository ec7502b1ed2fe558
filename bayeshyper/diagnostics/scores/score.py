"""One score as it is reported: the value, its interval, and what it means in plain words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Better: TypeAlias = Literal["higher", "lower", "nominal"]


@dataclass(frozen=True)
class Score:
    """One score with its interval, and what it means in plain words.

    A score that cannot be computed has the value None and a reason, never a wrong number.

    Args:
        name: The key, as in metrics.json: ``"crps"``.
        label: The name that people read: ``"CRPS"``.
        value: The score, or None.
        lower: The lower end of its interval, or None where there is none.
        upper: The upper end.
        better: Whether "higher" or "lower" is better, or the value should be near a "nominal" one.
        nominal: That nominal value.
        unit: What it is measured in; ``"share"`` is shown in per cent.
        method: Where the interval comes from: "bootstrap" or "exact binomial".
        explanation: One sentence for somebody who has never met the score.
        reason: Why the value, or else the interval, is missing.

    Example:
        >>> Score("rmse", "RMSE", 2.0, 1.5, 2.5, better="lower").value
        2.0
    """

    name: str
    label: str
    value: float | None
    lower: float | None = None
    upper: float | None = None
    better: Better = "higher"
    nominal: float | None = None
    unit: str = ""
    method: str = "bootstrap"
    explanation: str = ""
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON knows them."""
        return asdict(self)
