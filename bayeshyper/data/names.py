"""Columns' names: those that no file holds, the one that was probably meant, and how two lists differ."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence

from bayeshyper.errors import DataError

__all__ = ["check_text", "lacking", "listed", "mismatch", "nearest", "told_apart"]


MOST_SHOWN = 8


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
    """The most similar of some names, alike whatever their case and Unicode form, or None where none is.

    Example:
        >>> nearest("Prise", ["rooms", "price"])
        'price'
    """
    folded = {_folded(str(candidate)): str(candidate) for candidate in names}
    matches = difflib.get_close_matches(_folded(name), folded, n=1)
    return folded[matches[0]] if matches else None


def told_apart(name: str, beside: str) -> str:
    r"""A name in quotes, by the codes of its characters where it may look like the one beside it.

    Unicode has letters with a mark as one character or as two (normal forms C and D), and some signs twice;
    files and systems write either, and a reader sees no difference.

    Example:
        >>> told_apart("Price", beside="price")
        "'Price'"
        >>> told_apart("cafe\u0301", beside="caf\u00e9")
        "'cafe\\u0301', which may look like 'caf\\xe9' but has other characters: ..."
    """
    if unicodedata.normalize("NFKC", name) != unicodedata.normalize("NFKC", beside):
        return repr(name)
    return (
        f"{name!a}, which may look like {beside!a} but has other characters: unicodedata.normalize "
        "makes them alike"
    )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().lower()


def listed(items: Iterable[object], *, most: int = MOST_SHOWN) -> str:
    """The items with commas between them, those beyond `most` as a count.

    Example:
        >>> listed("abc", most=2)
        'a, b and 1 more'
    """
    texts = [str(item) for item in items]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def lacking(missing: Sequence[str], names: Sequence[str]) -> str:
    """The missing names in quotes, each with the one among some names that was probably meant.

    Example:
        >>> lacking(["lot area", "garage"], ["Lot Area", "rooms"])
        "'lot area' (similar here: 'Lot Area'), 'garage'"
    """
    hints = [_hinted(name, names) for name in missing[:MOST_SHOWN]]  # of thousands, it would take minutes
    return listed([*hints, *missing[MOST_SHOWN:]])


def _hinted(name: str, names: Sequence[str]) -> str:
    near = nearest(name, names)
    return repr(name) if near is None else f"{name!r} (similar here: {told_apart(near, beside=name)})"


def mismatch(expected: Sequence[str], got: Sequence[str]) -> str:
    """How the columns that came differ from those that were expected.

    Example:
        >>> mismatch(["a", "b"], ["b", "a"])
        'Feature names must be in the same order as they were in fit: reorder the columns of X.'
    """
    there, known = set(got), set(expected)
    missing = [name for name in expected if name not in there]
    unknown = [name for name in got if name not in known]
    if missing:
        said = lacking(missing, unknown)
        return f"X lacks columns that the encoder was fitted with: {said}; add or rename them."
    if unknown:
        return f"X has columns unseen when the encoder was fitted: {listed(map(repr, unknown))}; drop them."
    return "Feature names must be in the same order as they were in fit: reorder the columns of X."
