"""Text that came with a table or a file's name, made harmless where it is shown."""

from __future__ import annotations

import re

__all__ = ["plain"]

# Control characters but tab and line feed, and those that turn the direction of writing around.
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    r"""The text with whatever a terminal would obey, and a reader not see, spelt out.

    Example:
        >>> plain("price\x1b[2J")
        'price\\x1b[2J'
    """
    return OBEYED.sub(lambda found: found.group().encode("unicode_escape").decode(), text)
