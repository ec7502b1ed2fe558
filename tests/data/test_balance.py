"""Class imbalance: what is called rare, and where accuracy means little."""

from __future__ import annotations

import pytest
from scipy.stats import chi2

from bayeshyper.data.balance import FEW, imbalance


def poisson_interval(count: int) -> tuple[float, float]:
    """The exact 95 % interval of the mean of a Poisson count (Garwood 1936)."""
    return chi2.ppf(0.025, 2 * count) / 2, chi2.ppf(0.975, 2 * count + 2) / 2


def test_few_is_where_a_frequency_is_not_known_within_a_factor_of_two() -> None:
    known = []
    for count in range(1, 30):
        low, high = poisson_interval(count)
        known.append(low > count / 2 and high < count * 2)
    assert known.index(True) + 1 == FEW
    assert all(known[FEW - 1 :])


@pytest.mark.parametrize(
    "counts", [[50, 50], [5, 5], [7, 6, 7], [15, 5], [940, 60], [12, 100], [2, 2], [59, 71, 48], [1000] * 30]
)
def test_balanced_and_small_targets_are_left_in_peace(counts: list[int]) -> None:
    assert imbalance("y", range(len(counts)), counts) is None


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([2, 1], "1 (1)"),
        ([100, 9], "1 (9)"),
        ([16, 3], "1 (3)"),
        ([500, 500, 4, 2], "3 (2), 2 (4)"),
        ([950, 50], "0 in 95.0 % of 1,000 rows"),
        ([20, 99_980], "1 in 100.0 % of 100,000 rows"),
    ],
)
def test_rare_classes_and_one_that_is_nearly_all_are_told_of(counts: list[int], said: str) -> None:
    assert said in str(imbalance("y", range(len(counts)), counts))
