"""The sections: each says what its numbers say, in words, and the worst first."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bayeshyper.diagnostics import evaluate, novelty, risk_coverage
from bayeshyper.report.sections.comparison import comparison_sentences, differences_table
from bayeshyper.report.sections.decisions import abstention_section, novelty_section, uncertainty_section
from bayeshyper.report.sections.groups import groups_section
from bayeshyper.report.sections.posterior import posterior_section
from bayeshyper.report.sections.scores import models_table
from tests.diagnostics.fakes import ClassPredictive, regression
from tests.report.examples import audit, collapse, convergence, seven_models, wrong_in_the_south


def test_the_group_that_is_wrong_comes_first_and_is_named() -> None:
    section = groups_section(wrong_in_the_south().groups)  # type: ignore[arg-type]
    assert section.badge is not None
    assert section.badge[1] == "bad"
    (table,) = section.tables
    words = [row[1].text for row in table.rows]
    assert (table.rows[0][0].text, words[0]) == ("region: south", "Too low")
    few = [row for row in table.rows if row[0].text == "region: islands"]
    assert few
    assert {row[1].text for row in few} == {"Too few rows to judge"}
    assert few == list(table.rows[-len(few) :])
    assert "No fault seen" in words
    assert any("Column source" in sentence for sentence in section.sentences)


def test_who_is_better_is_said_once_for_each_side() -> None:
    models = seven_models()
    said = " ".join(comparison_sentences(models))
    for name in list(models)[1:]:
        assert said.count(name) == 1
    turned = dict(reversed(models.items()))
    assert "Laplace is worse on rows like these than" in " ".join(comparison_sentences(turned))


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
