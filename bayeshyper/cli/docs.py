"""`bayeshyper docs`: the pages for users, wherever bayeshyper is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayeshyper.cli.console import read, say
from bayeshyper.errors import BayeshyperError

__all__ = ["docs"]

Page = Annotated[
    str | None,
    typer.Argument(metavar="PAGE", help="Its name; without one, all pages are listed.", show_default=False),
]


def docs(page: Page = None) -> None:
    """List the pages for users, or show one of them.

    **Examples**

            bayeshyper docs
            bayeshyper docs your_own_pyro_model
    """
    pages = {path.stem: path for path in sorted(_folder().glob("*.md"))}
    if page is None:
        width = max(map(len, pages))
        for name, path in pages.items():
            say(f"{name:<{width}}  {_title(path)}")
        return
    if page not in pages:
        raise BayeshyperError(f"There is no page {page!r}, expected one of {', '.join(pages)}.")
    read(pages[page].read_text(encoding="utf-8"))
    say(f"The page itself: {pages[page]}")


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def _folder() -> Path:
    """A wheel carries the pages inside the package; in the repository they stand beside it."""
    package = Path(__file__).parents[1]
    inside = package / "_docs"
    return inside if inside.is_dir() else package.parent / "docs"
