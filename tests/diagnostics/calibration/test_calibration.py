"""ECE, reliability, coverage and the PIT against references and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve

from bayeshyper.diagnostics import (
    class_frequencies,
    confidence_test,
    coverage_at,
    coverage_curve,
    expected_calibration_error,
    pit_coverage,
    pit_histogram,
    quantile_calibration_error,
    reliability_curve,
    top_label,
    uniformity,
)
from bayeshyper.diagnostics.calibration.quantiles import gap_if_calibrated
from bayeshyper.diagnostics.calibration.reliability import bin_edges, calibration_gaps
from bayeshyper.errors import DataError
from tests.diagnostics.fakes import classification

RNG = np.random.default_rng(3)
CONFIDENCE = RNG.uniform(0.5, 1.0, size=500)
CORRECT = RNG.random(500) < CONFIDENCE


@pytest.mark.parametrize(("binning", "strategy"), [("equal-width", "uniform"), ("equal-mass", "quantile")])
def test_the_curve_is_scikit_learns(binning: str, strategy: str) -> None:
    curve = reliability_curve(CONFIDENCE, CORRECT, n_bins=10, binning=binning)
    right, sure = calibration_curve(CORRECT, CONFIDENCE, n_bins=10, strategy=strategy)
    np.testing.assert_allclose(curve.accuracy, right, rtol=0, atol=1e-10)
    np.testing.assert_allclose(curve.confidence, sure, rtol=0, atol=1e-10)
    assert curve.counts.sum() == 500
    wanted = np.abs(right - sure) @ curve.counts / 500
    assert expected_calibration_error(CONFIDENCE, CORRECT, n_bins=10, binning=binning) == pytest.approx(
        wanted, abs=1e-10
    )


def test_the_ece_is_a_function_of_mean_gaps() -> None:
    """Which is what lets the one bootstrap serve it."""
    gaps = calibration_gaps(CONFIDENCE, CORRECT, bin_edges(CONFIDENCE, 15))
    assert np.abs(gaps.mean(axis=0)).sum() == pytest.approx(
        expected_calibration_error(CONFIDENCE, CORRECT), abs=1e-10
    )


def test_chance_alone_gives_the_stated_ece() -> None:
    """The mean ECE of 400 calibrated tables, to four standard errors; confidence is constant in each bin."""
    sure = np.repeat([0.6, 0.75, 0.9], 60)
    eces = [
        reliability_curve(sure, np.random.default_rng(s).random(180) < sure, n_bins=3, binning="equal-width")
        for s in range(400)
    ]
    seen = np.array([curve.ece for curve in eces])
    assert abs(seen.mean() - eces[0].ece_if_calibrated) < 4 * seen.std() / 20


def test_ties_and_constants_share_a_bin() -> None:
    curve = reliability_curve(np.full(100, 0.7), np.arange(100) < 70)
    assert curve.counts.tolist() == [100]
    assert curve.ece == pytest.approx(0.0, abs=1e-12)
    halves = reliability_curve(np.repeat([0.6, 0.8], 50), np.ones(100))
    assert halves.counts.tolist() == [50, 50]
    assert halves.confidence.tolist() == pytest.approx([0.6, 0.8])
    certain = reliability_curve(np.repeat([0.6, 1.0], [10, 90]), np.ones(100))
    assert certain.counts.tolist() == [10, 90]


@pytest.mark.parametrize("n_rows", [1, 2, 7, 61, 299, 1000])
def test_bins_of_equal_mass_differ_by_one_row(n_rows: int) -> None:
    counts = reliability_curve(RNG.random(n_rows), np.ones(n_rows), n_bins=5).counts
    assert counts.sum() == n_rows
    assert counts.max() - counts.min() <= 1


def test_the_consistency_intervals_hold_all_bins_together() -> None:
    """Of 300 calibrated curves, at least 95 % stay inside everywhere (less a binomial 0.001 tail)."""
    inside = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        sure = rng.uniform(0.5, 1.0, size=200)
        curve = reliability_curve(sure, rng.random(200) < sure)
        inside += bool(((curve.lower <= curve.accuracy) & (curve.accuracy <= curve.upper)).all())
    assert inside >= stats.binom.ppf(0.001, 300, 0.95)


def test_planted_over_confidence_has_a_small_p_value_and_the_truth_has_not() -> None:
    assert confidence_test(reliability_curve(CONFIDENCE, CORRECT)).gap_p_value > 0.05
    planted = confidence_test(reliability_curve(np.minimum(CONFIDENCE + 0.12, 1.0), CORRECT))
    assert planted.gap < 0
    assert planted.gap_p_value < 0.001
    assert planted.ece_p_value < 0.001


def test_class_frequencies_find_the_class_that_is_rarer_than_stated() -> None:
    predictive, labels = classification(600, n_classes=3)
    index = np.searchsorted(predictive.classes, labels)
    assert class_frequencies(predictive.probs, index).p_values.min() > 0.01
    index[index == 2] = 0
    shifted = class_frequencies(predictive.probs, index)
    assert shifted.p_values[2] < 1e-10
    assert shifted.observed[2] == 0.0


def test_a_rare_class_is_not_judged() -> None:
    probs = np.tile([0.98, 0.02], (50, 1))
    assert np.isnan(class_frequencies(probs, np.zeros(50, dtype=int)).p_values).all()


def test_top_label_takes_the_likeliest() -> None:
    sure, right = top_label([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], [1, 2])
    assert sure.tolist() == [0.5, 0.6]
    assert right.tolist() == [True, False]


def test_coverage_is_the_folded_pit() -> None:
    pit = RNG.random(333)
    for level in (0.5, 0.8, 0.9, 0.95):
        lower, upper = (1 - level) / 2, (1 + level) / 2
        assert pit_coverage(pit, level) == pytest.approx(np.mean((pit >= lower) & (pit <= upper)))
    found = coverage_at(pit, 0.9)
    assert found.lower < found.observed < found.upper
    curve = coverage_curve(pit)
    np.testing.assert_allclose(curve.observed[89], found.observed)


@pytest.mark.parametrize("n_rows", [30, 400])
def test_the_coverage_band_holds_whole_curves(n_rows: int) -> None:
    """Between 92 and 98.5 % of 400 calibrated curves stay inside; discreteness makes small tables safer."""
    inside = 0
    for seed in range(400):
        curve = coverage_curve(np.random.default_rng(seed).random(n_rows))
        inside += bool(((curve.lower <= curve.observed) & (curve.observed <= curve.upper)).all())
    assert stats.binom.ppf(0.001, 400, 0.95) <= inside <= 399


def test_the_pit_histogram_counts_and_bounds() -> None:
    histogram = pit_histogram(RNG.random(1000))
    assert len(histogram.counts) == 20
    assert histogram.counts.sum() == 1000
    assert histogram.lower < histogram.expected == 50.0 < histogram.upper
    inside = [
        bool(((h.counts >= h.lower) & (h.counts <= h.upper)).all())
        for h in (pit_histogram(np.random.default_rng(s).random(200)) for s in range(300))
    ]
    assert sum(inside) >= stats.binom.ppf(0.001, 300, 0.95)


def test_the_quantile_error_and_what_chance_gives() -> None:
    """The mean over 500 calibrated tables, to four standard errors."""
    seen = np.array([quantile_calibration_error(np.random.default_rng(s).random(60)) for s in range(500)])
    assert abs(seen.mean() - gap_if_calibrated(60)) < 4 * seen.std() / np.sqrt(500)
    assert quantile_calibration_error(np.full(10, 0.999)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("pit", "main", "sign"),
    [
        (stats.norm.cdf(RNG.normal(1.0, 1.0, 300)), "bias", 1),
        (stats.norm.cdf(RNG.normal(0.0, 2.0, 300)), "dispersion", 1),
        (stats.norm.cdf(RNG.normal(0.0, 0.4, 300)), "dispersion", -1),
        (stats.norm.cdf(RNG.exponential(size=3000) - 1.0), "skewness", 1),
    ],
)
def test_uniformity_names_what_is_wrong(pit: np.ndarray, main: str, sign: int) -> None:
    found = uniformity(pit)
    assert found.faults[0] == main
    assert np.sign(getattr(found, main)) == sign


def test_the_four_directions_are_standard_normal_for_uniform_values() -> None:
    """Mean within four standard errors of 0, and variance of 1, over 1000 tables."""
    names = ("bias", "dispersion", "skewness", "tails")
    tests = [uniformity(np.random.default_rng(s).random(50)) for s in range(1000)]
    table = np.array([[getattr(test, name) for name in names] for test in tests])
    assert np.abs(table.mean(axis=0)).max() < 4 / np.sqrt(1000)
    assert np.abs(table.var(axis=0) - 1.0).max() < 4 * np.sqrt(2 / 1000)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: pit_histogram([1.2]), "between 0 and 1"),
        (lambda: pit_histogram([np.nan]), "1 NaN value"),
        (lambda: reliability_curve([1.5], [True]), "between 0 and 1"),
        (lambda: reliability_curve([0.5], [True], n_bins=0), "at least 1"),
        (lambda: bin_edges([0.5], 3, "equal"), "equal-mass"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_named(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(DataError, match=says):
        call()
