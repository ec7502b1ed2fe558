"""Before and after: planted faults are repaired, calibrated predictions left alone, no row seen twice."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from bayeshyper.diagnostics import (
    REPAIRS,
    ClassPredictive,
    NormalPredictive,
    SamplePredictive,
    before_and_after,
    brier_per_row,
    evaluate,
)
from bayeshyper.errors import DataError
from bayeshyper.models import Categorical, Gaussian, Poisson
from bayeshyper.prediction import PredictiveDistribution
from tests.diagnostics.fakes import classification, regression
from tests.prediction.helpers import case


def test_a_planted_spread_is_found_and_repaired() -> None:
    found = before_and_after(*regression(600, 1, stated_std=0.5))
    assert found.best == "spread scaling"
    assert found.before["coverage_90"].value < 0.7
    for repair in found.repairs:
        coverage = repair.scores["coverage_90"]
        assert coverage.lower <= 0.9 <= coverage.upper
        assert repair.differences["width_90"].lower > 0
    spread = found["spread scaling"]
    assert spread.differences["log_score"].lower > 0
    assert spread.differences["quantile_calibration_error"].upper < 0
    assert "Spread scaling improves the log score by 0." in found.conclusion
    assert found["conformal quantiles"].differences["crps"].value == pytest.approx(0.0, abs=1e-12)


def test_a_planted_shift_is_not_a_matter_of_spread() -> None:
    found = before_and_after(*regression(600, 2, shift=1.0))
    assert found.best == "quantile recalibration"
    assert found["quantile recalibration"].scores["log_score"].value > -1.5


@pytest.mark.parametrize("of", ["normals", "draws", "mixtures", "counts", "classes"])
def test_as_it_is_it_has_the_scores_of_its_evaluation(of: str) -> None:
    """The same draws, randomisation and kind of interval: one page does not tell two numbers."""
    predictive, y = _table(of)
    whole, found = evaluate(predictive, y), before_and_after(predictive, y)
    shared = {score.name for score in whole.scores} & set(found.before) - {"coverage_90"}
    assert len(shared) >= 2
    for name in shared:
        ends = [(score.value, score.lower, score.upper) for score in (whole[name], found.before[name])]
        assert ends[0] == pytest.approx(ends[1], abs=1e-12)
    for repair in found.repairs:
        for name, after in repair.scores.items():
            change = repair.differences[name].value
            assert after.value - found.before[name].value == pytest.approx(change, abs=1e-12)
        if repair.name.startswith("conformal") and of != "classes":  # it moves the intervals alone
            for name in ("crps", "quantile_calibration_error"):
                assert repair.differences[name].value == pytest.approx(0.0, abs=1e-12)


def _table(of: str) -> Any:
    if of == "classes":
        return classification(80, 6)
    if of == "counts":
        made = case(Poisson(), rows=60, spread=0.3)
        counts = PredictiveDistribution(made.model, made.weights, made.x)
        return counts, counts.sample(60, seed=1).diagonal()
    if of == "mixtures":
        made = case(Gaussian(), rows=60, spread=0.5)
        return made.predictive, made.predictive.sample(60, seed=1).diagonal()
    predictive, y = regression(80, 7)
    return (predictive if of == "normals" else SamplePredictive(predictive.sample(500, seed=1))), y


def test_a_planted_temperature_is_found_and_repaired() -> None:
    found = before_and_after(*classification(800, 3, sharpen=3.0))
    assert found.best in ("temperature scaling", "isotonic calibration")
    scaling = found["temperature scaling"]
    assert scaling.differences["log_score"].lower > 0
    assert scaling.differences["brier"].upper < 0
    assert scaling.differences["ece"].upper < 0
    assert scaling.differences["accuracy"].value == 0.0
    assert found.before["coverage_90"].value < 0.87
    for name in ("conformal sets", "adaptive conformal sets"):
        coverage = found[name].scores["coverage_90"]
        assert coverage.upper >= 0.9


@pytest.mark.parametrize("make", [regression, classification])
def test_calibrated_predictions_are_left_alone(make: Any) -> None:
    """Of 40 tables of 100 rows, no more than 5 (a binomial 0.001 tail of 5 %: 8) gain beyond chance."""
    repaired = [before_and_after(*make(100, seed), n_bootstrap=300).best for seed in range(40)]
    assert sum(best is not None for best in repaired) <= 8


def test_the_rows_that_are_scored_were_not_learned_from() -> None:
    """A repair that remembers what happened would be perfect if it were shown the same rows."""
    predictive, y = classification(100, 4)
    truth = {tuple(row): label for row, label in zip(predictive.probs, predictive.encode(y), strict=True)}

    def memory(learned: Any, labels: Any) -> Any:
        known = {tuple(row) for row in learned.probs}

        def repair(shown: Any) -> ClassPredictive:
            probs = shown.probs.copy()
            for i, row in enumerate(shown.probs):
                if tuple(row) in known:
                    probs[i] = np.eye(3)[truth[tuple(row)]]
            return ClassPredictive(probs, shown.classes)

        return repair

    found = before_and_after(predictive, y, {"memory": memory})
    assert found["memory"].differences["brier"].value == 0.0
    expected = brier_per_row(predictive.probs, predictive.encode(y)).mean()
    assert found.before["brier"].value == pytest.approx(expected, abs=1e-12)
    assert found.best is None
    assert "No repair improves" in found.conclusion


def test_draws_are_judged_by_the_crps() -> None:
    predictive, y = regression(300, 5, stated_std=0.4)
    found = before_and_after(SamplePredictive(predictive.sample(50, seed=1)), y)
    assert found.judged_by == "crps"
    assert "log_score" not in found.before
    assert found.best is not None


def test_a_certain_miss_is_judged_by_the_brier_score() -> None:
    probs = np.tile([[1.0, 0.0], [0.5, 0.5]], (50, 1))
    found = before_and_after(ClassPredictive(probs), [1, 0, 0, 1] * 25)
    assert found.judged_by == "brier"
    assert found.before["log_score"].value is None
    assert found.best is not None


def test_our_predictions_are_compared() -> None:
    made = case(Gaussian(), rows=60, spread=0.5)
    found = before_and_after(made.predictive, made.predictive.sample(60, seed=1)[:, :60].diagonal())
    assert {repair.name for repair in found.repairs} == set(REPAIRS["regression"])
    assert not any(repair.reason for repair in found.repairs)
    classes = case(Categorical(3), rows=60).predictive
    assert before_and_after(classes, np.arange(60) % 3).n_rows == 60


def test_a_repair_that_cannot_be_learned_says_why() -> None:
    made = case(Poisson(), rows=60, spread=0.3)
    counts = PredictiveDistribution(made.model, made.weights, made.x)
    found = before_and_after(counts, counts.sample(60, seed=1).diagonal())
    assert "would not stay whole" in found["spread scaling"].reason
    assert found["spread scaling"].scores == {}
    assert found["quantile recalibration"].scores["log_score"].value is not None
    same = before_and_after(ClassPredictive([[0.8, 0.2]] * 60), [0] * 60)
    assert "Every row is of class 0" in same["temperature scaling"].reason
    assert same["conformal sets"].scores["coverage_90"].value == 1.0


@pytest.mark.parametrize("make", [regression, classification])
def test_the_record_is_plain_json_and_the_seed_makes_it(make: Any) -> None:
    found = before_and_after(*make(80))
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["repairs"][0]["scores"].keys() == record["before"].keys()
    assert before_and_after(*make(80)).to_dict() == found.to_dict()


def test_of_many_rows_some_are_drawn() -> None:
    found = before_and_after(*regression(20_000), max_rows=500)
    assert found.n_rows == 500


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: before_and_after(*regression(49)), "at least 50 rows to learn from: got 49"),
        (lambda: before_and_after(*regression(60), folds=1), "folds must be at least 2"),
        (lambda: before_and_after(regression(60)[0], np.zeros(59)), "y has 59 rows, expected 60"),
        (lambda: before_and_after(classification(60)[0], ["fox"] * 60), "not seen in training: 'fox'"),
    ],
)
def test_what_cannot_be_compared_is_said(make: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        make()


def test_a_repair_that_is_not_there_is_named() -> None:
    found = before_and_after(NormalPredictive(np.zeros(50), 1.0), np.linspace(-2, 2, 50))
    with pytest.raises(KeyError, match="spread scaling, quantile"):
        found["polish"]
