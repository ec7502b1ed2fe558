"""The table of faults in the docs, made by running the tests that inject them.

    python -m tests.faults                # run them all, and write the table into docs/faults.md
    python -m tests.faults --only kill    # those whose words have this in them, and write nothing
    python -m tests.faults --from a.xml b.xml    # what earlier runs found: pytest's --junitxml, of all tests

`tests/faults.toml` says of each fault how it is injected, what comes of it, and which tests show that. The
cases are counted as the tests run: one for each test and each of its parameters, or as many as a test says
that it tried, by ``record_property("cases", n)``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
FAULTS, PAGE = ROOT / "tests" / "faults.toml", ROOT / "docs" / "faults.md"
START, END = "<!-- faults -->", "<!-- end of faults -->"


class Fault(NamedTuple):
    """What can go wrong.

    Args:
        group: What it is a fault of.
        fault: In words.
        injected: How.
        outcome: What comes of it.
        tests: Which show that, as pytest takes them.
    """

    group: str
    fault: str
    injected: str
    outcome: str
    tests: list[str]


class Found(NamedTuple):
    """What came of the tests of a fault."""

    cases: int
    failed: int
    skipped: int

    @property
    def words(self) -> str:
        """What a row of the table says of them."""
        parts = [f"{self.failed} of them failed"] if self.failed else []
        parts += [f"{self.skipped} skipped"] if self.skipped else []
        return f"{self.cases:,}" + (f" ({', '.join(parts)})" if parts else "")


def faults() -> list[Fault]:
    """All that there are."""
    groups = tomllib.loads(FAULTS.read_text(encoding="utf-8"))
    return [Fault(group, **fault) for group, found in groups.items() for fault in found]


def run(tests: list[str]) -> Found:
    """Run tests, and count their cases."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", f"--junitxml={report}", *tests]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        return counted(ElementTree.parse(report).iter("testcase"))


def chosen(reports: list[Path], tests: list[str]) -> Iterator[ElementTree.Element]:
    """What reports have of some tests, or of files and folders of tests."""
    wanted = [test.replace(".py", "").replace("/", ".").partition("::") for test in tests]
    for report in reports:
        for test in ElementTree.parse(report).iter("testcase"):
            module, name = f"{test.get('classname')}.", str(test.get("name")).partition("[")[0]
            if any(module.startswith(f"{place}.") and only in ("", name) for place, _, only in wanted):
                yield test


def counted(tests: Iterable[ElementTree.Element]) -> Found:
    """The cases of tests, as pytest reports them."""
    cases = failed = skipped = 0
    for test in tests:
        told = [int(item.get("value", "1")) for item in test.iter("property") if item.get("name") == "cases"]
        own = told[0] if told else 1
        skipped += own if test.find("skipped") is not None else 0
        failed += own if test.find("failure") is not None or test.find("error") is not None else 0
        cases += own
    return Found(cases, failed, skipped)


def table(rows: list[tuple[Fault, Found]]) -> list[str]:
    """The table in Markdown, a part for each group."""
    lines: list[str] = []
    for group in dict.fromkeys(fault.group for fault, _ in rows):
        lines += [
            "",
            f"## {group}",
            "",
            "| fault | how it is injected | cases | outcome |",
            "|---|---|---|---|",
        ]
        for fault, found in rows:
            if fault.group == group:
                lines.append(f"| {fault.fault} | {fault.injected} | {found.words} | {fault.outcome} |")
    return lines[1:]


def main() -> None:
    """Run, and write or print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("--only", default="", help="part of a fault's words; the table is then only printed")
    parser.add_argument("--from", nargs="+", type=Path, dest="reports", help="count in these reports")
    options = parser.parse_args()
    rows = []
    for fault in faults():
        if options.only.lower() in " ".join(fault[:4]).lower():
            found = counted(chosen(options.reports, fault.tests)) if options.reports else run(fault.tests)
            rows.append((fault, found))
            print(f"{rows[-1][1].words:>12}  {fault.fault}", flush=True)
    lines = "\n".join(table(rows))
    if options.only:
        print(lines)
        return
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.partition(START)[0], page.partition(END)[2]
    PAGE.write_text(f"{before}{START}\n\n{lines}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
