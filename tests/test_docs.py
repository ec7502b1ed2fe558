"""The pages for users: their code runs from the top down, and prints what they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyro
import pytest

from tests.test_uci_harness import imported

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
NUMBER = re.compile(r"[-−]?\d+(\.\d+)?(e[-+]\d+)?|nan|inf")


@pytest.fixture(autouse=True)
def _no_parameters_are_left() -> Iterator[None]:
    """Those of Pyro's own guides, which the pages train beside ours."""
    yield
    pyro.clear_param_store()


def quick(page: str) -> str:
    """The page's code with a hundredth of its steps."""
    return page.replace("\nsteps = 2000\n", "\nsteps = 20\n")


def words(text: str) -> str:
    """A text without its numbers, and without the spaces that line them up."""
    return " ".join(NUMBER.sub("#", text).split())


# A guide of a hundredth of the steps may be too far from the posterior for weights.
@pytest.mark.filterwarnings("ignore::bayeshyper.ApproximationWarning")
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_pages_code_runs_and_what_it_prints_is_what_the_page_shows(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where it may write
    page = path.read_text(encoding="utf-8")
    blocks = list(imported("pages").run(quick(page)))
    assert len(blocks) == page.count("```python\n")
    for block in blocks:
        assert words(block.printed) == words(block.shown), block.code


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_pages_links_and_pictures_are_there(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target.partition("#")[0]).exists(), target


def test_what_is_shown_is_replaced_and_added_and_taken_away() -> None:
    pages = imported("pages")
    old, new, silent, told = (
        "```python\nx = 1\nprint(x)\n```\n\n```text\nold\n```\n",
        "```python\nx = 1\nprint(x)\n```\n\n```text\n1\n```\n",
        "```python\ny = x\n```\n",
        "```python\nprint(y + 1)\n```\n",
    )
    page = "\n".join([old, silent + "\n```text\nold\n```\n", "b\n", told])
    refreshed = "\n".join([new, silent, "b\n", told + "\n```text\n2\n```\n"])
    assert pages.refreshed(page) == pages.refreshed(refreshed) == refreshed


def test_a_table_stands_between_its_marks() -> None:
    with_table = imported("pages").with_table
    page = "a\n<!-- t -->\nold\n<!-- end of t -->\nb\n"
    assert with_table(page, "t", ["| new |"]) == "a\n<!-- t -->\n\n| new |\n<!-- end of t -->\nb\n"
    with pytest.raises(ValueError, match="a page without the lines <!-- u -->"):
        with_table(page, "u", [])
