"""The sections: each says what its numbers say, in words, and the worst first."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bayeshyper.diagnostics import (
    NormalPredictive,
    Score,
    before_and_after,
    calibration_errors,
    evaluate,
    novelty,
    risk_coverage,
)
from bayeshyper.report import write_report
from bayeshyper.report.sections.calibration import errors_table
from bayeshyper.report.sections.comparison import comparison_sentences, differences_table
from bayeshyper.report.sections.decisions import abstention_section, novelty_section, uncertainty_section
from bayeshyper.report.sections.groups import groups_section
from bayeshyper.report.sections.posterior import posterior_section
from bayeshyper.report.sections.repairs import repairs_section
from bayeshyper.report.sections.scores import models_table, score_cell
from bayeshyper.report.sections.section import MOST_ROWS
from tests.diagnostics.fakes import ClassPredictive, classification, regression
from tests.report.examples import audit, collapse, convergence, seven_models, wrong_in_the_south


def test_the_group_that_is_wrong_comes_first_and_is_named() -> None:
    section = groups_section(wrong_in_the_south().groups)  # type: ignore[arg-type]
    assert section.badge is not None
    assert section.badge[1] == "bad"
    table, small = section.tables
    words = [row[1].text for row in table.rows]
    assert (table.rows[0][0].text, words[0]) == ("region: south", "Too low")
    assert {row[0].text for row in small.rows} == {"region: islands"}
    assert small.folded == "1 group has too few rows"
    assert "1 group has too few rows to judge." in section.sentences
    assert "No fault seen" in words
    assert any("Column source" in sentence for sentence in section.sentences)


def test_who_is_better_is_said_once_for_each_side() -> None:
    models = seven_models()
    said = " ".join(comparison_sentences(models))
    for name in list(models)[1:]:
        assert said.count(name) == 1
    turned = dict(reversed(models.items()))
    assert "Laplace is worse on rows like these than" in " ".join(comparison_sentences(turned))


def test_each_verdict_of_a_comparison_is_told_with_its_place(tmp_path: Path) -> None:
    first, south = evaluate(*regression(900)), wrong_in_the_south()
    page = write_report(tmp_path, first, comparisons={"other": south})
    for text in (page.read_text("utf-8"), page.with_suffix(".md").read_text("utf-8")):
        assert south.verdict.headline in text
        assert "Where region is south (178 rows), the predictions are too low" in text


def test_a_difference_is_green_only_where_it_is_more_than_chance() -> None:
    predictive, y = regression(200)
    first = evaluate(predictive, y)
    predictive.mean = predictive.mean + 0.02 * np.random.default_rng(0).normal(size=200)
    models = {"a": first, "twin": evaluate(predictive, y), "bad": evaluate(*regression(200, stated_std=0.3))}
    table = differences_table(models)
    log_score = [row[1] for row in table.rows]
    assert [cell.tone for cell in log_score] == ["", "good"]
    assert log_score[0].under.endswith(": unclear")
    assert log_score[1].under.endswith(": better")
    assert table.models == (1, 2)


def test_a_score_near_its_nominal_value_sorts_as_best() -> None:
    models = seven_models()
    table = models_table(models, dict.fromkeys((m.verdict.status for m in models.values()), "good"))
    at = next(k for k, column in enumerate(table.columns) if "Coverage" in column.name)
    ranked = sorted(table.rows, key=lambda row: float(row[at].order or 0.0))
    assert ranked[0][0].text != "MAP"
    assert ranked[-1][0].text == "MAP"  # half as wide as it should be


@pytest.mark.parametrize(
    ("value", "lower", "upper", "words"),
    [
        (10.982, 10.834, 11.140, ("10.98", "10.83 to 11.14")),
        (6.638, 6.638, 6.638, ("6.638", "no spread")),
        (1.0, 1.0, 1.0376, ("1.000", "1.000 to 1.038")),
        (-0.0213, -0.0406, 0.0021, ("−0.021", "−0.041 to 0.002")),
    ],
)
def test_a_score_has_no_more_digits_than_its_interval_carries(
    value: float, lower: float, upper: float, words: tuple[str, str]
) -> None:
    cell = score_cell(Score("rmse", "RMSE", value, lower, upper, better="lower"), 56)
    assert (cell.text, cell.under.replace("\u00a0", " ")) == words


def test_one_judgement_is_no_plural() -> None:
    table = wrong_in_the_south().groups
    assert table is not None
    one = replace(table, groups=table.groups[:1], n_tests=1)
    assert groups_section(one).sentences[0].startswith("The one judgement on groups of rows is flagged.")
    none = replace(table, groups=table.groups[-3:-2], n_tests=4)
    assert groups_section(none).sentences[0].startswith("None of 4 judgements on groups of rows is flagged.")


def test_impossible_rows_are_told_not_compared() -> None:
    certain = ClassPredictive(np.tile([1.0, 0.0], (50, 1)), ["a", "b"])
    unsure = ClassPredictive(np.tile([0.9, 0.1], (50, 1)), ["a", "b"])
    y = ["a"] * 49 + ["b"]
    models = {"certain": evaluate(certain, y), "unsure": evaluate(unsure, y)}
    (said,) = comparison_sentences(models)
    assert said.startswith("Against unsure, the log score cannot be judged.")


@pytest.mark.parametrize(("informed", "words"), [(True, "abstaining pays"), (False, "do not show")])
def test_abstaining_pays_where_confidence_ranks(informed: bool, words: str) -> None:
    rng = np.random.default_rng(0)
    loss = rng.random(500)
    risk = risk_coverage(-loss if informed else rng.random(500), loss)
    section = abstention_section({"a": replace(evaluate(*regression(500)), risk=risk)})
    assert section is not None
    assert words in section.sentences[0]


def test_novelty_says_whether_it_is_noticed() -> None:
    rng = np.random.default_rng(0)
    first = evaluate(*regression(60))
    for shift, words in ((3.0, "more than chance explains"), (0.0, "do not rely on it")):
        found = novelty(rng.normal(size=200), shift + rng.normal(size=200))
        section = novelty_section({"a": replace(first, novelty=found)})
        assert section is not None
        assert words in section.sentences[0]
    assert novelty_section({"a": first}) is None


def test_the_kinds_of_uncertainty_add_up_on_the_page() -> None:
    section = uncertainty_section({"a": wrong_in_the_south()})
    assert section is not None
    _, total, aleatoric, epistemic, share = section.tables[0].rows[0]
    assert float(total.order) == pytest.approx(float(aleatoric.order) + float(epistemic.order))  # type: ignore[arg-type]
    assert share.text == "16.0\u00a0%"  # a spread of 0.4 is a variance of 0.16


def test_each_check_of_the_posterior_has_its_word() -> None:
    section = posterior_section(audit(n_members=3), convergence(), collapse(), None)
    assert section is not None
    table = section.tables[-1]
    assert [row[1].text for row in table.rows] == ["Far", "They differ in 20\u00a0%", "No collapse"]
    alone = replace(convergence(), reason="there is one restart", rhat_max=None, share_above_1_05=None)
    folded = replace(collapse(), variance_share=0.0, information=0.0)
    section = posterior_section(None, alone, folded, None)
    assert section is not None
    assert [row[1].text for row in section.tables[-1].rows] == ["Not compared", "Noise unused"]
    infinite = replace(convergence(), rhat_max=math.inf)
    section = posterior_section(None, infinite, None, None)
    assert section is not None
    assert section.tables[0].rows[0][1].tone == "care"
    assert posterior_section(None, None, None, None) is None


def test_repairs_are_shown_before_and_after() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=300)
    narrow = before_and_after(NormalPredictive(np.zeros(300), 0.4), y, n_bootstrap=200)
    section = repairs_section(narrow)
    assert section.badge == ("a repair helps", "good")
    assert section.sentences[0] == narrow.conclusion
    before, *after = section.tables[0].rows
    assert before[0].text == "as it is"
    best = next(row for row in after if row[0].text == narrow.best)
    assert best[0].under == "helps most"
    assert (best[1].tone, best[1].under.split(": ")[1]) == ("good", "better")
    names = [column.name for column in section.tables[0].columns]
    for k, name in enumerate(names):
        if name.startswith(("Coverage", "Width")):  # neither more nor less is better by itself
            assert all(row[k].tone == "" for row in after)
    fine = before_and_after(NormalPredictive(np.zeros(300), 1.0), y, n_bootstrap=200)
    assert repairs_section(fine).badge == ("no repair helps", "open")


def test_calibration_errors_stand_beside_chance() -> None:
    predictive, labels = classification(300)
    index = np.searchsorted(predictive.classes, labels)
    table = errors_table(calibration_errors(predictive.probs, index))
    assert len(table.rows) >= 5
    assert all(row[2].text.endswith("%") for row in table.rows)


def test_long_tables_are_cut_and_say_so(tmp_path: Path) -> None:
    found = wrong_in_the_south()
    groups = found.groups
    assert groups is not None
    many = replace(groups, groups=groups.groups * 40)
    page = write_report(tmp_path, replace(found, groups=many))
    text = page.read_text(encoding="utf-8")
    judged = sum(group.p_value is not None for group in many.groups)
    assert f"The first {MOST_ROWS} of {judged:,} rows; metrics.json has all" in text
    assert text.count('scope="row"') < MOST_ROWS + 200
    metrics = json.loads(page.with_name("metrics.json").read_text(encoding="utf-8"))
    assert len(metrics["evaluation"]["groups"]["groups"]) == len(many.groups)
