"""Paired differences: what pairing gains, and that the interval holds what it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayeshyper.diagnostics import bootstrap_interval, score_difference
from bayeshyper.errors import DataError


def test_it_is_the_bootstrap_of_the_differences_of_rows() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 80))
    found = score_difference(first, second, seed=4, name="crps_difference", unit="m")
    assert (found.lower, found.upper) == bootstrap_interval(first - second, seed=4)
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert (found.name, found.unit) == ("crps_difference", "m")


def test_what_is_hard_for_both_does_not_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    hard = 100.0 * rng.normal(size=300)
    found = score_difference(hard + 0.5 + 0.1 * rng.normal(size=300), hard)
    assert found.lower is not None
    assert found.upper is not None
    assert 0.4 < found.lower < 0.5 < found.upper < 0.6


def test_a_model_does_not_differ_from_itself() -> None:
    rows = np.random.default_rng(2).exponential(size=50)
    for statistic in (None, np.sqrt):
        found = score_difference(rows, rows, statistic=statistic)
        assert (found.value, found.lower, found.upper) == (0.0, 0.0, 0.0)


def test_the_difference_of_two_rmse_and_its_sign() -> None:
    first, second = np.random.default_rng(3).exponential(size=(2, 90))
    found = score_difference(first, second, statistic=np.sqrt)
    back = score_difference(second, first, statistic=np.sqrt)
    assert found.value == pytest.approx(np.sqrt(first.mean()) - np.sqrt(second.mean()), abs=1e-12)
    assert (back.value, back.lower, back.upper) == pytest.approx((-found.value, -found.upper, -found.lower))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Two RMSE that differ by 0.5: of 200 intervals, 95 % hold it, less a binomial 0.001 tail."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shared = rng.normal(size=150)
        one, two = 1.5 * shared, np.sqrt(0.5) * (shared + rng.normal(size=150))
        found = score_difference(one**2, two**2, statistic=np.sqrt, n_bootstrap=400)
        held += found.lower <= 0.5 <= found.upper  # type: ignore[operator]
    assert held >= stats.binom.ppf(0.001, 200, 0.95)


def test_one_row_has_no_interval_and_an_impossible_row_no_value() -> None:
    one = score_difference([1.0], [0.0])
    assert (one.value, one.lower) == (1.0, None)
    assert "One row" in one.reason
    lost = score_difference([0.0, -np.inf, 1.0], [0.0, 0.0, 0.0])
    assert lost.value is None
    assert "1 of 3 rows" in lost.reason


@pytest.mark.parametrize(
    ("first", "second", "says"), [([1.0], [1.0, 2.0], "second has 2 rows"), ([np.nan], [1.0], "1 NaN value")]
)
def test_bad_input_is_named(first: list[float], second: list[float], says: str) -> None:
    with pytest.raises(DataError, match=says):
        score_difference(first, second)
