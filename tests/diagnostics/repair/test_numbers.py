"""Spread scaling and quantile recalibration: distributions again, and right on what they learned from."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from bayeshyper.diagnostics import (
    ClassPredictive,
    NormalPredictive,
    QuantileRecalibration,
    SamplePredictive,
    SpreadScaling,
    evaluate,
    pit_values,
)
from bayeshyper.diagnostics.repair.spread import ScaledPredictive
from bayeshyper.errors import DataError
from bayeshyper.models import Gaussian, Poisson, StudentT
from bayeshyper.prediction import PredictiveDistribution
from tests.diagnostics.fakes import regression
from tests.prediction.helpers import case

LEVELS = np.array([0.001, 0.05, 0.3, 0.5, 0.77, 0.95, 0.999])
OURS = case(StudentT(), rows=4).predictive
NORMAL = NormalPredictive([0.0, 1.0, -2.0, 3.0], [1.0, 0.5, 2.0, 1.0])
BENT = QuantileRecalibration([0.1, 0.5, 0.8], [0.15, 0.55, 0.75])


def counts() -> PredictiveDistribution:
    """Without units: counts are not standardised."""
    made = case(Poisson(), rows=4, spread=0.3)
    return PredictiveDistribution(made.model, made.weights, made.x)


REPAIRED = pytest.mark.parametrize(
    "repaired",
    [SpreadScaling(1.7)(OURS), ScaledPredictive(NORMAL, 0.6), BENT(OURS), BENT(NORMAL)],
    ids=["scaled-ours", "scaled-normal", "recalibrated-ours", "recalibrated-normal"],
)


@REPAIRED
def test_the_distribution_function_undoes_the_quantiles(repaired: Any) -> None:
    for column, level in zip(repaired.quantiles(LEVELS).T, LEVELS, strict=True):
        np.testing.assert_allclose(repaired.cdf(column), level, atol=1e-9)
    np.testing.assert_allclose(repaired.interval(0.9), repaired.quantiles([0.05, 0.95]), atol=1e-12)


@REPAIRED
def test_the_density_is_the_distribution_functions_slope(repaired: Any) -> None:
    for column in repaired.quantiles([0.05, 0.2, 0.4, 0.8, 0.97]).T:
        slope = (repaired.cdf(column + 1e-5) - repaired.cdf(column - 1e-5)) / 2e-5
        np.testing.assert_allclose(np.exp(repaired.log_prob(column)), slope, rtol=1e-5)


@REPAIRED
def test_the_density_integrates_to_one(repaired: Any) -> None:
    one = repaired.rows(1)
    knots = one.quantiles([0.0001, 0.001, 0.01, 0.3, 0.5, 0.99, 0.999, 0.9999])[0]
    pieces = [
        integrate.quad(lambda y: float(np.exp(one.log_prob([y])[0])), low, high)[0]
        for low, high in pairwise(knots)
    ]
    assert sum(pieces) == pytest.approx(0.9998, abs=1e-6)


@REPAIRED
def test_draws_and_moments_are_the_distributions(repaired: Any) -> None:
    """Of 20,000 draws the PIT is uniform; the mean is held to the noise of the 1,000 draws behind it."""
    drawn = repaired.sample(20_000, seed=1)
    for row in range(4):
        one = repaired.rows(np.full(20_000, row))
        assert stats.kstest(one.cdf(drawn[:, row]), "uniform").statistic < 0.02
    np.testing.assert_allclose(drawn.mean(axis=0), repaired.mean, atol=4 * repaired.std.max() / 30)
    np.testing.assert_allclose(np.median(drawn, axis=0), repaired.quantiles(0.5)[:, 0], atol=0.15)


@REPAIRED
def test_some_rows_of_the_repair_are_the_repair_of_some_rows(repaired: Any) -> None:
    some, y = repaired.rows([2, 0]), np.array([0.5, -0.5])
    whole = np.array([-0.5, 0.0, 0.5, 0.0])
    np.testing.assert_allclose(some.cdf(y), repaired.cdf(whole)[[2, 0]], rtol=1e-12)
    np.testing.assert_allclose(some.log_prob(y), repaired.log_prob(whole)[[2, 0]], rtol=1e-12)
    np.testing.assert_allclose(some.interval(0.8), repaired.interval(0.8)[[2, 0]], rtol=1e-9)


def test_normals_and_draws_are_scaled_as_themselves() -> None:
    general, y = ScaledPredictive(NORMAL, 0.6), np.array([0.5, 1.0, -1.0, 2.0])
    own = SpreadScaling(0.6)(NORMAL)
    assert isinstance(own, NormalPredictive)
    np.testing.assert_allclose(own.log_prob(y), general.log_prob(y), atol=1e-12)
    np.testing.assert_allclose(own.cdf(y), general.cdf(y), atol=1e-12)
    np.testing.assert_allclose(own.std, general.std, atol=1e-12)
    draws = SamplePredictive(NORMAL.sample(50))
    scaled = SpreadScaling(0.6)(draws)
    assert isinstance(scaled, SamplePredictive)
    np.testing.assert_allclose(scaled.mean, draws.mean, atol=1e-12)
    np.testing.assert_allclose(scaled.quantiles(LEVELS), ScaledPredictive(draws, 0.6).quantiles(LEVELS))


def test_the_factor_of_normals_is_the_root_mean_squared_standardised_error() -> None:
    predictive, y = regression(500, 1, stated_std=0.4)
    z = (y - predictive.mean) / predictive.std
    assert SpreadScaling.fit(predictive, y).factor == pytest.approx(np.sqrt(np.mean(z**2)), rel=1e-4)


@pytest.mark.parametrize("stated", [0.4, 1.0, 2.5])
def test_the_spread_is_found_from_densities_and_from_draws(stated: float) -> None:
    predictive, y = regression(3000, 2, stated_std=stated)
    draws = SamplePredictive(predictive.sample(100, seed=9))
    assert SpreadScaling.fit(predictive, y).factor * stated == pytest.approx(1.0, abs=0.05)
    assert SpreadScaling.fit(draws, y).factor * stated == pytest.approx(1.0, abs=0.08)


def test_spread_scaling_leaves_the_mean_and_the_rmse() -> None:
    predictive, y = regression(200, 3, stated_std=0.3, shift=0.5)
    repaired = SpreadScaling.fit(predictive, y)(predictive)
    np.testing.assert_array_equal(repaired.mean, predictive.mean)
    np.testing.assert_allclose(SpreadScaling(3.0)(OURS).mean, OURS.mean)


@pytest.mark.parametrize("planted", [{"stated_std": 0.5}, {"stated_std": 2.0}, {"shift": 0.8}])
def test_the_recalibrated_pit_is_uniform_where_it_was_learned(planted: Any) -> None:
    """At every knot, to the rank of one row; and on new rows no fault is left."""
    predictive, y = regression(10_000, 4, **planted)
    fitted = QuantileRecalibration.fit(predictive, y)
    assert len(fitted.stated) == 19
    pit = fitted(predictive).cdf(y)
    for level in fitted.observed:
        assert np.mean(pit <= level + 1e-12) == pytest.approx(level, abs=1.5 / 10_000)
    new, happened = regression(1000, 5, **planted)
    assert evaluate(new, happened).verdict.flagged
    assert not evaluate(fitted(new), happened).verdict.flagged


def test_a_wrong_mean_and_spread_are_repaired_into_the_tails() -> None:
    """Of normal forecasts: with the two knots that the truth has, the repaired density is the true one."""
    wrong, truth = NormalPredictive(np.zeros(9), 0.5), NormalPredictive(np.full(9, 0.3), 1.0)
    stated = wrong.rows([0, 1]).cdf(truth.quantiles([0.1, 0.7])[0])
    y = np.linspace(-2.7, 2.7, 9)
    repaired = QuantileRecalibration(stated, [0.1, 0.7])(wrong)
    np.testing.assert_allclose(repaired.log_prob(y), truth.log_prob(y), atol=1e-6)
    np.testing.assert_allclose(repaired.cdf(y), truth.cdf(y), atol=1e-9)


def test_a_straight_recalibration_leaves_all() -> None:
    same, y = QuantileRecalibration([0.2, 0.5], [0.2, 0.5])(OURS), np.array([0.0, 1.0, 3.0, 5.0])
    np.testing.assert_allclose(same.log_prob(y), OURS.log_prob(y), atol=1e-12)
    np.testing.assert_allclose(same.cdf(y), OURS.cdf(y), atol=1e-12)
    np.testing.assert_allclose(same.quantiles(LEVELS), OURS.quantiles(LEVELS), atol=1e-9)
    np.testing.assert_allclose(same.mean, OURS.mean, atol=1e-12)


def test_counts_stay_counts() -> None:
    base = counts()
    repaired = BENT(base)
    assert repaired.discrete
    quantiles = repaired.quantiles([0.1, 0.5, 0.9])
    np.testing.assert_array_equal(quantiles, np.round(quantiles))
    total = sum(np.exp(repaired.log_prob(np.full(4, float(k)))) for k in range(200))
    np.testing.assert_allclose(total, 1.0, atol=1e-6)
    np.testing.assert_allclose(
        np.exp(repaired.log_prob(np.full(4, 2.0))),
        repaired.cdf(np.full(4, 2.0)) - repaired.cdf(np.full(4, 1.0)),
        atol=1e-12,
    )
    drawn = repaired.sample(4000, seed=2)
    np.testing.assert_array_equal(drawn, np.round(drawn))
    for k in (0.0, 1.0, 3.0):
        np.testing.assert_allclose((drawn <= k).mean(axis=0), repaired.cdf(np.full(4, k)), atol=0.04)
    many, y = base.rows(np.tile(np.arange(4), 700)), base.sample(700, seed=3).ravel()
    fitted = QuantileRecalibration.fit(many, y)
    assert np.abs(fitted.forward(np.linspace(0, 1, 50)) - np.linspace(0, 1, 50)).max() < 0.05


def test_draws_are_recalibrated_through_their_randomised_pit() -> None:
    predictive, y = regression(1000, 6, stated_std=0.5)
    draws = SamplePredictive(predictive.sample(9, seed=1))
    repaired = QuantileRecalibration.fit(draws, y)(draws)
    assert stats.kstest(pit_values(repaired, y), "uniform").pvalue > 0.2
    with pytest.raises(DataError, match="no density"):
        repaired.log_prob(y)
    assert not repaired.has_density


def test_errors_beyond_all_that_was_predicted_are_said_to_be_so() -> None:
    narrow, y = NormalPredictive(np.zeros(200), 1e-3), np.random.default_rng(0).normal(size=200)
    with pytest.raises(DataError, match="beyond what was predicted"):
        QuantileRecalibration.fit(narrow, y)
    assert SpreadScaling.fit(narrow, y).factor == pytest.approx(100.0, rel=1e-3)
    wide = QuantileRecalibration.fit(NormalPredictive(np.zeros(200), 0.2), y)
    assert (np.diff(wide.stated) > 0).all()
    assert np.isfinite(wide(narrow).quantiles(LEVELS)).all()


class Positive(NormalPredictive):
    """Somebody's own prediction of positive numbers."""

    bounds = (0.0, np.inf)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SpreadScaling.fit(NormalPredictive([0.0], 1.0), [0.0]), "at least 10 rows"),
        (lambda: QuantileRecalibration.fit(NORMAL, np.zeros(4)), "at least 10 rows"),
        (lambda: SpreadScaling.fit(regression(20)[0], np.full(20, np.nan)), "20 NaN values"),
        (lambda: SpreadScaling(2.0)(counts()), "would not stay whole"),
        (lambda: SpreadScaling(2.0)(Positive([5.0], 1.0)), "between 0 and inf cannot be scaled"),
        (lambda: SpreadScaling(-1.0), "above zero"),
        (lambda: SpreadScaling.fit(ClassPredictive([[0.5, 0.5]] * 20), [0] * 20), "got predicted classes"),
        (lambda: QuantileRecalibration([0.5, 0.4], [0.1, 0.9]), "stated levels must rise"),
        (lambda: QuantileRecalibration([0.1, 0.5], [0.0, 0.9]), "strictly between 0 and 1"),
        (lambda: QuantileRecalibration([0.1, 0.5, 0.7], [0.1, 0.9]), "observed has 2 rows"),
    ],
)
def test_what_cannot_be_repaired_is_said(make: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        make()


def test_several_columns_are_refused() -> None:
    ours = case(Gaussian(), rows=20).predictive
    ours.__dict__["_moments"] = (np.zeros((20, 2)),) * 3
    with pytest.raises(DataError, match="take that of several apart"):
        SpreadScaling.fit(ours, np.zeros((20, 2)))
