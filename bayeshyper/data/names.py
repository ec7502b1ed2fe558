"""Columns' names: those that no file holds, the one that was probably meant, and how two lists differ."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from bayeshyper.errors import DataError

__all__ = ["check_text", "listed", "mismatch", "nearest"]


def check_text(text: str, what: str) -> None:
    r"""Refuse a name that cannot be written down: half a character, as a wrong encoding leaves it behind.

    Args:
        text: The name.
        what: What it is the name of.

    Raises:
        DataError: It is none.

    Example:
        >>> check_text("größe", "The column")
        >>> check_text("gr\udcf6sse", "The column")
        Traceback (most recent call last):
        bayeshyper.errors.DataError: The column 'gr\udcf6sse' is no text: read it in its own encoding, or ...
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{what} {text[:40]!r} is no text: read it in its own encoding, or name it anew."
        ) from None


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


def mismatch(expected: Sequence[str], got: Sequence[str]) -> str:
    """How the columns that came differ from those that were expected.

    Example:
        >>> mismatch(["a", "b"], ["b", "a"])
        'Feature names must be in the same order as they were in fit: reorder the columns of X.'
    """
    missing = [name for name in expected if name not in set(got)]
    unknown = [name for name in got if name not in set(expected)]
    if missing:
        return f"X lacks columns that the encoder was fitted with: {listed(map(repr, missing))}; add them."
    if unknown:
        return f"X has columns unseen when the encoder was fitted: {listed(map(repr, unknown))}; drop them."
    return "Feature names must be in the same order as they were in fit: reorder the columns of X."
