"""The page: well formed, self-contained, safe, and saying what the evidence says."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from bayeshyper.diagnostics import evaluate
from bayeshyper.inference import History
from bayeshyper.report import write_report
from bayeshyper.report.figures.training import training_figures
from bayeshyper.report.sections.audit import audit_sentences
from tests.diagnostics.fakes import ClassPredictive, classification, regression
from tests.report.examples import ABOUT, audit, history, three_models

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Reader(HTMLParser):
    """Checks that tags nest, and collects tags, ids, links between ids, and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def test_every_page_is_well_formed_and_loads_nothing(pages: dict[str, Path]) -> None:
    for page in pages.values():
        reader = read(page)
        text = page.read_text(encoding="utf-8")
        assert not {"link", "img", "iframe", "object", "embed"} & set(reader.tags)
        assert reader.tags.count("script") == 1
        assert not re.search(r"https?://|@import|url\((?!#)", text)
        assert not any(name.startswith("on") for name, _ in reader.attributes)
        assert len(text) < 300_000


def test_ids_are_unique_and_references_hold(pages: dict[str, Path]) -> None:
    for page in pages.values():
        attributes = read(page).attributes
        ids = [value for name, value in attributes if name == "id"]
        assert len(ids) == len(set(ids))
        used = {part for name, value in attributes if name == "aria-labelledby" for part in value.split()}
        assert used <= set(ids)


def test_every_plot_has_a_title_a_summary_and_its_numbers(pages: dict[str, Path]) -> None:
    reader = read(pages["calibrated"])
    plots = reader.attributes.count(("class", "plot"))
    assert plots == 7
    assert reader.tags.count("desc") == plots
    assert reader.attributes.count(("class", "numbers")) == plots - 1  # the audit's table stands beside it


def test_the_order_is_verdict_scores_calibration_audit_training_about(pages: dict[str, Path]) -> None:
    text = read(pages["compared"]).text
    order = [
        "What to do",
        "Scores",
        "Calibration",
        "The posterior itself",
        "Training",
        "About",
        "Intervals are at",
    ]
    places = [text.rindex(f"\n  {part}") if part != "Scores" else text.index("Scores") for part in order[:1]]
    places = [text.index(part, text.index("What to do")) for part in order]
    assert places == sorted(places)
    assert text.index("Calibrated, as far as 103 rows can tell.") < places[0]


def test_the_page_says_what_was_found(pages: dict[str, Path]) -> None:
    over = read(pages["over-confident"]).text
    assert "Over-confident: the intervals are too narrow, and the predictions are too low." in over
    assert "Do not use the intervals as they are." in over
    assert "Flagged: training's own estimate" in over
    assert "entropy 9.0 nats above the upper bound" in over
    assert "Temperature 0.5: training weighted the KL term 0.5 times" in over
    fine = read(pages["calibrated"]).text
    assert "Bounds agree" in fine
    assert "The posterior mixes 3 restarts" in fine
    assert "log\u00a03 = 1.10 nats at most" in fine
    assert "Temperature 1: prior and data were weighted as Bayes' rule says." in fine
    assert "the state of step 1,600 was kept" in fine


def test_the_flag_says_what_it_saw() -> None:
    cases = {
        "9.0 nats above the upper bound": audit(gap=9.0),
        "3.0 nats below the lower bound": audit(gap=-4.0, apart=1.0),
        "6.0 nats from the lower bound": audit(gap=0.0, apart=6.0),
    }
    for words, found in cases.items():
        if found.flagged:  # the last only where a wide sandwich is flagged too
            assert any(words in sentence for sentence in audit_sentences(found))
    assert cases["9.0 nats above the upper bound"].flagged
    assert not any("Flagged" in sentence for sentence in audit_sentences(audit()))


def test_the_audit_says_when_training_used_other_numbers_than_it_shows() -> None:
    assert audit_sentences(audit(), History()) == audit_sentences(audit())
    for other in (History(objective="Rényi bound"), History(entropy="stein")):
        said = audit_sentences(audit(), other)[-1]
        assert f"maximised the {other.objective} with the entropy estimator '{other.entropy}'" in said
    (figure,) = training_figures(History([1], [-1.0], objective="Rényi bound"))
    assert figure.title == "Rényi bound while training"


def test_models_are_compared_in_a_table_and_in_words(pages: dict[str, Path]) -> None:
    text = read(pages["compared"]).text
    for part in ("hypernetwork", "mean field", "low-rank Gaussian", "Over-confident", "Under-confident"):
        assert part in text
    better = "hypernetwork is better on rows like these than mean field and low-rank Gaussian."
    assert f"By log score, {better}" in text
    worse = read(pages["classes-compared"]).text
    assert "By log score, this model is worse on rows like these than calibrated one." in worse


def test_a_draw_is_called_one(tmp_path: Path) -> None:
    predictive, y = regression(50)
    first = evaluate(predictive, y)
    predictive.mean = predictive.mean + 0.01 * np.random.default_rng(0).normal(size=50)
    page = write_report(tmp_path, first, comparisons={"twin": evaluate(predictive, y)})
    assert "By log score, these rows cannot tell this model from twin." in read(page).text


EVIL = '<script>alert("x")</script>|`*&'


def test_what_users_name_is_escaped(tmp_path: Path) -> None:
    probs = np.tile([0.5, 0.5], (60, 1))
    found = evaluate(ClassPredictive(probs, [EVIL, "b"]), [EVIL] * 60)
    page = write_report(
        tmp_path,
        found,
        about={EVIL: f"line one\nline two {EVIL}"},
        comparisons={f"other {EVIL}": found},
        name=EVIL,
        title=EVIL,
        history=history(),
    )
    reader = read(page)
    assert reader.tags.count("script") == 1  # the page's own
    assert reader.text.count(EVIL) >= 5
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in markdown
    assert "\\|\\`\\*&amp;" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert rows
    assert all(re.search(r"(?<!\\)\|$", row) for row in rows)


def test_markdown_tables_are_regular_and_plots_exist(pages: dict[str, Path]) -> None:
    for page in pages.values():
        markdown = page.with_suffix(".md").read_text(encoding="utf-8")
        assert markdown.startswith("# ")
        assert "\n\n\n" not in markdown
        assert not re.search(r"\{\{|\}\}|\bNone\b(?! of)", markdown)
        for link in re.findall(r"\]\((.+?)\)", markdown):
            assert (page.parent / link).is_file()
        for table in re.findall(r"(?:^\|.*\n)+", markdown, flags=re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(widths) == 1


def test_no_number_is_missing_or_raw(pages: dict[str, Path]) -> None:
    for page in pages.values():
        text = read(page).text
        assert not re.search(r"\bnan\b|\binf\b|\d\.\d{7}|np\.float|array\(", text)


def test_a_score_that_cannot_be_computed_says_why(tmp_path: Path) -> None:
    certain = ClassPredictive(np.tile([1.0, 0.0], (50, 1)), ["a", "b"])
    page = write_report(tmp_path, evaluate(certain, ["a"] * 49 + ["b"]))
    text = read(page).text
    assert "not available" in text
    assert "It is infinite for 1 of 50 rows." in text


def test_a_large_table_stays_a_small_page(tmp_path: Path) -> None:
    first, others = three_models(12_000)
    page = write_report(tmp_path, first, about=ABOUT, audit=audit(), history=history(), comparisons=others)
    assert page.stat().st_size < 300_000
    # Of a hundred thousand rows: 5 MB is what anybody may have to load, and this is far from it.
    probabilities, labels = classification(100_000, n_classes=5)
    page = write_report(tmp_path / "classes", evaluate(probabilities, labels))
    assert page.stat().st_size < 300_000
    assert page.with_name("metrics.json").stat().st_size < 300_000
