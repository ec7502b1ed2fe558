"""How columns of every kind are cut into groups, and what the groups are called."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeshyper.diagnostics.calibration.groups.grouping import MAX_LEVELS, group_rows

N = 1000
NUMBERS = np.random.default_rng(0).permutation(N)


@pytest.mark.parametrize(
    ("values", "first", "last"),
    [
        (pd.Series(NUMBERS), "0 to 99", "900 to 999"),
        (pd.Series(NUMBERS + 1500), "1500 to 1599", "2400 to 2499"),
        (pd.Series(NUMBERS * 100), "0 to 9900", "90,000 to 99,900"),
        (pd.Series(NUMBERS / 1000), "0.000 to 0.099", "0.900 to 0.999"),
        (pd.Series(NUMBERS - 999.0), "−999 to −900", "−99 to 0"),
        (pd.Series(NUMBERS, dtype="Int64"), "0 to 99", "900 to 999"),
        (
            pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(NUMBERS, unit="D")),
            "2024-01-01 to 2024-04-09",
            "2026-06-19 to 2026-09-26",
        ),
        (
            pd.Series(pd.Timestamp("2024-01-01", tz="CET") + pd.to_timedelta(NUMBERS, unit="s")),
            "2024-01-01 00:00:00 to 2024-01-01 00:01:39",
            "2024-01-01 00:15:00 to 2024-01-01 00:16:39",
        ),
        (
            pd.Series(pd.to_timedelta(NUMBERS, unit="s")),
            "0 days 00:00:00 to 0 days 00:01:39",
            "0 days 00:15:00 to 0 days 00:16:39",
        ),
    ],
)
def test_numbers_and_dates_are_cut_into_tenths(values: pd.Series, first: str, last: str) -> None:
    groups = group_rows(values, "x")
    assert (groups.labels[0], groups.labels[-1]) == (first, last)
    assert np.bincount(groups.codes).tolist() == [100] * 10
    np.testing.assert_array_equal(groups.codes, NUMBERS // 100)


def test_few_distinct_numbers_are_levels_and_missing_ones_a_group_of_their_own() -> None:
    values = pd.Series([1.0, 2.5, np.nan, 1.0])
    groups = group_rows(values, "x")
    assert groups.labels == ("1", "2.5", "missing")
    assert groups.codes.tolist() == [0, 1, 2, 0]
    long = pd.Series(NUMBERS, dtype="float").mask(NUMBERS >= 900)
    groups = group_rows(long, "x")
    assert groups.labels[-1] == "missing"
    np.testing.assert_array_equal(groups.codes == 10, NUMBERS >= 900)
    assert np.bincount(groups.codes).tolist() == [90] * 10 + [100]


def test_equal_numbers_stay_together() -> None:
    groups = group_rows(pd.Series(np.where(NUMBERS < 600, 0, NUMBERS)), "x")
    assert groups.labels[0] == "0"
    assert np.bincount(groups.codes)[0] == 600


def test_infinite_numbers_have_a_place() -> None:
    values = pd.Series(NUMBERS.astype(float)).mask(NUMBERS == 999, np.inf)
    assert group_rows(values, "x").labels[-1] == "900 to inf"


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (pd.Series([True, False, True]), ("True", "False")),
        (pd.Series([True, None, False], dtype="boolean"), ("True", "False", "missing")),
        (pd.Series(["b", "a", ""]), ("b", "a", "(empty)")),
        (pd.Series(["b", "a"], dtype=pd.CategoricalDtype(["a", "b", "unused"])), ("b", "a")),
        (pd.Series(["1", 1.5, None], dtype=object), ("1", "1.5", "missing")),
        (pd.Series([3, 5], dtype=object), ("3", "5")),
        (pd.Series([1, "1", "1 "], dtype=object), ("1", "1 (2)", "1 (3)")),
    ],
)
def test_levels_of_every_kind(values: pd.Series, labels: tuple[str, ...]) -> None:
    groups = group_rows(values, "x")
    assert groups.labels == labels
    assert groups.note == ""


def test_of_many_levels_the_largest_are_kept() -> None:
    sizes = np.arange(1, 41)
    values = pd.Series(np.repeat([f"city {size}" for size in sizes], sizes))
    groups = group_rows(values, "city")
    assert set(groups.labels) == {f"city {size}" for size in sizes[-MAX_LEVELS:]}
    assert groups.note == "Only the 20 largest of its 40 levels are listed."
    for code, label in enumerate(groups.labels):
        assert set(values[groups.codes == code]) == {label}
    assert (groups.codes == -1).sum() == sizes[:20].sum()


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (pd.Series(["a", "a"]), "one value only"),
        (pd.Series([np.nan, np.nan]), "one value only"),
        (pd.Series([f"id {k}" for k in range(500)]), "None of its 500 levels has 20 rows."),
        (pd.Series([[1], [2]]), "lists or the like"),
        (pd.Series([], dtype=float), "one value only"),
    ],
)
def test_columns_that_make_no_groups_say_why(values: pd.Series, note: str) -> None:
    groups = group_rows(values, "x")
    assert groups.labels == ()
    assert note in groups.note
