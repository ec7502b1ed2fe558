"""How much so few rows can say about calibration."""

from __future__ import annotations

from bayeshyper.diagnostics._words import NO_BREAK, percent, plural
from bayeshyper.diagnostics.scores.bootstrap import binomial_interval
from bayeshyper.errors import FewRowsWarning, warn

__all__ = ["FEW_ROWS", "warn_of_few"]

FEW_ROWS = 40
"""Below this nothing is called calibrated: a 90 % interval's true coverage is known to ±10 points at best."""

STATED = 0.9


def warn_of_few(rows: int, purpose: str) -> None:
    """Warn with `FewRowsWarning` where rows are too few to calibrate by, or to judge calibration.

    What they tell is shown for a share of 90 %, with its exact binomial interval: that of 40 rows is 76 % to
    97 %, and calibration errors of models that people use lie inside it.

    Example:
        >>> warn_of_few(FEW_ROWS, "to judge calibration by")
    """
    if rows >= FEW_ROWS:
        return
    low, high = binomial_interval(round(STATED * rows), rows)
    warn(
        FewRowsWarning,
        f"{plural(rows, 'row')} {purpose} {'is' if rows == 1 else 'are'} few: where {percent(STATED)} of so "
        f"many lie in their interval, the true share may be anything from {percent(low)} to {percent(high)} "
        f"(95{NO_BREAK}% confidence). Take {FEW_ROWS} rows at the very least, and a few hundred to see a "
        "moderate fault.",
    )
