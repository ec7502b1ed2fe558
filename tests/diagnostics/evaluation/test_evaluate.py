"""`evaluate`: everything at once, for both tasks, and a plain sentence for what cannot be scored."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bayeshyper.diagnostics import SamplePredictive, brier, coverage_at, evaluate, paired_difference, rmse
from bayeshyper.errors import DataError
from tests.diagnostics.fakes import ClassPredictive, GaussianPredictive, classification, regression

REGRESSION = [
    "log_score",
    "crps",
    "interval_score",
    "weighted_interval_score",
    "rmse",
    "coverage_50",
    "coverage_80",
    "coverage_90",
    "coverage_95",
    "quantile_calibration_error",
    "sharpness",
]
CLASSIFICATION = ["log_score", "brier", "accuracy", "mean_confidence", "ece"]


def test_a_density_gets_all_its_scores() -> None:
    predictive, y = regression(120)
    found = evaluate(predictive, y)
    assert [score.name for score in found.scores] == REGRESSION
    assert found["log_score"].value == pytest.approx(predictive.log_prob(y).mean(), abs=1e-12)
    assert found["rmse"].value == pytest.approx(rmse(predictive.mean, y), abs=1e-12)
    assert found["sharpness"].value == pytest.approx(2 * 1.6448536269514722, abs=1e-9)
    for score in found.scores:
        assert score.value is not None
        assert score.lower is not None
        assert score.upper is not None
        assert score.lower <= score.value <= score.upper
        assert score.explanation.endswith(".")
    level = coverage_at(predictive.cdf(y), 0.9)
    assert (found["coverage_90"].lower, found["coverage_90"].upper) == (level.lower, level.upper)
    assert found["coverage_90"].nominal == 0.9
    assert found.coverages[2].bootstrap_lower is not None


def test_probabilities_get_all_their_scores() -> None:
    predictive, labels = classification(150)
    found = evaluate(predictive, labels)
    assert [score.name for score in found.scores] == CLASSIFICATION
    index = np.searchsorted(predictive.classes, labels)
    assert found["brier"].value == pytest.approx(brier(predictive.probs, index), abs=1e-12)
    assert found["mean_confidence"].nominal == found["accuracy"].value
    assert found.classes == ("cat", "dog", "owl")


def test_the_crps_of_a_gaussian_is_its_closed_form() -> None:
    from scipy.stats import norm

    predictive, y = regression(300)
    z = y - predictive.mean
    exact = np.mean(z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert evaluate(predictive, y)["crps"].value == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("make", [regression, classification])
def test_the_record_is_plain_json(make: Any) -> None:
    found = evaluate(*make(80))
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["scores"]["log_score"]["value"] == found["log_score"].value
    assert record["verdict"]["status"] == found.verdict.status
    assert evaluate(*make(80)).to_dict() == found.to_dict()


@pytest.mark.parametrize("make", [regression, classification])
def test_one_row_has_scores_but_no_spread(make: Any) -> None:
    found = evaluate(*make(1))
    assert found["log_score"].value is not None
    assert found["log_score"].lower is None
    assert found["log_score"].reason
    json.dumps(found.to_dict(), allow_nan=False)


def test_constant_predictions_and_a_constant_truth_work() -> None:
    predictive = GaussianPredictive(np.zeros(30), np.ones(30))
    assert evaluate(predictive, np.zeros(30))["rmse"].value == 0.0
    certain = ClassPredictive(np.tile([1.0, 0.0], (30, 1)), ["a", "b"])
    found = evaluate(certain, ["a"] * 30)
    assert found["ece"].value == 0.0
    assert found["accuracy"].value == 1.0
    accuracy = found["accuracy"].lower
    assert accuracy is not None
    assert accuracy < 0.9  # thirty rows are not all rows


def test_an_impossible_row_leaves_the_log_score_out_with_the_reason() -> None:
    certain = ClassPredictive(np.tile([1.0, 0.0], (4, 1)), ["a", "b"])
    found = evaluate(certain, ["a", "a", "b", "a"])
    assert found["log_score"].value is None
    assert "infinite for 1 of 4" in found["log_score"].reason
    assert found["brier"].value is not None
    assert paired_difference(found, found).value is None


def test_labels_of_any_kind_are_matched() -> None:
    probs = np.tile([0.5, 0.5], (4, 1))
    for classes, y in (
        ([0, 1], [0.0, 1.0, 0.0, 1.0]),
        ([False, True], [True, False, True, True]),
        (["0", "1"], np.array(["0", "1", "1", "0"], dtype=object)),
    ):
        assert evaluate(ClassPredictive(probs, np.array(classes)), y)["brier"].value == 0.25
    assert evaluate(ClassPredictive(probs), [0, 1, 1, 0])["brier"].value == 0.25


def test_pairing_removes_what_is_hard_for_both() -> None:
    predictive, y = regression(200)
    first = evaluate(predictive, y)
    second = evaluate(GaussianPredictive(predictive.mean, np.full(200, 1.3)), y)
    gap = paired_difference(first, second)
    assert gap.value == pytest.approx(np.mean(first.rows["log_score"] - second.rows["log_score"]), abs=1e-12)
    assert gap.lower is not None
    assert gap.upper is not None
    alone = first["log_score"]
    assert alone.lower is not None
    assert alone.upper is not None
    assert gap.upper - gap.lower < 0.5 * (alone.upper - alone.lower)
    other, labels = classification(200)
    with pytest.raises(DataError, match="same rows"):
        paired_difference(first, evaluate(other, labels))
    with pytest.raises(DataError, match="log_score, crps, interval_score"):
        paired_difference(first, second, "brier")


@pytest.mark.parametrize("score", ["log_score", "crps", "interval_score", "weighted_interval_score", "rmse"])
def test_any_score_of_two_models_can_be_paired(score: str) -> None:
    predictive, y = regression(200)
    first = evaluate(predictive, y)
    second = evaluate(GaussianPredictive(predictive.mean + 0.3, predictive.std), y)
    gap, one, two = paired_difference(first, second, score), first[score], second[score]
    assert one.value is not None
    assert two.value is not None
    assert gap.value == pytest.approx(one.value - two.value, abs=1e-12)
    assert gap.better == one.better


def _broken(**changes: Any) -> GaussianPredictive:
    """A forecast of three rows with one method that returns what it should not."""
    predictive = GaussianPredictive(np.zeros(3), np.ones(3))
    for name, value in changes.items():
        setattr(predictive, name, value)
    return predictive


def _quacks(probs: list[list[float]]) -> Any:
    """Somebody's own probabilities of two classes, which nobody has checked."""
    return SimpleNamespace(
        task="classification",
        n_rows=len(probs),
        classes=["a", "b"],
        probs=np.array(probs),
        log_prob=lambda y: np.zeros(len(probs)),
    )


@pytest.mark.parametrize(
    ("predictive", "y", "says"),
    [
        (_broken(), [0.0, np.nan, 0.0], "y has 1 NaN value, the first in row 1"),
        (_broken(), [0.0, np.inf, 0.0], "y has 1 infinite value"),
        (_broken(), [0.0], "y has 1 rows, expected 3"),
        (_broken(), ["x", "y", "z"], "y must hold numbers"),
        (_broken(cdf=lambda y: np.full(2, 0.5)), np.zeros(3), "cdf has 2 rows, expected 3"),
        (_broken(log_prob=lambda y: np.full(3, np.nan)), np.zeros(3), "log_prob has 3 NaN values"),
        (_broken(log_prob=lambda y: np.full(3, np.inf)), np.zeros(3), "plus infinity"),
        (_broken(cdf=lambda y: np.full(3, 1.5)), np.zeros(3), "PIT values must lie between 0 and 1"),
        (_broken(crps=None, sample=lambda n, seed: np.full((n, 3), np.nan)), np.zeros(3), "NaN or infinite"),
        (_broken(crps=None, sample=lambda n, seed: np.zeros((n, 2))), np.zeros(3), "shape"),
        (_broken(quantiles=lambda levels: np.zeros((3, 3))), np.zeros(3), "Quantiles must have shape"),
        (_broken(quantiles=lambda levels: np.full((3, 5), np.nan)), np.zeros(3), "15 values that are not"),
        (_broken(quantiles=lambda levels: -np.tile(levels, (3, 1))), np.zeros(3), "must not fall"),
        (_broken(task="ranking"), np.zeros(3), "ranking"),
        (_quacks([[0.5, 0.6]]), ["a"], "row 0 sums to 1.1"),
        (_quacks([[np.nan, 1.0]]), ["a"], "NaN or infinite"),
        (
            _quacks([[0.5, 0.5], [0.5, 0.5]]),
            ["a", "c"],
            "not seen in training: 'c'. The model knows 'a', 'b'",
        ),
        (
            ClassPredictive([[0.5, 0.5]] * 2),
            ["0", "1"],
            "not seen in training: '0', '1'. The model knows 0, 1",
        ),
        (_quacks([[0.5, 0.5]] * 3), ["a", None, np.nan], "missing in 2 rows, the first of them row 1"),
        (SamplePredictive([[1, 2], [3, 4]], discrete=True), [0.5, 1.0], "must hold counts.*got 0.5 in row 0"),
        (SamplePredictive([[1, 2], [3, 4]], discrete=True), [1.0, -1.0], "must hold counts.*got -1 in row 1"),
        (np.zeros(3), np.zeros(3), "predictive must be a prediction: got ndarray. Wrap"),
        (_quacks([[0.5, 0.5], [0.5, 0.5]]), ["a"], "one label per row"),
        (_quacks([[0.2, 0.3, 0.5]] * 2), ["a", "b"], "shape"),
    ],
)
def test_what_cannot_be_scored_is_said_in_one_sentence(predictive: Any, y: Any, says: str) -> None:
    with pytest.raises(DataError, match=says) as raised:
        evaluate(predictive, y)
    assert "\n" not in str(raised.value)


def test_a_score_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="log_score, crps"):
        evaluate(*regression(10))["brier"]


def test_draws_alone_get_every_score_but_the_log_score() -> None:
    predictive, y = regression(150)
    found = evaluate(SamplePredictive(predictive.sample(2000, seed=1)), y)
    exact = evaluate(predictive, y)
    assert found["log_score"].value is None
    assert "draws, which have no density" in found["log_score"].reason
    assert "log_score" not in found.rows
    for name in ("crps", "rmse", "sharpness", "interval_score"):
        assert found[name].value == pytest.approx(exact[name].value, rel=0.05)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"unfamiliar": np.zeros((3, 2))}, "unfamiliar must be a prediction: got ndarray. Wrap"),
        ({"by": np.zeros(10)}, "by must be a table of columns.*got ndarray; wrap it"),
        ({"by": {"region": ["north"] * 10}}, "by must be a table of columns.*got dict; wrap it"),
        ({"seed": -1}, "seed must be a whole number that is not negative: got -1"),
        ({"n_bootstrap": 0}, "n_bootstrap must be at least 1: got 0"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        evaluate(*regression(10), **options)


def test_numbers_too_large_to_square_have_no_rmse_and_it_is_said() -> None:
    predictive, y = regression(60)
    found = evaluate(GaussianPredictive(1e200 * predictive.mean, 1e200), 1e200 * y, repair=True)
    assert found["rmse"].value is None
    assert found["rmse"].reason == "It is too large to compute."
    assert found["crps"].value == pytest.approx(1e200 * evaluate(predictive, y)["crps"].value)
    json.dumps(found.to_dict(), allow_nan=False)


def test_rows_of_a_second_table_are_told_apart() -> None:
    predictive, y = regression(100)
    strange = GaussianPredictive(np.zeros(80), np.full(80, 3.0))
    found = evaluate(predictive, y, unfamiliar=strange).novelty
    assert found is not None
    assert found.auroc.value == 1.0
    same = evaluate(predictive, y, unfamiliar=predictive).novelty
    assert same is not None
    assert same.auroc.value == pytest.approx(0.5)
    assert evaluate(predictive, y).novelty is None


def test_two_classes_are_drawn_for_the_second_and_more_for_the_likeliest() -> None:
    two, labels = classification(400, n_classes=2)
    found = evaluate(two, labels)
    assert found.corp is not None
    assert found.corp.probability.min() < 0.1
    brier_score = found["brier"].value
    assert found.corp.miscalibration - found.corp.discrimination + found.corp.uncertainty == pytest.approx(
        brier_score, abs=1e-12
    )
    three = evaluate(*classification(400, n_classes=3))
    assert three.corp is not None
    assert three.corp.probability.min() >= 1 / 3
