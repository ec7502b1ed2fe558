"""What does not fit into memory is refused before any of it is made."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import psutil

from bayeshyper.errors import TooLarge

if sys.platform != "win32":
    import resource

__all__ = ["check_answers", "check_draws", "check_fits", "free_memory", "readable"]

# What a container allows, what it uses, and how much of that is file cache, by version of cgroups.
CGROUPS = Path("/sys/fs/cgroup")
LIMITS = [
    ("memory.max", "memory.current", "memory.stat", ("active_file", "inactive_file")),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        ("total_active_file", "total_inactive_file"),
    ),
]

# A draw of weights is held with its mean, its scale, its noise, in another order and in float64.
DRAW_BYTES = 32


def free_memory(cgroups: Path = CGROUPS) -> int:
    """Bytes that are free: of the machine, of its container or of what ``ulimit -v`` allows, the least.

    File cache counts as free in the first two, since the system gives it up for whoever asks.

    Args:
        cgroups: Where Linux says what a container may use; without such files it is in none.
    """
    free = psutil.virtual_memory().available
    for limit, usage, counters, cached in LIMITS:
        with contextlib.suppress(OSError, ValueError):  # another version of cgroups, or "max" for no limit
            allowed, used = (int((cgroups / name).read_text()) for name in (limit, usage))
            counts = [line.split() for line in (cgroups / counters).read_text().splitlines()]
            free = min(free, allowed - used + sum(int(count) for name, count in counts if name in cached))
    return max(min(free, _allowed_to_map()), 0)


def _allowed_to_map() -> int:
    """Bytes of addresses that the process may still ask for, which is what ``ulimit -v`` limits."""
    if sys.platform == "win32":
        return sys.maxsize
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    return sys.maxsize if allowed == resource.RLIM_INFINITY else allowed - psutil.Process().memory_info().vms


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
    needed, free = count * bytes_each, free_memory()
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


def check_answers(draws: int, rows: int, *, width: int = 1) -> None:
    """Refuse so many draws of each row's answer if they need more memory than is free, see `check_fits`."""
    numbers = draws * max(rows, 1) * width
    check_fits(
        numbers,
        f"{draws:,} draws for each of {rows:,} rows",
        bytes_each=24,  # the chunks, the whole of them, and that in the target's units
        instead="ask for fewer draws, or for some of the rows at a time, by rows()",
    )
