"""The PIT difference: exact values, planted faults, and a band that holds 95 % of calibrated forecasts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from bayeshyper.diagnostics import pit_difference
from bayeshyper.diagnostics.calibration.bands import LEVELS, uniform_band
from bayeshyper.errors import DataError


def test_the_line_is_the_empirical_distribution_less_the_level() -> None:
    values = np.random.default_rng(0).random(73)
    found = pit_difference(values)
    np.testing.assert_allclose(found.difference, stats.ecdf(values).cdf.evaluate(LEVELS) - LEVELS, atol=1e-12)
    assert found.levels.tolist() == [k / 100 for k in range(1, 100)]


def test_a_value_at_a_level_counts_as_below_it() -> None:
    found = pit_difference([0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(found.difference[[24, 49, 74]], 0.0, atol=1e-12)
    assert found.difference[23] == pytest.approx(-0.24)


@pytest.mark.parametrize("n_rows", [2, 15, 100, 5000])
def test_the_band_holds_as_many_calibrated_lines_as_it_says(n_rows: int) -> None:
    """95 % of 2000, to the binomial 0.001 tails, and 2 % for its own 1000 simulations; few rows are safer."""
    counts = (
        np.random.default_rng(1).multinomial(n_rows, np.full(100, 0.01), size=2000)[:, :-1].cumsum(axis=1)
    )
    lower, upper = uniform_band(n_rows)
    held = ((counts / n_rows >= lower - 1e-12) & (counts / n_rows <= upper + 1e-12)).all(axis=1).mean()
    assert stats.binom.ppf(0.001, 2000, 0.95) / 2000 - 0.02 <= held
    assert held <= (stats.binom.ppf(0.999, 2000, 0.95) / 2000 + 0.02 if n_rows >= 100 else 1.0)


def test_the_band_is_between_the_pointwise_one_and_bonferroni() -> None:
    n = 300
    lower, upper = uniform_band(n)
    assert (lower <= stats.binom.ppf(0.025, n, LEVELS) / n).all()
    assert (lower >= stats.binom.ppf(0.025 / 99, n, LEVELS) / n).all()
    assert (upper >= stats.binom.isf(0.025, n, LEVELS) / n).all()
    assert (upper <= stats.binom.isf(0.025 / 99, n, LEVELS) / n).all()


def test_the_band_is_that_of_arviz() -> None:
    """ecdf_confidence_band of arviz 0.23.4 (simulated, 5000 trials), 400 rows: at most one row off."""
    lower, upper = uniform_band(400)
    at = [9, 49, 89]
    assert np.abs(400 * lower[at] - [23, 170, 341]).max() <= 1 + 1e-9
    assert np.abs(400 * upper[at] - [59, 230, 377]).max() <= 1 + 1e-9


def test_calibrated_lines_stay_inside_and_faults_leave() -> None:
    """At most 15 of 200 calibrated forecasts leave the band anywhere."""
    left = sum(bool(len(pit_difference(np.random.default_rng(s).random(150)).outside)) for s in range(200))
    assert left <= 15
    noise = np.random.default_rng(3).normal(size=400)
    shifted = pit_difference(stats.norm.cdf(noise - 0.5))
    assert len(shifted.outside) > 50
    assert shifted.difference[10:90].min() > 0  # the forecast is too high
    narrow = pit_difference(stats.norm.cdf(1.6 * noise))
    assert narrow.difference[10] > narrow.upper[10]
    assert narrow.difference[88] < narrow.lower[88]


def test_turning_the_forecast_around_mirrors_the_line() -> None:
    values = np.random.default_rng(4).random(333) ** 1.1
    np.testing.assert_allclose(
        pit_difference(1 - values).difference[::-1], -pit_difference(values).difference, rtol=0, atol=1e-12
    )


def test_it_is_json_and_one_row_is_never_outside() -> None:
    assert pit_difference([0.5]).outside.tolist() == []
    read = json.loads(json.dumps(pit_difference([0.5, 0.6]).to_dict(), allow_nan=False))
    assert set(read) == {"levels", "difference", "lower", "upper"}


@pytest.mark.parametrize(("pit", "says"), [([1.1], "between 0 and 1"), ([np.nan], "1 NaN"), ([], "empty")])
def test_bad_input_is_named(pit: list[float], says: str) -> None:
    with pytest.raises(DataError, match=says):
        pit_difference(pit)
