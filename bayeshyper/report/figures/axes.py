"""Axes: round ticks, per cent and plain numbers, and room around what is drawn."""

from __future__ import annotations

import math

from bayeshyper.report.figures.figure import Axis, Numbers


def share_axis(label: str, low: float = 0.0, high: float = 1.0) -> Axis:
    """Makes an axis in per cent.

    Example:
        >>> [text for _, text in share_axis("Share").ticks]
        ['0%', '20%', '40%', '60%', '80%', '100%']
    """
    ticks = nice_ticks(low, high)
    step = 100.0 * (ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0
    decimals = max(0, math.ceil(-math.log10(step) - 1e-9))
    return Axis(
        label, low, high, tuple((t, f"{100.0 * t:.{decimals}f}%".replace("-", "\u2212")) for t in ticks)
    )


def number_axis(label: str, low: float, high: float, about: int = 5) -> Axis:
    """Makes an axis in plain numbers.

    Example:
        >>> [text for _, text in number_axis("Step", 0, 4000).ticks]
        ['0', '1,000', '2,000', '3,000', '4,000']
    """
    ticks = nice_ticks(low, high, about)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    decimals = next(
        (d for d in range(12) if math.isclose(step * 10**d, round(step * 10**d), rel_tol=1e-6)), 12
    )
    return Axis(label, low, high, tuple((t, f"{t:,.{decimals}f}".replace("-", "\u2212")) for t in ticks))


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Returns round numbers between low and high.

    Example:
        >>> nice_ticks(0.0, 1.0)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1.0, 2.0, 5.0, 10.0), key=lambda m: abs(m * power - rough))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) + 0.0 for k in range(first, last + 1)]


def padded(values: Numbers, share: float = 0.06) -> tuple[float, float]:
    """Returns the least and largest value with some room on both sides, never of width zero.

    Example:
        >>> padded([0.0, 1.0], share=0.5), padded([2.0])
        ((-0.5, 1.5), (1.0, 3.0))
    """
    low, high = min(values), max(values)
    room = share * (high - low) or max(abs(low) * 0.5, 1e-9)
    return low - room, high + room
