"""Columns' names in messages: the one that was probably meant, and lists that stay short."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["listed", "nearest"]


def nearest(name: str, names: Iterable[object]) -> str | None:
    """The most similar of some names, upper and lower case alike, or None where nothing is similar.

    Example:
        >>> nearest("Prise", ["rooms", "price"])
        'price'
    """
    folded = {str(candidate).strip().lower(): str(candidate) for candidate in names}
    matches = difflib.get_close_matches(name.strip().lower(), folded, n=1)
    return folded[matches[0]] if matches else None


def listed(items: Iterable[object], *, most: int = 8) -> str:
    """The items with commas between them, those beyond `most` as a count.

    Example:
        >>> listed("abc", most=2)
        'a, b and 1 more'
    """
    texts = [str(item) for item in items]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
