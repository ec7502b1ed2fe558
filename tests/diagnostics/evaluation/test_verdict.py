"""The verdict: rarely wrong about calibrated forecasts, and right about planted faults."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bayeshyper.diagnostics import SamplePredictive, Verdict, coverage_at, evaluate, uniformity
from bayeshyper.diagnostics._words import percent
from bayeshyper.diagnostics.evaluation.verdict import judge_regression
from tests.diagnostics.fakes import ClassPredictive, GaussianPredictive, classification, regression

MOST = int(stats.binom.ppf(0.975, 200, 0.05))
"""Of 200 tables, at the stated level of 5 %: 16 false alarms or fewer in 97.5 % of such sets of seeds."""


def judge(predictive: GaussianPredictive | ClassPredictive, y: Any) -> Verdict:
    """The verdict alone where there are many tables; `evaluate` comes to the same."""
    if isinstance(predictive, ClassPredictive):
        return evaluate(predictive, y, n_bootstrap=1).verdict
    pit = predictive.cdf(y)
    return judge_regression(pit, [coverage_at(pit, 0.9)], uniformity(pit))


def test_evaluate_gives_this_verdict() -> None:
    for seed in range(3):
        predictive, y = regression(100, seed, stated_std=0.7)
        assert evaluate(predictive, y).verdict == judge(predictive, y)


@pytest.mark.parametrize("n_rows", [60, 300])
def test_calibrated_densities_are_called_so(n_rows: int) -> None:
    seen = Counter(judge(*regression(n_rows, seed)).status for seed in range(200))
    assert 200 - seen["calibrated"] <= MOST


@pytest.mark.parametrize("n_rows", [60, 300])
def test_calibrated_probabilities_are_called_so(n_rows: int) -> None:
    seen = Counter(judge(*classification(n_rows, seed, n_classes=2 + seed % 3)).status for seed in range(200))
    assert 200 - seen["calibrated"] <= MOST


@pytest.mark.parametrize(
    ("fault", "status", "says"),
    [
        ({"stated_std": 0.5}, "over-confident", "too narrow"),
        ({"stated_std": 2.0}, "under-confident", "wider than they need"),
        ({"shift": 0.8}, "biased", "too low"),
        ({"shift": -0.8}, "biased", "too high"),
    ],
)
def test_planted_faults_of_a_density_are_named(fault: dict[str, float], status: str, says: str) -> None:
    for seed in range(5):
        verdict = judge(*regression(200, seed, **fault))
        assert verdict.flagged
        assert verdict.status == status
        assert says in verdict.headline
        assert verdict.actions


def test_both_faults_are_told() -> None:
    verdict = judge(*regression(400, 0, stated_std=0.5, shift=0.7))
    assert "too narrow" in verdict.headline
    assert "too low" in verdict.headline
    assert len(verdict.findings) == 3


def test_a_longer_tail_is_named() -> None:
    rng = np.random.default_rng(0)
    forecast = GaussianPredictive(np.zeros(500), np.ones(500))
    assert "upper tail is longer" in judge(forecast, rng.exponential(size=500) - 1.0).headline
    assert "lower tail is longer" in judge(forecast, 1.0 - rng.exponential(size=500)).headline


def test_wide_intervals_with_thin_far_tails_are_not_called_safe() -> None:
    y = np.random.default_rng(0).standard_t(2.5, size=1000) / 1.8
    verdict = judge(GaussianPredictive(np.zeros(1000), np.ones(1000)), y)
    assert "far tails" in verdict.headline
    assert not any("Safe" in action for action in verdict.actions)


def test_few_draws_with_a_heavy_tailed_truth_are_not_called_safe() -> None:
    """Gaussian draws as wide as a Student-t of three degrees, whose far tails forty of them cannot show."""
    rng = np.random.default_rng(1)
    y, draws = rng.standard_t(3.0, size=1000), rng.normal(0.0, np.sqrt(3.0), size=(40, 1000))
    verdict = evaluate(SamplePredictive(draws), y, n_bootstrap=1).verdict
    assert verdict.status == "under-confident"
    assert "40 draws of each row are too few to judge the far tails" in verdict.actions[0]
    assert not any("Safe" in action for action in verdict.actions)


def test_the_intervals_of_counts_and_of_draws_are_told_as_they_are() -> None:
    """Nearly all of a Poisson of mean 0.2 lies at 0 and 1, its 90 % interval, which holds 98.2 %."""
    rng = np.random.default_rng(0)
    y, draws = rng.poisson(0.2, size=4000), rng.poisson(0.2, size=(500, 4000))
    held = evaluate(SamplePredictive(draws, discrete=True), y, n_bootstrap=1).verdict.findings[0]
    assert f"hold {percent(np.mean(y <= 1), 4000)} of 4,000 rows, ends included" in held
    ranks = evaluate(SamplePredictive(draws[:, :500] + 0.1), y[:500] + 0.1, n_bootstrap=1).verdict.findings[0]
    assert ranks.startswith(f"What happened ranks among the middle {percent(0.9)} of its draws in ")


@pytest.mark.parametrize(("sharpen", "status"), [(2.0, "over-confident"), (0.5, "under-confident")])
def test_planted_faults_of_probabilities_are_named(sharpen: float, status: str) -> None:
    for seed in range(5):
        verdict = judge(*classification(500, seed, sharpen=sharpen))
        assert verdict.flagged
        assert verdict.status == status


def test_a_class_that_is_rarer_than_stated_is_named() -> None:
    """Confidence is right on average, and yet one class takes what belongs to the other."""
    rng = np.random.default_rng(0)
    probs = np.tile([[0.6, 0.4], [0.4, 0.6]], (500, 1))
    owl = rng.random(1000) < np.where(probs[:, 1] > 0.5, 0.75, 0.55)
    verdict = judge(ClassPredictive(probs, ["cat", "owl"]), np.where(owl, "owl", "cat"))
    assert verdict.flagged
    assert any(finding.startswith("owl is given") for finding in verdict.findings)


def test_a_rare_class_that_is_given_too_little_leads_the_verdict() -> None:
    """Its true odds are more than twice the stated: no temperature mends that."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        odds = np.exp(rng.normal(-4.0, 1.0, size=4000))
        fraud = rng.random(4000) < 2.3 * odds / (1.0 + 2.3 * odds)
        said = odds / (1.0 + odds)
        forecast = ClassPredictive(np.column_stack([1.0 - said, said]), ["fine", "fraud"])
        verdict = judge(forecast, np.where(fraud, "fraud", "fine"))
        assert verdict.status == "biased"
        assert verdict.headline.startswith("Biased: fraud happened in ")
        assert "isotonic" in verdict.actions[0]


@pytest.mark.parametrize("n_rows", [1, 5, 39])
def test_few_rows_leave_it_undecided(n_rows: int) -> None:
    for verdict in (judge(*regression(n_rows, 3)), judge(*classification(n_rows, 3))):
        assert verdict.status == "undecided"
        assert f"{n_rows} row" in verdict.headline


def test_fewer_than_ten_rows_are_never_flagged() -> None:
    assert judge(*regression(9, 0, stated_std=0.01)).status == "undecided"


def test_a_real_but_tiny_fault_is_called_small() -> None:
    verdict = judge(*regression(60_000, 0, stated_std=0.97))
    assert verdict.status == "nearly calibrated"
    assert not verdict.flagged
    verdict = judge(*classification(60_000, 0, sharpen=1.05))
    assert verdict.status == "nearly calibrated"


def test_one_class_is_said_to_be_all_there_is() -> None:
    probs = np.tile([0.9, 0.1], (60, 1))
    verdict = judge(ClassPredictive(probs, ["a", "b"]), ["a"] * 60)
    assert any("Every row is of class a" in finding for finding in verdict.findings)


def test_rows_of_one_class_never_make_a_model_calibrated() -> None:
    right = np.where(np.arange(60)[:, None] < 57, [0.96, 0.04], [0.49, 0.51])
    verdict = judge(ClassPredictive(right, ["a", "b"]), ["a"] * 60)
    assert verdict.status == "undecided"
    assert "60 rows of class a cannot tell" in verdict.headline
    assert verdict.actions == ("Judge it on rows of every class.",)
