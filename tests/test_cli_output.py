"""What comes out of the command line runs nowhere: not in a spreadsheet, a terminal or a browser."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bayeshyper.cli.app import app
from bayeshyper.cli.console import complain, say
from bayeshyper.cli.output import write_table
from bayeshyper.plain import plain

# The hostile classes are few of each.
pytestmark = pytest.mark.filterwarnings("ignore::bayeshyper.ClassImbalanceWarning")

FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "  =1+1",
    "\u200b=1+1",
    "\ufeff=1+1",
    "＝1+1",
    "＋1+1",
    "－1+1",
    "＠SUM(A1)",
    "=",
    "--1",
    "+-inf()",
]
HARMLESS = [
    "x, -y",
    "-1",
    "+2.5",
    "-1e-5",
    "-inf",
    "a=b",
    "",
    "'=1",
    "2024-01-31",
    "x-y",
    "e-mail@x.org",
    "é",
]
STARTS = "=+-@＝＋－＠"


def cells(path: Path, separator: str) -> list[list[str]]:
    """What a spreadsheet that splits at this separator finds."""
    text = path.read_bytes().decode()
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))


def runs(cell: str) -> bool:
    """Whether a spreadsheet takes a cell for a formula: what it opens with, behind blanks, is no number's."""
    seen = re.sub(r"^[\s\u200b\ufeff]+", "", cell)
    try:
        float(seen)
    except ValueError:
        return seen.startswith(tuple(STARTS))
    return False


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_a_formula_is_escaped_as_a_cell_and_as_a_name(tmp_path: Path, name: str, formula: str) -> None:
    write_table(pd.DataFrame({formula: [formula, "x"], "n": [-1.5, 2.0]}), tmp_path / name)
    found = cells(tmp_path / name, "," if name == "t.csv" else "\t")
    assert found[0][0] == found[1][0]
    assert found[0][0].startswith("'")
    assert found[0][0].replace("'", "") == formula.replace("'", "")
    assert found[1][1] == "-1.5"


def test_what_is_no_formula_stays_as_it_is(tmp_path: Path) -> None:
    write_table(pd.DataFrame({"a": HARMLESS, "é-": [-1.0] * len(HARMLESS)}), tmp_path / "t.csv")
    assert cells(tmp_path / "t.csv", ",") == [["a", "é-"], *([cell, "-1.0"] for cell in HARMLESS)]


@given(
    st.lists(
        st.text(st.sampled_from(list("=+-@＝1a;,|\t\r\n \"'\u200b")), max_size=6), min_size=2, max_size=4
    )
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_runs_wherever_a_spreadsheet_splits(tmp_path: Path, texts: list[str]) -> None:
    """Where its list separator is another than the file's, the rest of a cell would be one of its own."""
    write_table(pd.DataFrame({f"n{texts[0]}": texts[1:], "m": 1.5}), tmp_path / "t.csv")
    for separator in ",;\t|":
        assert not any(runs(cell) for record in cells(tmp_path / "t.csv", separator) for cell in record)


@given(st.text())
def test_plain_text_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = plain(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", shown)
    assert plain(shown) == shown
    if text.isprintable():
        assert shown == text or re.search("[\u200e\u200f]", text)


def test_a_name_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    say("a \x1b[2J \x1b]0;title\x07 [red]b[/] é")
    complain("Error", "\x9b31m\r c")
    said = capsys.readouterr()
    assert said.out == "a \\x1b[2J \\x1b]0;title\\x07 [red]b[/] é\n"
    assert said.err == "Error: \\x9b31m\\r c\n"


EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|' /C calc'!A0",
    "a;=1+1",
    "$\\frac{1$",
    "{{ 7*7 }}{% raw %}",
    "![x](javascript:alert(1))",
    "\x1b[2J",
    "[red]x[/y]",
    "|\n# heading",
]
FEW = [
    f"--set={key}=2" for key in ("optimizer.steps", "warm_start.steps", "warm_start.natural_steps", "members")
]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [name for name, _ in attrs]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose every text is hostile, and all that the commands make of it."""
    folder = tmp_path_factory.mktemp("evil")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), EVIL[0]: rng.normal(size=60)})
    for name in EVIL[5:7]:
        frame[name] = rng.choice(EVIL, 60)
    frame["y"] = rng.choice(EVIL, 60)
    table, model = folder / "t.csv", folder / "m.bayeshyper"
    frame.to_csv(table, index=False)
    runner = CliRunner()
    for command in (
        ["fit", table, "--target=y", "-o", model, *FEW],
        ["predict", model, table, "-o", folder / "p.csv"],
        ["report", model, table, "-o", folder / "report"],
        ["compare", table, "--target=y", "--model=map", "-o", folder / "compared", *FEW],
    ):
        done = runner.invoke(app, [str(word) for word in command])
        assert done.exit_code == 0, done.output
    return folder


def test_predictions_of_hostile_classes_run_in_no_spreadsheet(folder: Path) -> None:
    for separator in ",;\t|":
        assert not any(runs(cell) for record in cells(folder / "p.csv", separator) for cell in record)
    classes = {cell.replace("'", "") for cell in pd.read_csv(folder / "p.csv")["prediction"]}
    assert classes <= {name.replace("'", "") for name in EVIL}


@pytest.mark.parametrize("made", ["report", "compared"])
def test_a_report_on_hostile_names_runs_nothing(folder: Path, made: str) -> None:
    page = (folder / made / "report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.names.count("script") == 1  # the page's own
    assert "img" not in tags.names
    assert not any(name.startswith("on") for name in tags.attributes)
    markdown = (folder / made / "report.md").read_text(encoding="utf-8")
    assert not re.search(r"<script|<img|(?<!\\)\]\(javascript|^# heading", markdown, flags=re.MULTILINE)
    assert "\x1b" not in page + markdown
    assert "{{ 7*7 }}" in page  # and not 49
