from __future__ import annotations

import datetime
import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler

from bayeshyper.data import TableEncoder
from bayeshyper.errors import DataError, DataWarning


def mixed_table(n_rows: int = 40) -> pd.DataFrame:
    """One column of each kind, each with a missing value where its type has one."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "size": rng.normal(50.0, 9.0, n_rows),
            "rooms": pd.array(rng.integers(1, 6, n_rows), dtype="Int64"),
            "flag": rng.random(n_rows) < 0.5,
            "colour": rng.choice(["red", "green", "blue"], n_rows),
            "level": pd.Categorical(rng.integers(0, 3, n_rows)),
            "mixed": pd.Series([1, "a", 2.0, "b"] * (n_rows // 4), dtype=object),
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, n_rows), unit="D"),
            "took": pd.to_timedelta(rng.integers(0, 900, n_rows), unit="s"),
            "day": [f"2024-03-{1 + i % 28:02d}" for i in range(n_rows)],
        }
    )
    frame.loc[[3, 7], ["size", "rooms", "colour", "level", "mixed", "seen", "took", "day"]] = None
    return frame


TABLE = mixed_table()
ENCODER = TableEncoder().fit(TABLE)
ENCODED = ENCODER.transform(TABLE)


def test_the_output_is_plain_finite_float64() -> None:
    assert ENCODED.dtype == np.float64
    assert ENCODED.flags.c_contiguous
    assert np.isfinite(ENCODED).all()
    assert (
        ENCODED.shape == (len(TABLE), ENCODER.n_features_out_) == (len(TABLE), len(ENCODER.feature_names_out))
    )


def test_each_kind_of_column_is_named_and_scaled_as_documented() -> None:
    encoded = pd.DataFrame(ENCODED, columns=ENCODER.feature_names_out)
    numbers = encoded[["size", "rooms", "flag", "seen", "took", "day"]]
    np.testing.assert_allclose(numbers.mean(), 0, atol=1e-12)
    np.testing.assert_allclose(numbers.std(ddof=0), 1, atol=1e-12)
    rest = encoded.drop(columns=numbers.columns)
    assert set(np.unique(rest)) == {0.0, 1.0}
    assert encoded["size is missing"].sum() == encoded["colour = (missing)"].sum() == 2
    assert "flag is missing" not in encoded
    assert (encoded["colour = red"] == (TABLE["colour"] == "red")).all()
    assert {"level = 0", "level = 1", "level = 2", "mixed = a", "mixed = 1", "mixed = 2"} <= set(rest.columns)


def test_numbers_are_standardised_around_the_median_of_what_is_there() -> None:
    encoded = TableEncoder().fit_transform(pd.DataFrame({"a": [1.0, 2.0, np.nan, 9.0]}))
    filled = np.array([1.0, 2.0, 2.0, 9.0])
    np.testing.assert_allclose(encoded[:, 0], (filled - filled.mean()) / filled.std())
    assert encoded[:, 1].tolist() == [0, 0, 1, 0]


@given(st.lists(st.integers(0, len(TABLE) - 1), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_a_row_is_encoded_the_same_in_every_batch(rows: list[int]) -> None:
    np.testing.assert_array_equal(ENCODER.transform(TABLE.iloc[rows]), ENCODED[rows])


@pytest.mark.parametrize("row", range(len(TABLE)))
def test_a_row_alone_rebuilt_from_python_objects_is_encoded_the_same(row: int) -> None:
    """Rows as they come from JSON or a web form: every dtype is guessed anew from one value."""
    alone = pd.DataFrame([{name: TABLE[name].iloc[row] for name in TABLE}])
    np.testing.assert_array_equal(ENCODER.transform(alone), ENCODED[[row]])


@given(st.permutations(range(len(TABLE))))
@settings(max_examples=15, deadline=None)
def test_the_order_of_the_rows_in_fitting_does_not_matter(order: list[int]) -> None:
    again = TableEncoder().fit(TABLE.iloc[order])
    assert again.feature_names_out == ENCODER.feature_names_out
    np.testing.assert_allclose(again.transform(TABLE), ENCODED, rtol=1e-12, atol=1e-12)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_arrays_of_any_finite_numbers_stay_finite_and_independent_of_the_batch(data: st.DataObject) -> None:
    value = st.floats(-1e100, 1e100) | st.sampled_from([np.nan, 1e-12, 1e12, 0.0])
    column = st.lists(value, min_size=6, max_size=6).filter(lambda values: not np.isnan(values).all())
    X = np.array(data.draw(st.lists(column, min_size=1, max_size=3))).T
    encoder = TableEncoder().fit(X)
    encoded = encoder.transform(X)
    assert np.isfinite(encoded).all()
    np.testing.assert_array_equal(np.vstack([encoder.transform(row[None]) for row in X]), encoded)


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1.0, 1e6, 1e12])
def test_the_unit_of_a_number_does_not_matter(unit: float) -> None:
    X = np.random.default_rng(0).normal(3.0, 1.0, (30, 2))
    expected = TableEncoder().fit_transform(X)
    np.testing.assert_allclose(TableEncoder().fit_transform(X * unit), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e12, -3e99])
def test_a_constant_column_becomes_zeros(value: float) -> None:
    X = np.column_stack([np.full(7, value), np.arange(7.0)])
    np.testing.assert_allclose(TableEncoder().fit_transform(X)[:, 0], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("values", "same"),
    [
        ([True, False, True], [1, 0, 1]),
        (pd.Series([True, None, False], dtype=object), [1, None, 0]),
        (pd.array([1, None, 3], dtype="Int64"), [1, None, 3]),
        (pd.array([True, None, False], dtype="boolean"), [1, None, 0]),
        ([Decimal("1.5"), Decimal("2.5"), None], [1.5, 2.5, None]),
        (pd.Series([1, 2, 4], dtype=pd.ArrowDtype(pa.int64())), [1, 2, 4]),
        (pd.to_datetime(["1970-01-01", "1970-01-02", None]), [0, 86400, None]),
        (
            pd.to_datetime(["1970-01-01 01:00", "1970-01-02 01:00", None]).tz_localize("Etc/GMT-1"),
            [0, 86400, None],
        ),
        (["1970-01-01", "1970-01-02T00:00:00Z", None], [0, 86400, None]),
        ([datetime.date(1970, 1, 1), datetime.date(1970, 1, 2), None], [0, 86400, None]),
        (pd.to_timedelta(["0s", "90s", None]), [0, 90, None]),
    ],
)
def test_what_means_a_number_is_read_as_that_number(values: Any, same: list[float | None]) -> None:
    plain = TableEncoder().fit_transform(pd.DataFrame({"a": pd.Series(same, dtype=np.float64)}))
    np.testing.assert_array_equal(TableEncoder().fit_transform(pd.DataFrame({"a": values})), plain)


@pytest.mark.parametrize("dtype", [object, "str", "category", pd.ArrowDtype(pa.string())])
def test_text_is_text_in_every_storage(dtype: Any) -> None:
    frame = pd.DataFrame({"a": pd.Series(["x", "y", None, "x"], dtype=dtype)})
    encoder = TableEncoder().fit(frame)
    assert encoder.feature_names_out == ["a = (missing)", "a = x", "a = y"]
    assert encoder.transform(frame).argmax(axis=1).tolist() == [1, 2, 0, 1]


def test_an_impossible_date_makes_the_column_text() -> None:
    encoder = TableEncoder().fit(pd.DataFrame({"a": ["2024-01-31", "2024-02-31"]}))
    assert encoder.feature_names_out == ["a = 2024-01-31", "a = 2024-02-31"]


def test_a_constant_that_changes_later_is_measured_in_parts_of_itself() -> None:
    encoder = TableEncoder().fit(np.full((7, 1), 2e20))
    np.testing.assert_allclose(encoder.transform([[2e20], [3e20], [0.0]])[:, 0], [0, 0.5, -1])


def test_many_categories_share_columns_and_a_new_one_joins_the_rare() -> None:
    frame = pd.DataFrame({"code": [f"c{i:03d}" for i in range(200)] * 2 + ["c000"]})
    encoder = TableEncoder().fit(frame)
    assert encoder.n_features_out_ == 50
    assert encoder.feature_names_out[0] == "code = c000"
    assert encoder.feature_names_out[-1] == "code = (one of 151 rare)"
    with pytest.warns(DataWarning, match="'code' holds 'new'"):
        assert encoder.transform(pd.DataFrame({"code": ["new"]}))[0, -1] == 1


def test_many_columns_of_text_are_encoded_without_complaint() -> None:
    frame = pd.DataFrame({f"t{i}": ["a", "b"] for i in range(150)})
    assert TableEncoder().fit_transform(frame).shape == (2, 300)


def test_new_categories_become_zeros_and_the_warning_names_column_and_value() -> None:
    frame = pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2.0]})
    encoder = TableEncoder().fit(frame)
    with pytest.warns(DataWarning, match="'a' holds 'q1', 'q2', 'q3' and 1 more, unseen") as caught:
        encoded = encoder.transform(pd.DataFrame({"a": ["q1", "x", "q2", "q3", "q4"], "b": 1.0}))
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(encoded[:, 1:], [[0, 0], [1, 0], [0, 0], [0, 0], [0, 0]])


@pytest.mark.parametrize("dtype", [object, "str", "category", pd.ArrowDtype(pa.string())])
def test_a_text_that_says_missing_is_no_gap(dtype: Any) -> None:
    texts = ["(missing)", "'(missing)'", "''(missing)''", "'(missing)", "a", None]
    frame = pd.DataFrame({"a": pd.Series(texts, dtype=dtype)})
    encoder = TableEncoder().fit(frame)
    encoded = encoder.transform(frame)
    assert len(np.unique(encoded, axis=0)) == len(texts)
    assert encoder.feature_names_out[encoded[-1].argmax()] == "a = (missing)"
    with_text = TableEncoder().fit(frame[:-1])
    with pytest.warns(DataWarning, match="'a' holds a missing value, unseen"):
        assert not with_text.transform(frame)[-1].any()
    with_gap = TableEncoder().fit(frame[-2:])
    with pytest.warns(DataWarning, match=r"'a' holds \"'\(missing\)'\", unseen"):
        assert not with_gap.transform(frame[:1]).any()


def test_new_missing_values_warn_in_numbers_and_in_text() -> None:
    encoder = TableEncoder().fit(pd.DataFrame({"a": ["x", "y"], "b": [1.0, 3.0]}))
    with pytest.warns(DataWarning) as caught:
        encoded = encoder.transform(pd.DataFrame({"a": [None], "b": [None]}))
    said = [str(warning.message) for warning in caught]
    assert ["'b' has missing values" in said[0], "'a' holds a missing value" in said[1]] == [True, True]
    np.testing.assert_array_equal(encoded, [[0, 0, 0]])


def test_a_column_of_numbers_with_stray_text_warns() -> None:
    numbers = [str(i) for i in range(30)]
    with pytest.warns(DataWarning, match=r"'age' is read as text because of 'unknown'"):
        TableEncoder().fit(pd.DataFrame({"age": [*numbers, "unknown"]}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codes = [*numbers, *(f"A{i}" for i in range(30))]
        TableEncoder().fit(pd.DataFrame({"code": codes * 2, "digits": numbers * 4}))


def test_a_fit_that_fails_leaves_nothing_half_fitted() -> None:
    encoder = TableEncoder().fit(np.arange(6.0).reshape(3, 2))
    with pytest.raises(DataError):
        encoder.fit(np.full((3, 1), np.nan))
    with pytest.raises(NotFittedError):
        encoder.transform(np.ones((1, 2)))


def test_what_was_seen_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ENCODER.transform(TABLE[::-1])


@pytest.mark.parametrize(
    ("X", "sentence"),
    [
        (pd.DataFrame({"a": [1, 2], "b": [None, None]}), "Column 'b' is all missing"),
        (np.array([[1.0, np.nan], [2.0, np.nan]]), "Column 'x1' is all missing"),
        (np.array([[1.0, 2.0], [2.0, np.inf]]), "X contains infinity.*'x1', row 2 "),
        (pd.DataFrame({"a": ["u", "v"], "b": [-np.inf, 1]}), "X contains infinity.*'b', row 1 "),
        (np.array([[1.0, 1e200], [2.0, 1.0]]), "X contains infinity or a value beyond"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "more than one column 'a'"),
        (pd.DataFrame({"a": []}), r"0 sample\(s\)"),
        (pd.DataFrame(index=range(3)), r"0 feature\(s\) \(shape=\(3, 0\)\)"),
        (np.empty((3, 0)), r"0 feature\(s\) \(shape=\(3, 0\)\)"),
        (np.arange(3.0), "Reshape your data"),
        (pd.DataFrame({"a": [1j, 2j]}), "Complex data not supported"),
        (np.array([[1j], [2j]]), "Complex data not supported"),
        (np.array([["a"], ["b"]]), "DataFrame.*could not convert string"),
        (pd.DataFrame({"a": [[1], [2]]}), "'a' should hold single values"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(X: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        TableEncoder().fit(X)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda frame: frame.drop(columns=["size", "day"]), "X lacks columns.*'size', 'day'"),
        (lambda frame: frame.assign(more=1), "X has columns unseen.*'more'"),
        (lambda frame: frame[frame.columns[::-1]], "Feature names must be in the same order"),
        (
            lambda frame: np.ones((2, 4)),
            "X has 4 features, but TableEncoder is expecting 9 features as input",
        ),
        (lambda frame: frame.assign(size="big"), "'size' held numbers .* holds 'big' in row 1 "),
        (lambda frame: frame.assign(size=frame["seen"]), "'size' held numbers"),
        (lambda frame: frame.assign(seen="soon"), "'seen' held dates .* holds 'soon'"),
        (lambda frame: frame.assign(seen=2024), "'seen' held dates .* holds 2024"),
        (lambda frame: frame.assign(took=5), "'took' held durations"),
        (lambda frame: frame.assign(size=np.inf), "X contains infinity"),
    ],
)
def test_a_table_that_differs_from_the_fitted_one_is_refused(change: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        ENCODER.transform(change(TABLE))


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128, object, "category"])
def test_complex_numbers_are_refused_later_too(dtype: Any) -> None:
    """Even those on the real line: another batch of the same column would not be."""
    encoder = TableEncoder().fit(pd.DataFrame({"a": [1.0, 2.0], "day": pd.to_datetime(["2024-01-31"] * 2)}))
    for values, said in (([1j, 2], r"1j"), ([1 + 0j, 2 + 0j], r"\(1\+0j\)")):
        with pytest.raises(DataError, match=f"'a' held numbers .* holds {said} in row 1 "):
            encoder.transform(pd.DataFrame({"a": pd.Series(values, dtype=dtype), "day": "2024-01-31"}))
    with pytest.raises(DataError, match=r"'day' held dates .* holds \(1\+2j\)"):
        encoder.transform(pd.DataFrame({"a": [1.0], "day": pd.Series([1 + 2j], dtype=dtype)}))


def test_numbers_may_come_as_text_or_categoricals_later() -> None:
    encoder = TableEncoder().fit(pd.DataFrame({"a": [1.0, 2.5]}))
    expected = encoder.transform(pd.DataFrame({"a": [2.5, 1.0]}))
    for values in (["2.5", "1"], pd.Categorical([2.5, 1.0])):
        np.testing.assert_array_equal(encoder.transform(pd.DataFrame({"a": values})), expected)


def test_an_array_is_taken_by_position_and_columns_without_names_count() -> None:
    X = np.random.default_rng(0).normal(size=(9, 3))
    encoder = TableEncoder().fit(X)
    assert encoder.feature_names_in_ is None
    assert encoder.n_features_in_ == 3
    assert encoder.feature_names_out == ["x0", "x1", "x2"]
    np.testing.assert_array_equal(encoder.transform(X.tolist()), encoder.transform(X))
    np.testing.assert_array_equal(encoder.transform(pd.DataFrame(X)), encoder.transform(X))
    np.testing.assert_array_equal(encoder.transform(pa.table(pd.DataFrame(X))), encoder.transform(X))


def test_the_names_that_fit_saw_are_kept() -> None:
    names = ENCODER.feature_names_in_
    assert names is not None
    assert names.dtype == object
    assert names.tolist() == TABLE.columns.tolist()


def test_the_table_of_the_user_is_left_as_it_is() -> None:
    frame, array = mixed_table(), np.array([[1.0, np.nan], [2.0, 3.0]])
    before, array_before = frame.copy(deep=True), array.copy()
    TableEncoder().fit_transform(frame)
    TableEncoder().fit_transform(array)
    pd.testing.assert_frame_equal(frame, before)
    np.testing.assert_array_equal(array, array_before)


def test_an_encoder_that_is_not_fitted_says_so() -> None:
    for call in (
        TableEncoder().to_state,
        lambda: TableEncoder().transform(TABLE),
        lambda: TableEncoder().n_features_in_,
    ):
        with pytest.raises(NotFittedError, match="call fit"):
            call()


@pytest.mark.parametrize(
    "X",
    [
        TABLE,
        TABLE[["colour"]],
        TABLE[["size"]],
        TABLE.astype({"colour": object}),
        np.array([[1.0, np.nan], [0.1, 1e-9], [3.0, 7e11]]),
        np.arange(6, dtype=np.float32).reshape(3, 2),
        pd.DataFrame({"code": [f"ünï {i}" for i in range(80)] * 2}),
    ],
)
def test_stored_and_read_back_it_encodes_to_the_same_bits(X: Any) -> None:
    encoder = TableEncoder().fit(X)
    again = TableEncoder.from_state(*encoder.to_state())
    assert again.transform(X).tobytes() == encoder.transform(X).tobytes()
    assert again.feature_names_out == encoder.feature_names_out
    assert again.n_features_in_ == encoder.n_features_in_
    assert np.array_equal(again.feature_names_in_, encoder.feature_names_in_)


def test_scikit_learn_encodes_to_the_same_bits() -> None:
    """The first release stored its objects, and their arithmetic is what models were trained on."""
    rng = np.random.default_rng(2)
    sizes = rng.normal(1e9, 1e-3, (120, 2))
    sizes[rng.random(sizes.shape) < 0.1] = np.nan
    labels = pd.DataFrame({"code": [f"c{i * 7 % 59}" for i in range(120)]}, dtype=object)
    frame = pd.concat([pd.DataFrame(sizes), labels], axis=1, ignore_index=True)
    reference = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(strategy="median"), MaxAbsScaler(), StandardScaler()), [0, 1]),
            ("m", MissingIndicator(error_on_new=False), [0, 1]),
            ("c", OneHotEncoder(max_categories=50, handle_unknown="infrequent_if_exist"), [2]),
        ],
        sparse_threshold=0,
    )
    expected = np.ascontiguousarray(reference.fit_transform(frame))
    assert TableEncoder().fit_transform(frame).tobytes() == expected.tobytes()


def test_read_back_it_still_warns_and_refuses() -> None:
    again = TableEncoder.from_state(*ENCODER.to_state())
    with pytest.raises(DataError, match="same order"):
        again.transform(TABLE[TABLE.columns[::-1]])
    with pytest.warns(DataWarning, match="'colour' holds 'mauve'"):
        again.transform(TABLE.assign(colour="mauve"))


@pytest.mark.parametrize("labels", [["", "a"], ["\ud800", "é", "🟦"], ["a\x00", "a", '"']])
def test_strange_labels_are_kept_as_they_are(labels: list[str]) -> None:
    encoder = TableEncoder().fit(pd.DataFrame({"a": pd.Series(labels, dtype=object)}))
    again = TableEncoder.from_state(*encoder.to_state())
    assert (
        again.feature_names_out == encoder.feature_names_out == [f"a = {label}" for label in sorted(labels)]
    )


RECORD, ARRAYS = ENCODER.to_state()
N_NUMBERS = len(ARRAYS["median"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"named": 1}, "names of columns"),
        ({"names": "abcdefghi"}, "names of columns"),
        ({"names": RECORD["names"][:-1]}, r"\(9, 6, 3\) kinds"),
        ({"names": ["size"] * 9}, "each another text"),
        ({"kinds": ["code"] * 9}, "other than number"),
        ({"kinds": [["number"]] * 9}, "other than number"),
        ({"kinds": ["number"] * 9}, "expected"),
        ({"median": ARRAYS["median"][:-1]}, "expected 5 float64"),
        ({"median": ARRAYS["median"].astype(np.float32)}, "float64"),
        ({"mean": np.full(N_NUMBERS, np.nan)}, "not finite"),
        ({"scale": np.zeros(N_NUMBERS)}, "not positive"),
        ({"largest": -ARRAYS["largest"]}, "not positive"),
        ({"indicated": np.array([N_NUMBERS])}, "not rising"),
        ({"indicated": np.array([-1])}, "not rising"),
        ({"indicated": np.array([1, 1])}, "not rising"),
        ({"indicated": np.array([0.5])}, "no whole numbers"),
        ({"levels": ARRAYS["levels"][:-1]}, "not what their sizes say"),
        ({"levels": np.append(ARRAYS["levels"], 0)}, "expected as many, and any"),
        ({"levels": -ARRAYS["levels"]}, "not what their sizes say"),
        ({"levels": np.array([2**62, 2**62, 2**62, 2**62, len(ARRAYS["rare"])])}, "not what their sizes say"),
        ({"lengths": ARRAYS["lengths"] + 1}, "not what their sizes say"),
        ({"rare": ARRAYS["rare"].astype(np.uint8)}, "neither true nor false"),
        ({"text": ARRAYS["text"].astype(np.int64)}, "no bytes"),
        ({"text": np.full_like(ARRAYS["text"], 255)}, "decode"),
        ({"text": np.full_like(ARRAYS["text"], ord("a"))}, "label twice"),
    ],
)
def test_a_state_that_does_not_fit_together_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TableEncoder.from_state(
            *({k: change.get(k, v) for k, v in part.items()} for part in (RECORD, ARRAYS))
        )


@pytest.mark.parametrize("gone", [*RECORD, *ARRAYS])
def test_a_state_with_a_part_missing_is_refused(gone: str) -> None:
    with pytest.raises(KeyError, match=gone):
        TableEncoder.from_state(*({k: v for k, v in part.items() if k != gone} for part in (RECORD, ARRAYS)))
