from __future__ import annotations

import datetime
import warnings
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bayeshyper.data import TargetScaler, check_target, infer_task
from bayeshyper.errors import ClassImbalanceWarning, DataError, DataWarning


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (["a", "b", "a"], "classification"),
        (pd.Series(["a", "b", None]), "classification"),
        ([True, False], "classification"),
        (pd.Series([True, None, False], dtype=object), "classification"),
        (pd.Series([1.5, 2.5, 1.5]).astype("category"), "classification"),
        ([0.5, 1.0], "regression"),
        ([0, 1, 1], "classification"),
        ([0.0, 1.0, np.nan], "classification"),
        (list(range(10)) * 2, "classification"),
        (list(range(11)) * 9, "regression"),
        (list(range(10)), "regression"),  # ten values in ten rows are amounts
        (pd.array([3, 4, 5, None] * 9, dtype="Int64"), "classification"),
        (pd.Series([3, None, 5], dtype=object), "classification"),
    ],
)
def test_the_task_is_read_off_the_values(y: Any, task: str) -> None:
    assert infer_task(y) == task


@pytest.mark.parametrize(
    "y",
    [
        [1, 2, 5],
        [1.0, 2, 5],
        ["1", "2", "5"],
        pd.array([1, 2, 5], dtype="Int64"),
        pd.Series([1, 2, 5], dtype="double[pyarrow]"),
        pd.Series([Decimal(1), Fraction(2), np.int8(5)], dtype=object),
        pd.Series(pd.arrays.SparseArray([1.0, 2.0, 5.0])),
        pd.Categorical([1, 2, 5]),
        np.ma.MaskedArray([1, 2, 5]),
        torch.tensor([1, 2, 5]),
    ],
)
def test_a_regression_target_becomes_float64(y: Any) -> None:
    checked = check_target(y, "regression")
    assert checked.dtype == np.float64
    assert checked.tolist() == [1.0, 2.0, 5.0]


def test_a_target_of_several_columns_stays_one() -> None:
    checked = check_target(pd.DataFrame({"a": [1, 2, 4], "b": [0.5, 0.0, 1.0]}), "regression")
    assert checked.tolist() == [[1.0, 0.5], [2.0, 0.0], [4.0, 1.0]]


@pytest.mark.parametrize(
    "y",
    [np.array(["b", "a", "b", "a"]), pd.Series(["b", "a", "b", "a"]), pd.Categorical(["b", "a", "b", "a"])],
)
def test_a_classification_target_keeps_its_labels(y: Any) -> None:
    assert np.unique(check_target(y, "classification")).tolist() == ["a", "b"]


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        ([1.0, np.nan, 2.0, np.nan], "2 missing values .*first in row 2 "),
        (pd.Series([1, 2, None], dtype="Int64"), "1 missing value .*first in row 3 "),
        ([1.0, 2.0, -np.inf], "infinity.*row 3 "),
        ([1.0, 2.0, 1e200], "infinity or a value beyond 1e\\+100"),
        (None, "1d array"),
        ([[1, 2], [3]], "1d array"),
        ([1j, 2j], "Complex data not supported"),
        (pd.to_datetime(["2024-01-01", "2024-01-02"]), "dates"),
    ],
)
def test_a_target_that_no_task_can_use_is_refused(y: Any, sentence: str, task: Any) -> None:
    with pytest.raises(DataError, match=sentence):
        check_target(y, task)


@pytest.mark.parametrize(
    ("y", "task", "sentence"),
    [
        ([3.0, 3.0], "regression", r"constant \(always 3\)"),
        (["1", "2", "$3"], "regression", r"'\$3' in row 3"),
        ([[1, 2], [3, 4]], "classification", "1d array"),
        ([[1.0, 2.0], [3.0, np.nan]], "regression", "target 1 has 1 missing value .*first in row 2 "),
        (pd.DataFrame({"a": [1, 2], "b": [5, 5]}), "regression", r"target 'b' is constant \(always 5\)"),
        (["a", "a"], "classification", "only one class"),
        ([1.0, 2.5, 1.0], "classification", r"Unknown label type.*continuous.*2\.5 in row 2"),
        (pd.Series([1, "a", 1, "a"], dtype=object), "classification", "cannot be sorted"),
        (["a", "b", "c"], "classification", "a class of its own"),
        (pd.Series([[1], [2]] * 2), "classification", "told apart.*unhashable"),
        (np.ma.MaskedArray([1.0, 9e9, 3.0], [False, True, False]), "regression", "1 missing .*row 2 "),
        (np.ma.MaskedArray(["a", "b", "a"], [False, True, False]), "classification", "1 missing .*row 2 "),
        (pd.Series([1j, 2.0], dtype=object), "regression", "Complex data not supported"),
        (pd.Series([1, -(10**400)], dtype=object), "regression", "infinity.*row 2 "),
        (np.array(["1", "1e4000"], dtype=np.longdouble), "regression", "infinity.*row 2 "),
        (torch.ones(3, requires_grad=True), "regression", "detach"),
    ],
)
def test_a_target_that_its_task_cannot_use_is_refused(y: Any, task: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        check_target(y, task)


def test_messages_name_the_target() -> None:
    with pytest.raises(DataError, match="The target 'price' is constant"):
        check_target(pd.Series([1, 1], name="price"), "regression")


def test_a_class_with_one_member_warns_and_two_do_not() -> None:
    with pytest.warns(ClassImbalanceWarning, match=r"next to none of its 3 rows: 'rare' \(1\)") as caught:
        check_target(["a", "a", "rare"], "classification")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_target(["a", "a", "b", "b"], "classification")


def test_dates_as_objects_are_refused_too() -> None:
    with pytest.raises(DataError):
        check_target([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)], "regression")


def test_each_column_is_standardised_alone() -> None:
    y = np.array([[1.0, 100.0], [2.0, 300.0], [6.0, 200.0]])
    both, columns = TargetScaler.fit(y), [TargetScaler.fit(column) for column in y.T]
    expected = np.stack([one.transform(column) for one, column in zip(columns, y.T, strict=True)], axis=1)
    assert np.array_equal(both.transform(y), expected)
    np.testing.assert_allclose(both.inverse(expected), y, rtol=1e-15)


def test_the_scaler_standardises() -> None:
    y = np.random.default_rng(0).gamma(2.0, 30.0, size=500)
    standardized = TargetScaler.fit(y).transform(y)
    assert abs(standardized.mean()) < 1e-12
    assert abs(standardized.std() - 1) < 1e-12


@given(arrays(np.float64, st.integers(2, 20), elements=st.floats(-1e100, 1e100)))
def test_the_scaler_takes_every_target_there_and_back(y: np.ndarray) -> None:
    scaler = TargetScaler.fit(y)
    standardized = scaler.transform(y)
    assert scaler.scale > 0
    assert np.isfinite(standardized).all()
    assert np.abs(standardized).max() <= len(y)
    np.testing.assert_allclose(scaler.inverse(standardized), y, atol=1e-14 * np.abs(y).max() + 1e-300)


@pytest.mark.parametrize("unit", [1e-200, 1e-12, 1.0, 1e12, 1e99])
def test_the_scaler_does_not_care_for_the_unit(unit: float) -> None:
    y = np.array([1.0, 2.0, 4.0, 8.0])
    np.testing.assert_allclose(
        TargetScaler.fit(y * unit).transform(y * unit), TargetScaler.fit(y).transform(y)
    )


TEXTS = {
    "looks like a number": ["1,500", "980", "1,200"] * 4,
    "because of 'n.a.'": [*map(str, [*range(30), *range(30)]), "n.a."],
}


@pytest.mark.filterwarnings("ignore::bayeshyper.ClassImbalanceWarning")
@pytest.mark.parametrize("words", TEXTS)
def test_classes_that_may_be_meant_as_numbers_are_said_to_be_classes(words: str) -> None:
    with pytest.warns(DataWarning, match=f"y is read as classes .*{words}"):
        check_target(np.array(TEXTS[words], dtype=object), "classification")
