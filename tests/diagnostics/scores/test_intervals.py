"""The interval scores against scoringrules, quantile scores and closed forms of the Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
import scoringrules
from scipy import integrate, stats
from sklearn.metrics import mean_pinball_loss

from bayeshyper.diagnostics import (
    WIS_LEVELS,
    interval_score,
    interval_score_per_row,
    weighted_interval_score,
    weighted_interval_score_per_row,
)
from bayeshyper.errors import DataError

RNG = np.random.default_rng(11)
N = 60
Y = RNG.normal(size=N)
MEAN, STD = RNG.normal(size=N), RNG.uniform(0.3, 2.0, size=N)


def intervals(level: float, mean: np.ndarray = MEAN, std: np.ndarray = STD) -> np.ndarray:
    half = stats.norm.isf((1.0 - level) / 2.0) * std
    return np.stack([mean - half, mean + half], axis=1)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.9, 0.99])
def test_the_interval_score_is_that_of_scoringrules(level: float) -> None:
    ends = intervals(level)
    wanted = scoringrules.interval_score(Y, ends[:, 0], ends[:, 1], np.array(1 - level), backend="numpy")
    np.testing.assert_allclose(interval_score_per_row(ends, Y, level=level), wanted, rtol=0, atol=1e-10)
    assert interval_score(ends, Y, level=level) == pytest.approx(wanted.mean(), abs=1e-10)


def test_the_expected_score_of_the_true_gaussian_interval() -> None:
    """E S = (2 / tail) φ(z) for the standard normal, tail = (1 - level) / 2; by quadrature to 1e-8."""
    ends = np.array([[-1.0, 1.0]]) * stats.norm.isf(0.05)

    def weighted(y: float) -> float:
        return interval_score(ends, [y], level=0.9) * stats.norm.pdf(y)

    found = integrate.quad(weighted, -10, 10, points=[ends[0, 0], ends[0, 1]])[0]
    assert found == pytest.approx(2 / 0.05 * stats.norm.pdf(stats.norm.isf(0.05)), abs=1e-8)


def test_the_true_interval_scores_better_than_a_narrower_or_wider_one() -> None:
    y = np.random.default_rng(0).normal(size=20_000)
    ends = np.tile(np.array([-1.0, 1.0]) * stats.norm.isf(0.05), (len(y), 1))
    true, narrow, wide = (interval_score(ends * factor, y, level=0.9) for factor in (1.0, 0.7, 1.4))
    assert true < min(narrow, wide)


def test_the_weighted_score_is_the_mean_of_quantile_scores() -> None:
    """WIS = 2 × the mean pinball loss of its 2K + 1 quantiles (Bracher et al., 2021)."""
    stack = np.stack([intervals(level) for level in WIS_LEVELS])
    losses = [mean_pinball_loss(Y, MEAN, alpha=0.5)]
    for level, ends in zip(WIS_LEVELS, stack, strict=True):
        losses.append(mean_pinball_loss(Y, ends[:, 0], alpha=(1 - level) / 2))
        losses.append(mean_pinball_loss(Y, ends[:, 1], alpha=(1 + level) / 2))
    assert weighted_interval_score(MEAN, stack, Y) == pytest.approx(2 * np.mean(losses), abs=1e-10)


def test_the_weighted_score_of_many_levels_is_the_crps_of_the_gaussian() -> None:
    """The sum over K levels is a midpoint rule, off by about 1 / K² of a bounded integrand."""
    levels = (np.arange(2000) + 0.5) / 2000
    stack = np.stack([intervals(level) for level in levels])
    wanted = scoringrules.crps_normal(Y, MEAN, STD, backend="numpy")
    rows = weighted_interval_score_per_row(MEAN, stack, Y, levels=levels.tolist())
    np.testing.assert_allclose(rows, wanted, rtol=0, atol=2e-3)


def test_a_certain_and_right_forecast_scores_zero_and_units_carry_over() -> None:
    assert interval_score([[2.0, 2.0]], [2.0], level=0.5) == 0.0
    stack = np.stack([intervals(0.5), intervals(0.9)])
    once = weighted_interval_score(MEAN, stack, Y, levels=[0.5, 0.9])
    scaled = weighted_interval_score(10 * MEAN + 3, 10 * stack + 3, 10 * Y + 3, levels=[0.5, 0.9])
    assert scaled == pytest.approx(10 * once, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: interval_score([[0.0, 1.0]], [0.5], level=1.0), "level must lie strictly between 0 and 1"),
        (lambda: interval_score([[0.0, 1.0]], [0.5], level=90), "as in 0.9: got 90"),
        (lambda: interval_score([[0.0, np.inf]], [0.5], level=0.9), "infinite ends"),
        (lambda: interval_score([[1.0, 0.0]], [0.5], level=0.9), "not above"),
        (lambda: interval_score([[0.0, 1.0]], [np.nan], level=0.9), "1 NaN value"),
        (lambda: weighted_interval_score([0.0], [[0.0, 1.0]], [0.5], levels=[0.5]), r"\(K, 1, 2\)"),
        (
            lambda: weighted_interval_score([0.0], np.zeros((0, 1, 2)), [0.5], levels=[]),
            "each of the 0 levels",
        ),
        (
            lambda: weighted_interval_score([0.0, 1.0], [[[0.0, 1.0]]], [0.5], levels=[0.5]),
            "median has 2 rows",
        ),
    ],
)
def test_bad_input_is_named(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(DataError, match=says):
        call()
