"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable

NO_BREAK = "\u00a0"
MINUS = "\u2212"


def percent(share: float, n_rows: int = 0) -> str:
    """Writes a share in per cent, with a decimal where at least 1000 rows carry it.

    Only a share that is exactly one is called 100 %, only one that is exactly zero 0 %; what is nearer
    to them than three decimals tell is "< 0.001 %" or "> 99.999 %".

    Example:
        >>> percent(0.876).replace(NO_BREAK, " "), percent(0.999).replace(NO_BREAK, " ")
        ('88 %', '99.9 %')
        >>> percent(1e-7).replace(NO_BREAK, " ")
        '< 0.001 %'
    """
    value = 100.0 * share
    decimals = 1 if n_rows >= 1000 else 0
    while decimals < 3 and 0.0 < abs(value) < 100.0 and f"{abs(value):.{decimals}f}" in _extremes(decimals):
        decimals += 1
    if decimals == 3 and 0.0 < value < 100.0 and f"{value:.3f}" in _extremes(3):
        return f"< 0.001{NO_BREAK}%" if value < 50.0 else f"> 99.999{NO_BREAK}%"
    return f"{value:.{decimals}f}{NO_BREAK}%".replace("-", MINUS)


def number(value: float, *, error: float | None = None) -> str:
    """Writes a number with the digits that its error carries: two of them, but never more than five in all.

    Without an error, four digits.

    Example:
        >>> number(54.321, error=1.7), number(54321.0, error=900.0), number(0.123456)
        ('54.3', '54,321', '0.1235')
    """
    if not math.isfinite(value):
        return str(value)
    carried = error if error and math.isfinite(error) else abs(value) / 100.0
    scale = max(abs(carried), abs(value) / 1_000.0)
    decimals = 0 if scale == 0 else max(0, min(6, 1 - math.floor(math.log10(scale))))
    if abs(value) >= 1e7 or (value != 0 and abs(value) < 1e-4 and decimals >= 6):
        return f"{value:.3g}".replace("-", MINUS)
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def listing(words: Iterable[str]) -> str:
    """Joins words as a sentence does.

    Example:
        >>> listing(["a", "b", "c"])
        'a, b and c'
    """
    items = list(words)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def plural(count: int, noun: str) -> str:
    """Writes a count with its noun.

    Example:
        >>> plural(1, "row"), plural(1200, "row")
        ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _extremes(decimals: int) -> tuple[str, str]:
    return f"{0:.{decimals}f}", f"{100:.{decimals}f}"
