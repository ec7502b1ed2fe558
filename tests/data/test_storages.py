"""Tables in every storage that pandas has: what a value means decides, not how it is kept."""

from __future__ import annotations

import datetime
import itertools
import warnings
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeshyper.data import TableEncoder, as_features
from bayeshyper.errors import DataError, DataWarning

DAY = datetime.datetime(2024, 1, 31)
DAYS = [DAY, DAY + datetime.timedelta(1.5), None, datetime.datetime(1024, 2, 29), DAY]
SPANS = [
    datetime.timedelta(1),
    datetime.timedelta(seconds=5),
    None,
    datetime.timedelta(-3),
    datetime.timedelta(1),
]
WORDS = ["b", "a", None, "ü\n", "b"]
INTEGERS = [0, 3, None, 120, 3]
BOOLEANS = [True, False, None, True, True]
STORAGES: dict[str, tuple[list[Any], list[Any]]] = {
    "integers": (
        INTEGERS,
        [object, "Int8", "UInt64", "Float32", "float16", "float64", pd.ArrowDtype(pa.int8())],
    ),
    "booleans": (BOOLEANS, [object, "boolean", "float32", pd.ArrowDtype(pa.bool_())]),
    "words": (WORDS, [object, "str", "string", "category", pd.ArrowDtype(pa.string())]),
    "bytes": ([b"b", b"a", None, b"", b"b"], [object, "category", pd.ArrowDtype(pa.binary())]),
    "days": (
        DAYS,
        [object, "datetime64[s]", "datetime64[us]", pd.ArrowDtype(pa.timestamp("s"))],
    ),
    "spans": (SPANS, [object, "timedelta64[s]", "timedelta64[ns]", pd.ArrowDtype(pa.duration("us"))]),
    "decimals": (
        [Decimal("1.5"), Decimal(2), None, Decimal("-0.25"), Decimal(2)],
        [object, "float64", "Float64", pd.ArrowDtype(pa.decimal128(6, 2))],
    ),
    "months": (pd.period_range("2024-11", periods=5, freq="M").tolist(), [object, "period[M]", "category"]),
}
# A value of each kind, and what may stand beside it in one column.
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(-1e100, 1e100),
    st.decimals(-(10**6), 10**6, places=3),
    st.fractions(-9, 9, max_denominator=7),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.datetimes(),
    st.dates(),
    st.timedeltas(datetime.timedelta(-(10**6)), datetime.timedelta(10**6)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
)


def quietly(encoder: TableEncoder, frame: pd.DataFrame) -> np.ndarray:
    """The encoding; bayeshyper's own warnings of the data may come, others not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return encoder.transform(frame)


@pytest.mark.parametrize("kind", STORAGES)
def test_a_column_is_read_the_same_in_every_storage(kind: str) -> None:
    """Whichever storage it was fitted in, and whichever comes later."""
    values, dtypes = STORAGES[kind]
    frames = [pd.DataFrame({"a": pd.Series(values, dtype=dtype)}) for dtype in dtypes]
    encoders = [TableEncoder().fit(frame) for frame in frames]
    expected = encoders[0].transform(frames[0])
    assert len(np.unique(expected, axis=0)) > 2
    for encoder, frame in itertools.product(encoders, frames):
        np.testing.assert_array_equal(encoder.transform(frame), expected)


@given(st.lists(ANYTHING, min_size=2, max_size=6).filter(lambda cells: any(c is not None for c in cells)))
@settings(max_examples=40)
def test_a_column_of_anything_is_encoded_row_by_row_or_refused(cells: list[Any]) -> None:
    """Neither the rows beside a row, nor their order in fitting, nor adding rows changes its encoding."""
    frame = pd.DataFrame({"a": pd.Series(cells, dtype=object), "b": np.arange(len(cells))})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            encoder, turned = TableEncoder().fit(frame), TableEncoder().fit(frame[::-1])
    except DataError as error:
        assert str(error)  # noqa: PT017
        return
    encoded = quietly(encoder, frame)
    assert np.isfinite(encoded).all()
    assert encoder.feature_names_out == turned.feature_names_out
    np.testing.assert_allclose(quietly(turned, frame), encoded, rtol=1e-9, atol=1e-9)
    alone = [quietly(encoder, frame.iloc[[row]]) for row in range(len(frame))]
    np.testing.assert_array_equal(np.vstack(alone), encoded)
    doubled = pd.concat([frame, frame[::-1]], ignore_index=True)
    np.testing.assert_array_equal(quietly(encoder, doubled), np.vstack([encoded, encoded[::-1]]))


def test_columns_may_be_fitted_in_any_order() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"n": rng.normal(size=9), "t": list("abcabcabc"), "m": [1.0, None, 3.0] * 3})
    encoder = TableEncoder().fit(frame)
    expected = dict(zip(encoder.feature_names_out, encoder.transform(frame).T, strict=True))
    for order in itertools.permutations(frame):
        other = TableEncoder().fit(frame[list(order)])
        found = dict(zip(other.feature_names_out, other.transform(frame[list(order)]).T, strict=True))
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize(
    "mixed",
    [
        [Decimal("1.5"), 2.0, 1],
        [Fraction(3, 2), 2, 1.0],
        [np.float32(1.5), np.int8(2), True],
        [1.5, 2, np.bool_(True)],
    ],
)
def test_numbers_of_several_types_are_numbers(mixed: list[Any]) -> None:
    expected = TableEncoder().fit_transform([[1.5], [2.0], [1.0]])
    frame = pd.DataFrame({"a": pd.Series(mixed, dtype=object)})
    np.testing.assert_array_equal(TableEncoder().fit_transform(frame), expected)


def test_true_is_no_one_beside_text() -> None:
    frame = pd.DataFrame({"a": pd.Series([1, True, "x", False, 0], dtype=object)})
    encoder = TableEncoder().fit(frame)
    assert encoder.feature_names_out == ["a = 0", "a = 1", "a = False", "a = True", "a = x"]
    np.testing.assert_array_equal(encoder.transform(frame[::-1]), encoder.transform(frame)[::-1])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1j, 2.0], "Complex data not supported: column 'a'"),
        ([10**400, 1], "infinity.*column 'a', row 1 "),
        ([Decimal("-Infinity"), 1], "infinity.*column 'a', row 1 "),
        (np.array(["1e4000", "1"], dtype=np.longdouble), "infinity.*column 'a', row 1 "),
        (pd.array([[1], [2]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))), "'a' should hold single values"),
        (pd.array([{"x": 1}] * 2, dtype=pd.ArrowDtype(pa.struct([("x", pa.int64())]))), "single values"),
        ([bytearray(b"a"), {"x": 1}], "'a' should hold single values"),
        (pd.array([None, None], dtype=pd.ArrowDtype(pa.null())), "'a' is all missing"),
    ],
)
def test_a_column_that_cannot_be_used_is_refused_by_name(values: Any, sentence: str) -> None:
    if np.dtype(np.longdouble) == np.float64 and isinstance(values, np.ndarray):
        pytest.skip("long doubles are doubles here")
    with pytest.raises(DataError, match=sentence):
        TableEncoder().fit(pd.DataFrame({"a": values}))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (["1,250", "980", None], "though '1,250' looks like a number: write it as in 1250.5"),
        (["5 %", "12.5 %"], "'5 %' looks like a number"),
        (["$ 1,000.50", "−7"], "looks like a number"),
        (["1.234,5", "0,5"], "looks like a number"),
        (["31.1.2024", "1.2.2024"], "though '31.1.2024' looks like a date: write it as in 2024-01-31"),
        (["1/31/24", "2/1/24"], "looks like a date"),
        (["2024-01", "2024-12"], "though '2024-01' looks like a date"),
        (["31 Jan 2024", "1. März 2024"], "though '31 Jan 2024' looks like a date"),
        ([*"1234567890", "n.a."], "because of 'n.a.', though nearly all of it is numbers"),
    ],
)
def test_text_that_may_be_meant_as_more_warns(values: list[str], sentence: str) -> None:
    with pytest.warns(DataWarning, match=f"Column 'a' is read as text .*{sentence}"):
        TableEncoder().fit(pd.DataFrame({"a": values}))


@pytest.mark.parametrize(
    "values",
    [["1", "2"], ["1.2.3", "1.2.4"], ["10.0.0.1", "10.0.0.2"], ["12:30", "9:15"], ["555-1234", "555-9876"]],
)
def test_codes_do_not_warn(values: list[str]) -> None:
    TableEncoder().fit(pd.DataFrame({"a": values, "b": pd.Categorical(["1,250", "980"])}))


PRICES = [f"{price / 8:.3f}" for price in range(-20, 20)]
NO_NUMBER = (
    "learned of a label that is seen once: write numbers and dates as in 1250.5 and 2024-01-31, and leave"
)


@pytest.mark.parametrize("dtype", [object, "str", "category", pd.ArrowDtype(pa.string())])
def test_numbers_written_as_text_warn(dtype: Any) -> None:
    """As labels, their order and distance is lost: a fit to them would know the rows, and nothing else."""
    with pytest.warns(
        DataWarning, match=r"'a' is read as text with 40 labels for 40 rows \(as '-2.500'\)"
    ) as seen:
        TableEncoder().fit(pd.DataFrame({"a": pd.Series([*PRICES, None], dtype=dtype)}))
    assert [
        str(warning.message).endswith(
            "seen once: 40 of 40 are numbers written as text, so convert them with pandas.to_numeric."
        )
        for warning in seen
    ] == [True]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            [float(price) if place % 2 else price for place, price in enumerate(PRICES)],
            "40 of 40 are numbers",
        ),
        ([*PRICES, *["n/k"] * 6], "40 of 46 are numbers .* pandas.to_numeric, and leave empty .* 'n/k'"),
        ([*PRICES, *["--"] * 13], "40 of 53 are numbers .*, and leave empty what is none, as '--'"),
        ([*PRICES, *["."] * 20], "40 of 60 are numbers .*, and leave empty what is none, as '.'"),
        ([f"({price})" for price in PRICES], NO_NUMBER),
        ([f"{price} kg" for price in PRICES], NO_NUMBER),
        ([f"{price}-" for price in PRICES], NO_NUMBER),
        ([f"{price.replace('.', ',')}e+00" for price in PRICES], NO_NUMBER),
        ([f"12:{minute}:00" for minute in range(10, 50)], NO_NUMBER),
        ([datetime.time(12, minute) for minute in range(40)], NO_NUMBER),
        (pd.period_range("2024-01-01", periods=40, freq="D"), NO_NUMBER),
        ([f"Ada {number}" for number in range(40)], NO_NUMBER),
        ([f"v{number * 7 % 26}" for number in range(50)], NO_NUMBER),
    ],
)
def test_labels_that_hardly_come_again_warn(values: Any, sentence: str) -> None:
    with pytest.warns(DataWarning, match=f"'a' is read as text with .*{sentence}") as seen:
        TableEncoder().fit(pd.DataFrame({"a": values}))
    assert len(seen) == 1


@pytest.mark.parametrize(
    "values",
    [
        PRICES[:19],
        [f"{code:02d}" for code in range(30)] * 2,
        [f"v{number % 25}" for number in range(50)],
        [*(f"v{number}" for number in range(10)), *[None] * 40],
        [*(f"rare {number}" for number in range(20)), *["common"] * 22],
        pd.Categorical(["b", "a"] * 20),
    ],
)
def test_labels_that_come_again_do_not_warn(values: Any) -> None:
    TableEncoder().fit(pd.DataFrame({"a": values}))


def test_a_hundred_thousand_categories_share_fifty_columns() -> None:
    frame = pd.DataFrame({"code": [f"c{code}" for code in range(100_000)]})
    with pytest.warns(DataWarning, match="'code' is read as text with 100000 labels for 100000 rows"):
        encoded = TableEncoder().fit_transform(frame)
    assert encoded.shape == (100_000, 50)
    assert (encoded.sum(axis=1) == 1).all()


@pytest.mark.parametrize(
    "names",
    [
        pd.MultiIndex.from_product([["size"], ["x", "y"]]),
        [5, 7],
        ["a", 1],
        ["a", None],
        pd.to_datetime(["2024-01-01", "2024-01-02"]),
        ["", "é"],
        ["é", "e\u0301"],
    ],
)
def test_columns_of_any_names_are_told_apart(names: Any) -> None:
    """Were they taken by position, columns in another order would be taken for one another."""
    frame = pd.DataFrame(np.arange(8.0).reshape(4, 2) ** 2, columns=names)
    encoder = TableEncoder().fit(frame)
    assert len(set(encoder.feature_names_out)) == 2
    np.testing.assert_array_equal(encoder.transform(frame.copy()), encoder.transform(frame))
    with pytest.raises(DataError, match="same order"):
        encoder.transform(frame.iloc[:, ::-1])


def test_numbered_columns_in_another_order_are_refused() -> None:
    frame = pd.DataFrame(np.arange(8.0).reshape(4, 2))
    with pytest.raises(DataError, match="same order"):
        TableEncoder().fit(frame.to_numpy()).transform(frame[[1, 0]])


X = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 7.0]])


@pytest.mark.parametrize(
    "table",
    [
        np.ma.MaskedArray(np.nan_to_num(X, nan=1e9), np.isnan(X)),
        np.rec.fromarrays(X.T, names="x0,x1"),
        {"x0": X[:, 0], "x1": X[:, 1]},
        torch.tensor(X),
        pa.table({"x0": X[:, 0], "x1": X[:, 1]}),
        X.astype(object),
        X.tolist(),
    ],
    ids=["masked", "records", "dict", "torch", "arrow", "objects", "lists"],
)
def test_every_kind_of_table_is_the_same_table(table: Any) -> None:
    np.testing.assert_array_equal(TableEncoder().fit_transform(table), TableEncoder().fit_transform(X))


def test_an_array_of_dates_has_missing_ones() -> None:
    dates = np.array([["2024-01-01"], ["NaT"], ["2024-01-03"]], dtype="datetime64[D]")
    assert TableEncoder().fit_transform(dates)[:, 1].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("table", "error", "sentence"),
    [
        ({"a": [1], "b": [1, 2]}, DataError, "as many values in each column"),
        ([[1, 2], [3]], DataError, "a 2-D array of real numbers"),
        (np.ones((2, 2)) * 1j, DataError, "Complex data not supported$"),
        (torch.ones(2, 2, requires_grad=True), DataError, "detach"),
        ([{"a": 1}], TypeError, "X should be a DataFrame"),
        (None, DataError, "X should be a DataFrame"),
        ("table.csv", DataError, "X should be a DataFrame"),
    ],
)
def test_what_is_no_table_is_refused(table: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        as_features(table)
