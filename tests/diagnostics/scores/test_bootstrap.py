"""The bootstrap: right where the answer is known, paired, and no slower for more rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayeshyper.diagnostics import binomial_deviation, binomial_interval, bootstrap_interval
from bayeshyper.diagnostics.scores import bootstrap
from bayeshyper.diagnostics.scores.bootstrap import MAX_UNITS, bootstrap_means
from bayeshyper.errors import DataError

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("n_rows", [500, MAX_UNITS + 12_345])
def test_the_spread_is_the_standard_error(n_rows: int) -> None:
    """2000 replicates know a standard deviation to 1.6 %: four of those, and the groups' 1 %."""
    rows = RNG.exponential(size=n_rows)
    spread = bootstrap_means(rows, n_bootstrap=2000).std()
    assert spread == pytest.approx(rows.std() / np.sqrt(n_rows), rel=0.075)


def test_groups_hold_every_row_once() -> None:
    rows = np.arange(MAX_UNITS + 321.0)
    sums, counts = bootstrap._units(rows[:, None], np.random.default_rng(0))
    assert counts.sum() == len(rows)
    assert counts.max() - counts.min() <= 1
    assert sums.sum() == pytest.approx(rows.sum())


def test_uneven_groups_keep_a_constant_constant() -> None:
    np.testing.assert_allclose(bootstrap_means(np.ones(MAX_UNITS + 2345), n_bootstrap=50), 1.0, rtol=1e-12)


def test_columns_share_their_rows() -> None:
    rows = RNG.normal(size=(60, 1))
    means = bootstrap_means(np.hstack([rows, rows + 3.0]))
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 3.0)


def test_chunks_do_not_change_the_means(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = RNG.normal(size=50)
    whole = bootstrap_means(rows, n_bootstrap=64)
    monkeypatch.setattr(bootstrap, "_CHUNK", 50 * 7)
    np.testing.assert_allclose(bootstrap_means(rows, n_bootstrap=64), whole)


def test_the_seed_decides() -> None:
    rows = RNG.normal(size=30)
    assert bootstrap_interval(rows, seed=1) == bootstrap_interval(rows, seed=1)
    assert bootstrap_interval(rows, seed=1) != bootstrap_interval(rows, seed=2)


def test_the_interval_holds_the_truth_at_about_its_level() -> None:
    """Of 300 intervals at 90 %, binomially at least 251 hold the mean (p = 0.001 if the level is right)."""
    held = 0
    for seed in range(300):
        rows = np.random.default_rng(seed).normal(size=80)
        low, high = bootstrap_interval(rows, n_bootstrap=400, level=0.9)
        held += low <= 0.0 <= high
    assert stats.binom.ppf(0.001, 300, 0.9) <= held <= stats.binom.ppf(0.999, 300, 0.9)


def test_reflecting_mirrors_the_interval() -> None:
    rows = RNG.exponential(size=40)
    low, high = bootstrap_interval(rows, statistic=np.sqrt)
    point = np.sqrt(rows.mean())
    assert bootstrap_interval(rows, statistic=np.sqrt, reflect=True) == pytest.approx(
        (2 * point - high, 2 * point - low)
    )


def test_one_row_is_refused() -> None:
    with pytest.raises(DataError, match="at least two rows"):
        bootstrap_interval([1.0])


@pytest.mark.parametrize(("k", "n"), [(0, 7), (3, 7), (7, 7), (1, 1)])
def test_the_binomial_interval_is_clopper_and_pearsons(k: int, n: int) -> None:
    wanted = stats.binomtest(k, n).proportion_ci(method="exact")
    assert binomial_interval(k, n) == pytest.approx((wanted.low, wanted.high), abs=1e-10)


@pytest.mark.parametrize("n", [1, 5, 40])
@pytest.mark.parametrize("p", [0.03, 0.5, 0.8, 1.0])
def test_the_mean_deviation_of_a_binomial_is_the_sum(n: int, p: float) -> None:
    k = np.arange(n + 1)
    wanted = (np.abs(k - n * p) * stats.binom.pmf(k, n, p)).sum()
    assert float(binomial_deviation(n, p)) == pytest.approx(wanted, abs=1e-10)
