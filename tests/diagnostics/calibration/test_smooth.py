"""The smooth calibration error against its definition, relplot and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from bayeshyper.diagnostics import smooth_calibration_error, smooth_error_if_calibrated
from bayeshyper.errors import DataError


def by_definition(sure: np.ndarray, right: np.ndarray) -> float:
    """The fixed point of ∫ |mean of residual × reflected Gaussian| dt, mirror image by mirror image."""
    t = (np.arange(4000) + 0.5) / 4000

    def error(width: float) -> float:
        smoothed = np.zeros(4000)
        for turn in range(-4, 5):
            for sign in (1, -1):
                z = (t[:, None] - (2 * turn + sign * sure)) / width
                smoothed += np.exp(-0.5 * z**2) @ (right - sure)
        return float(np.abs(smoothed).mean() / (len(sure) * width * np.sqrt(2 * np.pi)))

    return float(optimize.brentq(lambda width: error(width) - width, 0.005, 1.0, xtol=1e-10))


@pytest.mark.parametrize(("n", "power"), [(1, 1.0), (5, 1.0), (60, 3.0), (200, 1.5), (200, 1.0)])
def test_it_is_the_fixed_point_of_its_definition(n: int, power: float) -> None:
    rng = np.random.default_rng(n)
    sure = rng.random(n)
    right = rng.random(n) < sure**power
    assert smooth_calibration_error(sure, right) == pytest.approx(by_definition(sure, right), rel=1e-4)


def test_relplot_agrees_to_the_width_it_searches_to() -> None:
    """relplot 1.0.3 gave 0.116381 at width 0.1172 and 0.101454 at 0.1016; it halves the width ten times."""
    rng = np.random.default_rng(2021)
    for n, wanted in ((200, 0.11638147543800566), (20_000, 0.1014540288153988)):
        sure = rng.random(n).round(2) if n == 200 else rng.random(n)
        right = rng.random(n) < sure**1.5
        assert smooth_calibration_error(sure, right) == pytest.approx(wanted, abs=1e-3)


def test_one_gap_everywhere_is_the_error() -> None:
    """Smoothing moves no mass out of [0, 1]: residuals of one sign keep their mean, whatever the width."""
    for gap in (0.2, 0.05, 0.003):
        right = np.arange(10_000) < 10_000 * (0.9 - gap)
        assert smooth_calibration_error(np.full(10_000, 0.9), right) == pytest.approx(gap, rel=1e-3)


def test_turning_the_event_around_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    sure = rng.random(300)
    right = rng.random(300) < sure**2
    assert smooth_calibration_error(1 - sure, ~right) == pytest.approx(
        smooth_calibration_error(sure, right), rel=1e-6
    )


def test_a_million_rows_and_what_chance_gives_them() -> None:
    rng = np.random.default_rng(5)
    sure = rng.random(10**6)
    error = smooth_calibration_error(sure, rng.random(10**6) < sure)
    assert 0.5 < error / smooth_error_if_calibrated(sure) < 2.0
    assert error < 0.005


def test_chance_alone_gives_the_stated_error() -> None:
    """Over 150 calibrated tables, to four standard errors of both means."""
    sure = np.random.default_rng(6).uniform(0.5, 1.0, size=200)
    seen = [smooth_calibration_error(sure, np.random.default_rng(s).random(200) < sure) for s in range(150)]
    stated = smooth_error_if_calibrated(sure, n_simulations=150)
    assert abs(np.mean(seen) - stated) < 4 * np.std(seen) * np.sqrt(2 / 150)


def test_the_extremes() -> None:
    assert smooth_calibration_error([1.0, 0.0], [True, False]) == 0.0
    assert smooth_calibration_error([1.0, 1.0], [False, False]) == pytest.approx(1.0)
    assert smooth_calibration_error([0.5], [True]) == pytest.approx(0.5)
    tiny = smooth_calibration_error(np.full(10**4, 1e-5), np.zeros(10**4))
    assert tiny == pytest.approx(1e-5)
    assert smooth_error_if_calibrated([0.0, 1.0]) == 0.0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: smooth_calibration_error([np.nan], [True]), "1 NaN value"),
        (lambda: smooth_calibration_error([1.2], [True]), "between 0 and 1"),
        (lambda: smooth_calibration_error([0.2], [0.5]), "must hold booleans"),
        (lambda: smooth_error_if_calibrated([]), "empty"),
    ],
)
def test_bad_input_is_named(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(DataError, match=says):
        call()
