"""What does not fit into memory is refused before any of it is made."""

from __future__ import annotations

import psutil

from bayeshyper.errors import TooLarge

__all__ = ["check_draws", "check_fits", "readable"]

# A draw of weights is held with its mean, its scale, its noise, in another order and in float64.
DRAW_BYTES = 32


def check_fits(count: int, what: str, *, bytes_each: int, instead: str) -> None:
    """Refuse so many numbers if they need more memory than is free.

    Args:
        count: How many numbers.
        what: Their name in the sentence, as in "1,000 draws of 252 weights".
        bytes_each: Bytes that making them takes at once, for each.
        instead: What to do.

    Raises:
        TooLarge: They do; with the estimate.

    Example:
        >>> check_fits(10**3, "10 draws of 100 weights", bytes_each=8, instead="draw fewer")
        >>> readable(8 * 10**15)
        '8,000,000.0 GB'
    """
    needed, free = count * bytes_each, psutil.virtual_memory().available
    if needed > free:
        raise TooLarge(
            f"{what} take about {readable(needed)}, expected no more than the {readable(free)} of memory "
            f"that are free: {instead}."
        )


def readable(count: int) -> str:
    """A number of bytes in words."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def check_draws(draws: int, weights: int, *, instead: str) -> None:
    """Refuse draws of weight vectors that need more memory than is free, see `check_fits`."""
    check_fits(
        draws * weights, f"{draws:,} draws of {weights:,} weights", bytes_each=DRAW_BYTES, instead=instead
    )
