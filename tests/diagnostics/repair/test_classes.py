"""Temperature and isotonic repairs of class probabilities, against scikit-learn and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from bayeshyper.diagnostics import (
    ClassPredictive,
    IsotonicCalibration,
    NormalPredictive,
    TemperatureScaling,
    evaluate,
)
from bayeshyper.errors import DataError
from bayeshyper.models import Categorical
from tests.diagnostics.fakes import classification
from tests.prediction.helpers import case

REPAIRS = pytest.mark.parametrize("repair", [TemperatureScaling, IsotonicCalibration])


@pytest.mark.parametrize("sharpen", [0.5, 1.0, 2.5])
def test_the_temperature_undoes_a_power(sharpen: float) -> None:
    """Probabilities raised to a power and renormalised are the true ones at that temperature."""
    predictive, y = classification(4000, 1, sharpen=sharpen)
    fitted = TemperatureScaling.fit(predictive, y)
    assert fitted.temperature == pytest.approx(sharpen, rel=0.06)
    true = classification(4000, 1)[0].probs
    np.testing.assert_allclose(TemperatureScaling(sharpen)(predictive).probs, true, atol=1e-12)


def test_the_temperature_is_where_the_likelihood_is_highest() -> None:
    predictive, y = classification(200, 2, sharpen=1.7)
    best = TemperatureScaling.fit(predictive, y).temperature
    scores = [
        TemperatureScaling(t)(predictive).log_prob(y).mean() for t in (best * 0.999, best, best * 1.001)
    ]
    assert scores[1] > max(scores[0], scores[2])


def test_the_temperature_is_scikit_learns() -> None:
    from sklearn.calibration import _TemperatureScaling

    predictive, y = classification(300, 3, n_classes=4, sharpen=2.0)
    reference = _TemperatureScaling().fit(np.log(predictive.probs), predictive.encode(y))
    assert TemperatureScaling.fit(predictive, y).temperature == pytest.approx(1.0 / reference.beta_, rel=1e-4)


def test_the_temperature_leaves_the_order_and_one_leaves_all() -> None:
    predictive, y = classification(200, 4, sharpen=3.0)
    repaired = TemperatureScaling.fit(predictive, y)(predictive)
    np.testing.assert_array_equal(np.argsort(repaired.probs, axis=1), np.argsort(predictive.probs, axis=1))
    assert evaluate(repaired, y)["accuracy"].value == evaluate(predictive, y)["accuracy"].value
    np.testing.assert_allclose(TemperatureScaling(1.0)(predictive).probs, predictive.probs, atol=1e-12)


def test_rows_that_are_all_right_teach_no_temperature() -> None:
    """The likelihood then rises as T falls to zero; one wrong row gives it a peak, at log 9 / log 132."""
    stated = ClassPredictive([[0.9, 0.1], [0.1, 0.9]] * 66 + [[0.9, 0.1]])
    right = [0, 1] * 66 + [0]
    with pytest.raises(DataError, match="No row was wrong: these rows cannot tell how sure one may be"):
        TemperatureScaling.fit(stated, right)
    with_one_wrong = TemperatureScaling.fit(stated, [*right[:-1], 1]).temperature
    assert with_one_wrong == pytest.approx(np.log(9.0) / np.log(132.0), rel=1e-5)


def test_an_even_prediction_has_no_temperature() -> None:
    even = ClassPredictive(np.full((30, 3), 1 / 3))
    assert TemperatureScaling.fit(even, [0, 1, 2] * 10).temperature == 1.0


@REPAIRS
def test_what_was_called_impossible_is_no_longer(repair: Any) -> None:
    certain = ClassPredictive(np.tile([1.0, 0.0], (40, 1)))
    repaired = repair.fit(certain, [0] * 30 + [1] * 10)(certain)
    assert np.isfinite(repaired.log_prob([1] * 40)).all()
    assert repaired.probs[0, 1] == pytest.approx(0.25, abs=0.01)


def test_isotonic_calibration_is_scikit_learns() -> None:
    """Where its maps reach neither 0 nor 1, which is all that differs."""
    predictive, y = classification(3000, 5, sharpen=2.0)
    index = predictive.encode(y)

    class Stated:
        classes_ = np.arange(3)
        _estimator_type = "classifier"

        def fit(self, X: Any, y: Any) -> Stated:
            return self

        def predict_proba(self, X: Any) -> Any:
            return X

        def predict(self, X: Any) -> Any:
            return X.argmax(axis=1)

        def __sklearn_tags__(self) -> Any:
            from sklearn.base import BaseEstimator, ClassifierMixin

            class Tagged(ClassifierMixin, BaseEstimator):
                pass

            return Tagged().__sklearn_tags__()

        def __sklearn_is_fitted__(self) -> bool:
            return True

    reference = CalibratedClassifierCV(FrozenEstimator(Stated()), method="isotonic", cv=2, ensemble=False)
    expected = reference.fit(predictive.probs, index).predict_proba(predictive.probs)
    found = IsotonicCalibration.fit(predictive, y)(predictive).probs
    inner = ((expected > 0.02) & (expected < 0.85)).all(axis=1)
    assert inner.mean() > 0.3
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-10)


def test_what_always_happened_is_no_more_certain_than_laplace() -> None:
    predictive, _ = classification(98, 8, n_classes=2)
    likeliest = predictive.classes[predictive.probs.argmax(axis=1)]
    repaired = IsotonicCalibration.fit(predictive, likeliest)(predictive).probs
    np.testing.assert_allclose(np.unique(repaired.round(12)), [0.01, 0.99], atol=1e-12)


def test_isotonic_calibration_makes_the_rows_it_learned_from_calibrated() -> None:
    """Two classes: rows of equal repaired probability hold that share of the class, as pooling makes it."""
    predictive, y = classification(500, 6, n_classes=2, sharpen=3.0)
    repaired = IsotonicCalibration.fit(predictive, y)(predictive).probs[:, 1]
    happened = predictive.encode(y)
    for value in np.unique(repaired.round(12))[1:-1]:
        alike = np.isclose(repaired, value)
        if alike.sum() > 1:
            assert happened[alike].mean() == pytest.approx(value, abs=0.006)
    order = np.argsort(predictive.probs[:, 1])
    assert (np.diff(repaired[order]) >= -1e-12).all()


@REPAIRS
def test_the_repair_of_some_rows_is_some_rows_of_the_repair(repair: Any) -> None:
    predictive, y = classification(60, 7)
    fitted, index = repair.fit(predictive, y), np.arange(0, 60, 7)
    np.testing.assert_allclose(
        fitted(predictive.rows(index)).probs, fitted(predictive).rows(index).probs, atol=1e-15
    )
    assert fitted(predictive).classes is predictive.classes


@REPAIRS
def test_our_predictions_can_be_repaired(repair: Any) -> None:
    ours = case(Categorical(3), rows=30).predictive
    repaired = repair.fit(ours, np.arange(30) % 3)(ours)
    np.testing.assert_allclose(repaired.probs.sum(axis=1), 1.0, atol=1e-12)


@REPAIRS
@pytest.mark.parametrize(
    ("predictive", "y", "says"),
    [
        (ClassPredictive([[0.5, 0.5]]), [0], "at least 10 rows to learn from: got 1"),
        (ClassPredictive([[0.5, 0.5]] * 20, ["a", "b"]), ["a"] * 20, "Every row is of class a"),
        (ClassPredictive([[0.5, 0.5]] * 20, ["a", "b"]), ["c"] * 20, "not seen in training: 'c'"),
        (NormalPredictive(np.zeros(20), 1.0), np.zeros(20), "got predicted numbers"),
    ],
)
def test_what_teaches_nothing_is_refused(repair: Any, predictive: Any, y: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        repair.fit(predictive, y)


def test_a_repair_is_of_its_classes() -> None:
    predictive, y = classification(60)
    with pytest.raises(DataError, match="of 3 classes: got 2"):
        IsotonicCalibration.fit(predictive, y)(ClassPredictive([[0.5, 0.5]]))
    with pytest.raises(DataError, match="above zero"):
        TemperatureScaling(0.0)
