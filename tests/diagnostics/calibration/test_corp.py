"""CORP against scikit-learn's isotonic regression, model-diagnostics, and what calibration must give."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from bayeshyper.diagnostics import brier, brier_decomposition, corp_curve
from bayeshyper.errors import DataError


def rows(n: int, seed: int, power: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    stated = rng.random(n)
    return stated, rng.random(n) < stated**power


def test_the_curve_is_isotonic_regression_at_every_stated_probability() -> None:
    stated, happened = rows(150, 0, 2.0)
    curve = corp_curve(stated, happened)
    wanted = IsotonicRegression().fit(stated, happened).predict(np.sort(stated))
    found = np.interp(np.sort(stated), curve.probability, curve.recalibrated)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10)
    assert curve.probability[[0, -1]].tolist() == [stated.min(), stated.max()]


@pytest.mark.parametrize("seed", range(4))
def test_the_parts_are_differences_of_brier_scores(seed: int) -> None:
    stated, happened = rows(200, seed, 1.5)
    stated = stated.round(2)
    recalibrated = IsotonicRegression().fit(stated, happened).predict(stated)
    best, base = np.mean((recalibrated - happened) ** 2), np.mean((happened.mean() - happened) ** 2)
    found = corp_curve(stated, happened, n_simulations=10)
    assert found.miscalibration == pytest.approx(np.mean((stated - happened) ** 2) - best, abs=1e-10)
    assert found.discrimination == pytest.approx(base - best, abs=1e-10)
    assert found.uncertainty == pytest.approx(base, abs=1e-10)


def test_the_parts_are_those_of_model_diagnostics() -> None:
    """Its decompose(…, SquaredError()) gave these numbers: model-diagnostics 1.5.0, scikit-learn 1.9.1."""
    rng = np.random.default_rng(2021)
    stated = rng.random(200).round(2)
    happened = rng.random(200) < stated**1.5
    found = corp_curve(stated, happened).decomposition
    assert found.miscalibration == pytest.approx(0.025049453543876138, abs=1e-10)
    assert found.discrimination == pytest.approx(0.10114395354387612, abs=1e-10)
    assert found.uncertainty == pytest.approx(0.231775, abs=1e-10)
    assert found.score == pytest.approx(0.1556805, abs=1e-10)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_the_parts_add_up_to_the_brier_score_for_any_number_of_classes(n_classes: int) -> None:
    rng = np.random.default_rng(n_classes)
    probs = rng.dirichlet(np.ones(n_classes), size=300)
    labels = rng.integers(n_classes, size=300)
    found = brier_decomposition(probs, labels)
    assert found.score == pytest.approx(brier(probs, labels), abs=1e-10)
    assert found.to_dict()["score"] == found.score
    shuffled = rng.permutation(n_classes)
    other = brier_decomposition(probs[:, shuffled], np.argsort(shuffled)[labels])
    assert other.to_dict() == pytest.approx(found.to_dict(), abs=1e-10)
    if n_classes == 2:
        assert found.to_dict() == pytest.approx(
            {**corp_curve(probs[:, 1], labels == 1, n_simulations=1).decomposition.to_dict()}, abs=1e-10
        )


def test_an_increasing_change_moves_miscalibration_alone() -> None:
    stated, happened = rows(400, 5)
    one, two = corp_curve(stated, happened).decomposition, corp_curve(stated**3, happened).decomposition
    assert two.discrimination == pytest.approx(one.discrimination, abs=1e-12)
    assert two.uncertainty == pytest.approx(one.uncertainty, abs=1e-12)
    assert two.miscalibration > 2 * one.miscalibration


def test_recalibrated_probabilities_need_no_more_recalibration() -> None:
    stated, happened = rows(300, 6, 2.0)
    recalibrated = IsotonicRegression().fit(stated, happened).predict(stated)
    again = corp_curve(np.clip(recalibrated, 0, 1), happened)
    assert again.miscalibration == pytest.approx(0.0, abs=1e-12)


def test_miscalibration_of_a_calibrated_forecast_vanishes_and_is_what_chance_gives() -> None:
    for n, bound in ((300, 0.05), (30_000, 0.002)):
        curve = corp_curve(*rows(n, 1), n_simulations=300)
        assert 0 < curve.miscalibration < bound
        assert 0.4 < curve.miscalibration / curve.miscalibration_if_calibrated < 2.0
    seen = np.array([corp_curve(*rows(100, s), n_simulations=1).miscalibration for s in range(300)])
    stated = np.mean(
        [corp_curve(*rows(100, s), n_simulations=50).miscalibration_if_calibrated for s in range(40)]
    )
    assert abs(seen.mean() - stated) < 4 * seen.std() * np.sqrt(1 / 300 + 1 / 2000)


def test_the_p_value_is_calibrated_and_small_for_a_planted_fault() -> None:
    """At most 5 % of 200 calibrated forecasts have one of 0.05 or less, with a binomial 0.001 tail."""
    p_values = [corp_curve(*rows(80, s), n_simulations=99).p_value for s in range(200)]
    assert np.mean(np.array(p_values) <= 0.05) <= stats.binom.ppf(0.999, 200, 0.05) / 200
    assert corp_curve(*rows(500, 0, 2.0)).p_value < 0.002
    assert corp_curve(*rows(5000, 0, 1.3)).p_value < 0.002


def test_the_band_holds_a_calibrated_curve_at_each_point() -> None:
    """In the middle, over 200 forecasts on 100 rows, with the stated 90 % less a binomial 0.001 tail."""
    inside = np.zeros(3)
    for seed in range(200):
        curve = corp_curve(*rows(100, seed), n_simulations=199, level=0.9)
        at = np.array([0.25, 0.5, 0.75])
        seen, low, high = (
            np.interp(at, curve.probability, y) for y in (curve.recalibrated, curve.lower, curve.upper)
        )
        inside += (low - 1e-12 <= seen) & (seen <= high + 1e-12)
    assert inside.min() >= stats.binom.ppf(0.001, 200, 0.9)
    assert inside.max() <= stats.binom.ppf(0.999, 200, 0.96)


def test_a_page_stays_small_however_many_rows() -> None:
    stated, happened = rows(200_000, 3, 1.2)
    curve = corp_curve(stated, happened, n_simulations=100)
    assert len(curve.probability) <= 300
    assert (np.diff(curve.probability) > 0).all()
    assert (np.diff(curve.recalibrated) >= 0).all()
    assert (curve.lower <= curve.upper).all()
    middle = (curve.probability > 0.05) & (curve.probability < 0.95)
    # five standard deviations of isotonic regression, √(slope p(1-p) / n)^(2/3), are below 0.04
    truth = curve.probability**1.2
    np.testing.assert_allclose(curve.recalibrated[middle], truth[middle], rtol=0, atol=0.04)
    text = json.dumps(curve.to_dict(), allow_nan=False)
    assert len(text) < 30_000


def test_one_class_and_constant_predictions_have_their_exact_parts() -> None:
    one = corp_curve(np.linspace(0.5, 0.9, 50), np.ones(50))
    assert (one.discrimination, one.uncertainty) == (0.0, 0.0)
    assert one.recalibrated.tolist() == [1.0] * len(one.recalibrated)
    constant = corp_curve(np.full(50, 0.7), np.arange(50) < 25)
    assert constant.probability.tolist() == [0.7]
    assert constant.recalibrated.tolist() == [0.5]
    assert constant.miscalibration == pytest.approx(0.04)
    assert constant.discrimination == pytest.approx(0.0)
    low, high = stats.binom.ppf([0.025, 0.975], 50, 0.7) / 50
    assert abs(constant.lower[0] - low) <= 0.021
    assert abs(constant.upper[0] - high) <= 0.021
    certain = corp_curve(np.repeat([0.0, 1.0], 20), np.repeat([False, True], 20))
    assert (certain.miscalibration, certain.p_value) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: corp_curve([0.5], [True]), "at least two rows"),
        (lambda: corp_curve([0.5, np.nan], [True, False]), "1 NaN value"),
        (lambda: corp_curve([0.5, 1.1], [True, False]), "between 0 and 1"),
        (lambda: corp_curve([0.5, 0.5], [0.2, 0.4]), "must hold booleans"),
        (lambda: corp_curve([0.5, 0.5], [0, 1], level=95), "as in 0.9"),
        (lambda: brier_decomposition([[0.5, 0.6]], [0]), "row 0 sums to 1.1"),
        (lambda: brier_decomposition([[0.5, 0.5]], [2]), "between 0 and 1"),
    ],
)
def test_bad_input_is_named(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(DataError, match=says):
        call()
