"""What a section of the report is made of: sentences, tables and figures."""

from __future__ import annotations

from dataclasses import dataclass

from bayeshyper.report.figures.figure import Figure

MOST_ROWS = 400
"""Of a table on the page; metrics.json has them all."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        text: What it says.
        under: Beneath, in small print: an interval, or why there is no value.
        order: What it is sorted by, where the text will not do; None sorts last.
        tone: Its colour: "good", "bad", "care" or "open"; the words must say the same.
    """

    text: str
    under: str = ""
    order: float | str | None = None
    tone: str = ""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        name: Its heading.
        under: Beneath it, in small print.
        numeric: Numbers are set to the right and sort by `Cell.order`.
        first: How the first click on its heading sorts; empty for a column that cannot be sorted.
        sorted: How the table is sorted by it as it stands; empty if it is not.
    """

    name: str
    under: str = ""
    numeric: bool = True
    first: str = "ascending"
    sorted: str = ""


@dataclass(frozen=True)
class Table:
    """A table whose first cells are headings of their rows.

    Args:
        name: Unique on the page.
        caption: What it shows, for those who come upon it alone.
        columns: The headings.
        rows: The cells.
        models: The model number of each row, where rows are models, which the reader can hide.
        narrow: Whether it fits beside a figure.
        folded: What the page shows until the table is opened; the Markdown leaves such a table out.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    models: tuple[int, ...] = ()
    narrow: bool = False
    folded: str = ""


@dataclass(frozen=True)
class Section:
    """One question and its answer.

    Args:
        name: Unique on the page.
        title: Its heading.
        sentences: The answer in words.
        tables: Evidence.
        figures: Evidence.
        badge: A word or two beside the heading, and its tone.
    """

    name: str
    title: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    badge: tuple[str, str] | None = None
