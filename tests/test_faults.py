from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from tests.faults import PAGE, ROOT, Fault, Found, chosen, counted, faults, table

REPORT = """<testsuites><testsuite>
<testcase classname="tests.a.test_b" name="one"/>
<testcase classname="tests.a.test_b" name="two"><failure/></testcase>
<testcase classname="tests.a.test_bc" name="other"/>
<testcase classname="tests.a.test_b.TestC" name="many">
<properties><property name="cases" value="50"/></properties></testcase>
<testcase classname="tests.c.test_d" name="three"><skipped/></testcase>
</testsuite></testsuites>"""


def test_cases_are_counted_by_file_and_folder(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert counted(chosen([report], ["tests/a/test_b.py"])) == Found(52, 1, 0)
    assert counted(chosen([report], ["tests/a/test_b.py::two"])) == Found(1, 1, 0)
    assert counted(chosen([report], ["tests/c", "tests/a/test_bc.py"])) == Found(2, 0, 1)
    whole = counted(ElementTree.fromstring(REPORT).iter("testcase"))
    assert whole.words == "54 (1 of them failed, 1 skipped)"
    assert counted(chosen([report], ["tests/e"])) == Found(0, 0, 0)


def test_a_row_says_what_came_of_it() -> None:
    fault = Fault("Files", "a fault", "somehow", "nothing", [])
    assert table([(fault, Found(1200, 0, 0))])[-1] == "| a fault | somehow | 1,200 | nothing |"


def test_every_fault_has_tests_and_stands_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for fault in faults():
        assert all((ROOT / test.partition("::")[0]).exists() for test in fault.tests), fault.fault
        assert f"\n| {fault.fault} | {fault.injected} | " in page, fault.fault
    assert "failed" not in page.partition("<!-- faults -->")[2]
