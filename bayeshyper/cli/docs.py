"""`bayeshyper docs`: what a Pyro user reads, wherever bayeshyper is installed."""

from __future__ import annotations

from pathlib import Path

from bayeshyper.cli.console import read, say

__all__ = ["docs"]

PAGE = "your_own_pyro_model.md"


def docs() -> None:
    """Show the page "Use it in your own Pyro model"."""
    page = _folder() / PAGE
    read(page.read_text(encoding="utf-8"))
    say(f"The page with its picture: {page}")


def _folder() -> Path:
    """A wheel carries the pages inside the package; in the repository they stand beside it."""
    package = Path(__file__).parents[1]
    inside = package / "_docs"
    return inside if inside.is_dir() else package.parent / "docs"
