"""Every score equals its reference library or its closed form to 1e-10."""

from __future__ import annotations

import numpy as np
import pytest
import scoringrules
from scipy import stats
from sklearn import metrics

from bayeshyper.diagnostics import (
    accuracy,
    brier,
    brier_per_row,
    crps,
    crps_per_row,
    interval_coverage,
    log_score,
    rmse,
    score_difference,
    sharpness,
)
from bayeshyper.diagnostics.scores import regression as module
from bayeshyper.errors import DataError
from tests.diagnostics.fakes import classification, regression

RNG = np.random.default_rng(7)


def test_crps_is_the_fair_estimator_of_scoringrules() -> None:
    samples, y = RNG.normal(size=(23, 40)), RNG.normal(size=40)
    wanted = scoringrules.crps_ensemble(y, samples.T, estimator="fair", backend="numpy")
    np.testing.assert_allclose(crps_per_row(samples, y), wanted, rtol=0, atol=1e-10)
    assert crps(samples, y) == pytest.approx(wanted.mean(), abs=1e-10)


def test_crps_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, y = RNG.normal(size=(11, 50)), RNG.normal(size=50)
    whole = crps_per_row(samples, y)
    monkeypatch.setattr(module, "_CHUNK", 33)
    np.testing.assert_array_equal(crps_per_row(samples, y), whole)


def test_crps_is_unbiased_with_two_draws() -> None:
    """The Gaussian's closed form lies within four standard errors of the mean over many rows of two draws."""
    n = 40_000
    rows = crps_per_row(RNG.normal(size=(2, n)), np.full(n, 0.7))
    exact = 0.7 * (2 * stats.norm.cdf(0.7) - 1) + 2 * stats.norm.pdf(0.7) - 1 / np.sqrt(np.pi)
    assert abs(rows.mean() - exact) < 4 * rows.std() / np.sqrt(n)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_brier_is_scikit_learns(n_classes: int) -> None:
    predictive, labels = classification(200, n_classes=n_classes)
    index = np.searchsorted(predictive.classes, labels)
    proba = predictive.probs[:, 1] if n_classes == 2 else predictive.probs
    wanted = metrics.brier_score_loss(index, proba, labels=range(n_classes))
    assert brier(predictive.probs, index) == pytest.approx(wanted, abs=1e-10)
    assert brier_per_row(predictive.probs, index).shape == (200,)


def test_log_score_rmse_and_accuracy_are_scikit_learns() -> None:
    predictive, labels = classification(200)
    index = np.searchsorted(predictive.classes, labels)
    wanted = -metrics.log_loss(index, predictive.probs)
    assert log_score(predictive.log_prob(labels)) == pytest.approx(wanted, abs=1e-10)
    assert accuracy(predictive.probs, index) == metrics.accuracy_score(index, predictive.probs.argmax(1))
    forecast, y = regression(200)
    wanted = metrics.root_mean_squared_error(y, forecast.mean)
    assert rmse(forecast.mean, y) == pytest.approx(wanted, abs=1e-10)


def test_interval_coverage_counts_the_ends_and_sharpness_is_the_mean_width() -> None:
    ends = [[0.0, 1.0], [0.0, 2.0], [5.0, 6.0]]
    assert interval_coverage(ends, [1.0, 2.1, 5.0]) == pytest.approx(2 / 3)
    assert sharpness(ends) == pytest.approx(4 / 3)


def test_a_class_number_may_be_written_as_a_float() -> None:
    assert brier([[0.2, 0.8]], [1.0]) == brier([[0.2, 0.8]], [1])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: crps([[0.0], [np.nan]], [1.0]), "NaN or infinite"),
        (lambda: crps([[0.0]], [1.0]), "at least two"),
        (lambda: crps([[0.0, 1.0], [0.0, 1.0]], [1.0]), r"shape \(S, 1\)"),
        (lambda: rmse([1.0, np.inf], [1.0, 2.0]), "1 infinite value, the first in row 1"),
        (lambda: rmse([1.0], [1.0, 2.0]), "1 rows, expected 2"),
        (lambda: rmse([], []), "empty"),
        (lambda: rmse(["a"], ["b"]), "must hold numbers"),
        (lambda: brier([[0.5, 0.6]], [0]), "row 0 sums to 1.1"),
        (lambda: brier([[1.5, -0.5]], [0]), "not be negative"),
        (lambda: brier([[0.5, 0.5]], [2]), "between 0 and 1"),
        (lambda: brier([[0.5, 0.5]], [0.5]), "class numbers"),
        (lambda: brier([[1.0]], [0]), "at least two"),
        (lambda: log_score([np.nan]), "1 NaN value"),
        (lambda: score_difference([1.0, 2.0], [2.0, 1.0], seed=-1), "seed must be a whole number.*got -1"),
        (lambda: sharpness([[1.0, 0.0]]), "not above"),
    ],
)
def test_bad_input_is_named_in_one_sentence(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(DataError, match=says):
        call()
