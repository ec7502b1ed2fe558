"""The p-values behind the groups: exact, or never below what chance gives."""

from __future__ import annotations

from fractions import Fraction
from math import comb, factorial

import numpy as np
import pytest
from scipy import stats

from bayeshyper.diagnostics.calibration.groups.familywise import (
    holm,
    share_band,
    share_p_values,
    uniform_mean_band,
    uniform_mean_p_values,
)


def irwin_hall(total: float, n: int) -> float:
    """P(sum of n uniform values ≤ total), exactly."""
    x = Fraction(total)
    return float(
        sum((-1) ** k * comb(n, k) * (x - k) ** n for k in range(int(x) + 1)) / Fraction(factorial(n))
    )


@pytest.mark.parametrize("n", [1, 2, 5, 20, 50])
def test_the_mean_of_uniform_values_has_lighter_tails(n: int) -> None:
    for mean in np.linspace(0.0, 0.5, 60):
        stated = float(uniform_mean_p_values(np.array([n]), np.array([mean]))[0])
        if stated <= 0.05:
            assert 2 * irwin_hall(n * mean, n) <= stated
    # and at twenty rows and more it is close: the true p-value where 0.01 is stated
    low = uniform_mean_band(np.array([n]), 0.005)[0][0]
    if n >= 20:
        assert 2 * irwin_hall(n * low, n) == pytest.approx(0.01, rel=0.15)


def test_the_share_is_the_exact_binomial_where_one_probability_is_stated() -> None:
    for hits in range(31):
        found = share_p_values(np.array([30]), np.array([0.8]), np.array([hits / 30]))[0]
        tails = min(stats.binom.cdf(hits, 30, 0.8), stats.binom.sf(hits - 1, 30, 0.8))
        assert found == pytest.approx(min(2 * tails, 1.0) if hits != 24 else 1.0, abs=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_the_share_bounds_the_poisson_binomial(seed: int) -> None:
    """At every threshold, the exact probability of a p-value that small is no larger."""
    said = np.random.default_rng(seed).beta(0.5, 0.5, size=25)
    counts = np.ones(1)
    for p in said:
        counts = np.convolve(counts, [1 - p, p])
    n = np.full(26, 25)
    p_values = share_p_values(n, np.full(26, said.mean()), np.arange(26) / 25)
    for threshold in np.unique(p_values):
        assert counts[p_values <= threshold].sum() <= threshold + 1e-12


@pytest.mark.parametrize("tail", [0.2, 0.025, 1e-4])
def test_the_bands_hold_what_the_p_values_do_not_call_rare(tail: float) -> None:
    for n in (1, 7, 40, 300):
        for stated in (0.0, 0.03, 0.5, 0.93, 1.0):
            shares = np.arange(n + 1) / n
            rows, said = np.full(n + 1, n), np.full(n + 1, stated)
            low, high = share_band(rows, said, tail)
            kept = share_p_values(rows, said, shares) > 2 * tail
            np.testing.assert_array_equal(kept, (shares >= low - 1e-12) & (shares <= high + 1e-12))
    means = np.linspace(0, 1, 101)
    low, high = uniform_mean_band(np.full(101, 30), tail)
    np.testing.assert_array_equal(
        uniform_mean_p_values(np.full(101, 30), means) > 2 * tail, (means > low) & (means < high)
    )


def test_holm_by_hand_and_between_bonferroni_and_nothing() -> None:
    p_values = np.random.default_rng(0).random(50) ** 4
    adjusted = holm(p_values)
    assert (adjusted >= p_values).all()
    assert (adjusted <= np.minimum(50 * p_values, 1.0)).all()
    order = np.argsort(p_values)
    assert (np.diff(adjusted[order]) >= 0).all()
    np.testing.assert_allclose(holm(np.array([0.01, 0.02, 0.03])), [0.03, 0.04, 0.04])
    assert holm(np.empty(0)).shape == (0,)
