"""How much so few held-out rows can choose."""

from __future__ import annotations

import math

from bayeshyper.errors import FewRowsWarning, warn

__all__ = ["warn_of_few_held_out"]

FEW_HELD_OUT = 10
"""A standard deviation of n residuals has a relative error of 1/√(2n): with 10 the noise level is known
within a factor of 1.55 (95 %), with fewer not even that. The recipes hold out as many or none."""


def warn_of_few_held_out(rows: int, setting: str, purpose: str) -> None:
    """Warn with `FewRowsWarning` where some rows are held out, and fewer than 10.

    Example:
        >>> warn_of_few_held_out(0, "calibration.holdout", "choose the noise")
    """
    if 0 < rows < FEW_HELD_OUT:
        factor = math.exp(1.96 / math.sqrt(2 * rows))
        warn(
            FewRowsWarning,
            f"{rows} rows held out to {purpose} are few: they tell the size of the noise within a factor "
            f"of {factor:.1f} at best (95 % confidence). Raise {setting} until it holds out {FEW_HELD_OUT} "
            "rows or more, set it to 0 to fit all rows, or add rows.",
        )
