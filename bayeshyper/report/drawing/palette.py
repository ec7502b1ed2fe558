"""The colours and dashes of the report, for the page, for the SVG files and for the PNG files."""

from __future__ import annotations

import re

LIGHT = {
    "paper": "#f7f5f0",
    "card": "#ffffff",
    "ink": "#1d2430",
    "muted": "#565f6d",
    "rule": "#e2dfd7",
    "band": "#d5dee0",
    "shadow": "#cbc6ba",
    "accent": "#0b6b7f",
    "good": "#2b6f45",
    "good-wash": "#e7f2ea",
    "bad": "#a5301f",
    "bad-wash": "#fbeae6",
    "care": "#7d4f00",
    "care-wash": "#fbf1de",
    "open": "#47566b",
    "open-wash": "#eaeef3",
    "s0": "#0b6b7f",
    "s1": "#b4501e",
    "s2": "#6a4c9c",
    "s3": "#3d7a35",
    "s4": "#a3315f",
    "s5": "#7a6a1d",
    "s6": "#3556a8",
}
"""On paper and on a light screen; ``s0`` to ``s6`` are the series."""

DARK = {
    "paper": "#13161b",
    "card": "#1b2027",
    "ink": "#e8eaee",
    "muted": "#a3acb9",
    "rule": "#2d343e",
    "band": "#34414b",
    "shadow": "#06080b",
    "accent": "#6cc3d5",
    "good": "#82cf9f",
    "good-wash": "#1a2a21",
    "bad": "#f3917f",
    "bad-wash": "#321d1a",
    "care": "#e7b766",
    "care-wash": "#2e2617",
    "open": "#a9b9cf",
    "open-wash": "#1f2731",
    "s0": "#6cc3d5",
    "s1": "#f0a070",
    "s2": "#bda4ea",
    "s3": "#93cf85",
    "s4": "#f097bb",
    "s5": "#d6c565",
    "s6": "#8fb0ff",
}
"""On a dark screen."""

DASHES: tuple[tuple[int, ...], ...] = ((), (9, 5), (2, 5), (11, 4, 2, 4), (5, 4), (14, 5), (8, 3, 2, 3, 2, 3))
"""Lengths of strokes and gaps of each series: told apart without colour, too."""

N_SERIES = len(DASHES)
"""So many series have colours and dashes of their own; the next ones start over."""


def resolved(style: str) -> str:
    """Puts the light colours in the place of ``var(--name)``, for programs that know no variables.

    Example:
        >>> resolved(".bar { fill: var(--s0); }")
        '.bar { fill: #0b6b7f; }'
    """
    return re.sub(r"var\(--([\w-]+)\)", lambda match: LIGHT[match[1]], style)
