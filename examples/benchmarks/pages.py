"""Pages whose numbers nobody types: what their Python prints, and tables that scripts make.

    python examples/benchmarks/pages.py docs/your_own_pyro_model.md    # runs its code, minutes

A page's blocks of Python are one program, from the top down. Below a block that prints stands a block of text
with what it printed. A table stands between ``<!-- NAME -->`` and ``<!-- end of NAME -->``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```\n)?", re.MULTILINE | re.DOTALL
)


class Ran(NamedTuple):
    """A block of code, what the page shows below it, and what it prints."""

    code: str
    shown: str
    printed: str


def run(page: str) -> Iterator[Ran]:
    """Run a page's blocks, one after the other, in one namespace."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in BLOCK.finditer(page):
        line = page.count("\n", 0, block.start("code"))
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile("\n" * line + block["code"], "page", "exec"), names)
        yield Ran(block["code"], block["shown"] or "", said.getvalue())


def refreshed(page: str) -> str:
    """The page with what its code prints."""
    ran = run(page)

    def block(_: re.Match[str]) -> str:
        code, _, printed = next(ran)
        return f"```python\n{code}```\n" + (f"\n```text\n{printed}```\n" if printed else "")

    return BLOCK.sub(block, page)


def with_table(page: str, name: str, lines: Iterator[str] | list[str]) -> str:
    """The page with another table between a name's two marks.

    Raises:
        ValueError: There are no such marks.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, opening, rest = page.partition(start)
    _, closing, after = rest.partition(end)
    if not (opening and closing):
        raise ValueError(f"Got a page without the lines {start.strip()} and {end.strip()}.")
    return "\n".join([before + start, *lines, end + after])


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("pages", type=Path, nargs="+")
    for path in parser.parse_args().pages:
        path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
