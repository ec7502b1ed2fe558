"""A real browser opens the page: nothing is asked for, nothing complains, and what reacts reacts.

The folder that BAYESHYPER_SCREENSHOTS names, tests/artefacts/ if none, gets a picture of each page.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.report.browser import CHROMIUM, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
PICTURES = Path(os.environ.get("BAYESHYPER_SCREENSHOTS", Path(__file__).parents[1] / "artefacts"))
PAGES = (
    "calibrated",
    "compared",
    "over-confident",
    "everything",
    "classes",
    "two-classes",
    "classes-compared",
    "seven",
    "one-row",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def column(browser: Browser, table: str, heading: str) -> list[str]:
    """What a column of a table says, from top to bottom."""
    script = f"""(() => {{ const table = document.querySelector("{table}");
    const names = [...table.tHead.rows[0].cells].map((cell) => cell.querySelector(".heading").textContent);
    const column = names.indexOf("{heading}");
    return [...table.tBodies[0].rows].map((row) => row.cells[column].firstChild.data); }})()"""
    return list(browser.run(script))


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_drawn_and_asks_for_nothing(
    browser: Browser, pages: dict[str, Path], name: str, look: str
) -> None:
    browser.open(pages[name], width=360 if look == "phone" else 1100, dark=look == "dark")
    browser.screenshot(PICTURES / f"{name}-{look}.png")
    assert browser.complaints == []
    assert browser.requests == [pages[name].as_uri()]
    sizes = browser.run(
        """[...document.querySelectorAll("svg.plot")].map((plot) => [plot, ...plot.querySelectorAll(
        ".line, .bar, .point")].map((mark) => mark.getBoundingClientRect()).map((box) =>
        Math.max(box.width, box.height)))"""
    )
    assert len(sizes) >= 2
    for plot, *marks in sizes:
        assert plot > 250
        assert marks
        assert max(marks) > 0
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_may_neither_load_nor_run_anything_else(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["calibrated"])
    browser.run("""document.body.insertAdjacentHTML("beforeend", "<img src='https://example.org/a.png'>")""")
    browser.run("fetch('https://example.org/').catch(() => 0)")
    browser.run(
        """(() => { const more = document.createElement("script"); more.textContent = "window.ran = true";
        document.body.append(more); })()"""
    )
    assert browser.run("window.ran === undefined")
    refused = [str(complaint) for complaint in browser.complaints]
    assert sum("Content Security Policy" in text for text in refused) >= 3
    assert not any("net::ERR" in text for text in refused)  # refused by the page, not by the network


def test_colours_follow_the_reader(browser: Browser, pages: dict[str, Path]) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    browser.open(pages["calibrated"])
    assert browser.run(ground) == "rgb(247, 245, 240)"
    browser.open(pages["calibrated"], dark=True)
    assert browser.run(ground) == "rgb(19, 22, 27)"


def test_pointing_at_a_mark_shows_its_value(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["calibrated"])
    assert browser.run('document.querySelector(".tip").hidden')
    browser.point(*browser.middle(".bar"))
    said = browser.run('document.querySelector(".tip").textContent')
    assert "rows between their 0\u00a0% to 20\u00a0% quantiles" in said
    box = browser.run(
        '(({left, right, top}) => [left, right, top])(document.querySelector(".tip").getBoundingClientRect())'
    )
    assert 0 <= box[0] < box[1] <= 1100
    assert box[2] >= 0
    assert browser.run("document.querySelectorAll('svg.plot title').length") == 0  # never two at once
    browser.point(5, 5)
    assert browser.run('document.querySelector(".tip").hidden')


def test_keys_read_the_values_one_by_one(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["calibrated"])
    reached: Any = False
    for _ in range(20):
        browser.press("Tab")
        reached = browser.run("document.activeElement.matches('svg.plot')")
        if reached:
            break
    assert reached
    said = 'document.querySelector(".tip").textContent'
    first = browser.run(said)
    browser.press("ArrowRight")
    second = browser.run(said)
    assert first.startswith("5\u00a0% intervals hold")
    assert second.startswith("10\u00a0% intervals hold")
    browser.press("End")
    assert browser.run(said).startswith("95\u00a0% intervals hold")
    browser.press("ArrowLeft")
    assert browser.run(said).startswith("90\u00a0% intervals hold")
    browser.press("Escape")
    assert browser.run('document.querySelector(".tip").hidden')


def test_headings_sort(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["compared"])
    models = ["hypernetwork", "mean field", "low-rank Gaussian"]
    assert column(browser, "#table-models", "Model") == models
    crps = "#table-models th:nth-child(4)"
    browser.click(f"{crps} button")
    values = [float(text) for text in column(browser, "#table-models", "CRPS")]
    assert values == sorted(values)  # the best, which is the least, comes first
    assert browser.run(f"document.querySelector('{crps}').ariaSort") == "ascending"
    browser.click(f"{crps} button")
    assert [float(text) for text in column(browser, "#table-models", "CRPS")] == values[::-1]
    assert browser.run(f"document.querySelector('{crps}').ariaSort") == "descending"
    browser.click("#table-models th:nth-child(1) button")
    assert column(browser, "#table-models", "Model") == sorted(models)
    assert browser.run("document.querySelectorAll('#table-models [aria-sort]').length") == 1


def test_models_can_be_hidden_but_not_from_paper(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["compared"])
    parts = """[".models svg.plot .line.s1", "#table-models [data-row-of='1']",
    "#table-differences [data-row-of='1']"].map((part) => getComputedStyle(
    document.querySelector(part)).display !== "none")"""
    pressed = """[...document.querySelectorAll("[data-model='1'] button")].map((one) => one.ariaPressed)"""
    assert browser.run(parts) == [True, True, True]
    browser.click(".choice [data-model='1'] button")
    assert browser.run(parts) == [False, False, False]
    assert set(browser.run(pressed)) == {"false"}
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.run(parts) == [True, True, True]
    browser.call("Emulation.setEmulatedMedia", media="")
    browser.click("figure [data-model='1'] button")
    assert browser.run(parts) == [True, True, True]


def test_the_page_prints(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["compared"], dark=True)
    printed = browser.pdf()
    (PICTURES / "compared.pdf").write_bytes(printed)
    assert printed.startswith(b"%PDF")
    assert len(printed) > 30_000


def test_headings_are_in_order_and_everything_has_a_name(browser: Browser, pages: dict[str, Path]) -> None:
    for page in pages.values():
        browser.open(page)
        levels = browser.run("[...document.querySelectorAll('h1, h2, h3')].map((one) => +one.tagName[1])")
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        unnamed = browser.run(
            """[...document.querySelectorAll("section, figure, svg.plot, [role=region]")].filter((part) =>
            !part.ariaLabel && !(part.getAttribute("aria-labelledby") || "").split(" ").some((id) =>
            document.getElementById(id)?.textContent.trim())).length"""
        )
        assert unnamed == 0
        assert browser.run("[...document.querySelectorAll('th')].every((one) => one.scope)")
        assert browser.run("document.querySelectorAll('main').length") == 1


def test_without_scripts_nothing_is_missing(browser: Browser, pages: dict[str, Path]) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["compared"])
        assert browser.run("document.querySelectorAll('svg.plot title').length") > 20
        assert browser.run("document.querySelectorAll('button').length") == 0
        assert browser.run("document.querySelector('#table-models').tBodies[0].rows.length") == 3
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
