"""What is printed, and where: results to standard output, all else to standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from bayeshyper.plain import plain

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["complain", "read", "say", "show"]

STYLES = {"Error": "bold red", **dict.fromkeys(["Warning", "Interrupted", "Terminated"], "bold yellow")}


def say(sentence: str) -> None:
    """Print a result as plain text; a long line is left to the terminal to wrap."""
    Console().print(Text(plain(sentence)), soft_wrap=True)


def show(table: Table) -> None:
    """Print a table."""
    Console().print(table)


def read(markdown: str) -> None:
    """Print a page: laid out in a terminal, as it stands into a file or a pipe."""
    from rich.markdown import Markdown

    console = Console()
    console.print(
        Markdown(markdown) if console.is_terminal else Text(markdown), soft_wrap=not console.is_terminal
    )


def complain(kind: str, sentence: str) -> None:
    """Print one sentence to standard error, headed by what it is."""
    Console(stderr=True).print(Text(f"{kind}: ", STYLES[kind]) + Text(plain(sentence)), soft_wrap=True)
