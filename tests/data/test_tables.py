from __future__ import annotations

import re
import warnings

import pandas as pd
import pytest

from bayeshyper.data import TableEncoder, align_columns, check_rows, split_target
from bayeshyper.errors import DataError, DataWarning

FRAME = pd.DataFrame({"rooms": [3, 4], "Lot Area": [30, 40], "price": [1.5, 2.5]})


def test_the_target_is_split_off_and_the_table_stays_as_it_is() -> None:
    X, y = split_target(FRAME, "price")
    assert X.columns.tolist() == ["rooms", "Lot Area"]
    assert y.name == "price"
    assert FRAME.shape == (2, 3)


def test_an_unknown_target_offers_the_nearest_name_and_lists_the_columns() -> None:
    with pytest.raises(DataError, match=r"no column 'Prise'.*did you mean 'price'\?.*'Lot Area'"):
        split_target(FRAME, "Prise")
    with pytest.raises(DataError, match=r"no column 'zzz' to use as the target\. Its"):
        split_target(FRAME, "zzz")


def test_a_target_alone_is_refused() -> None:
    with pytest.raises(DataError, match=r"only column.*delimiter"):
        split_target(FRAME[["price"]], "price")


def test_columns_are_put_in_order_and_others_dropped() -> None:
    aligned = align_columns(FRAME, ["price", "rooms"])
    pd.testing.assert_frame_equal(aligned, FRAME[["price", "rooms"]])


def test_missing_columns_are_all_named_with_what_is_near() -> None:
    with pytest.raises(
        DataError, match=r"lacks 2 of the 3 .*'lot area' \(similar here: 'Lot Area'\), 'garage'\."
    ):
        align_columns(FRAME, ["rooms", "lot area", "garage"])


@pytest.mark.parametrize(
    ("fitted", "got"), [("caf\u00e9", "cafe\u0301"), ("\u0439", "\u0438\u0306"), ("\u00b5", "\u03bc")]
)
def test_a_name_that_looks_like_another_is_shown_by_its_characters(fitted: str, got: str) -> None:
    """Unicode writes many a letter in two ways, and one who reads 'café' twice sees no fault."""
    for lacks, has in ((fitted, got), (got, fitted)):
        said = re.escape(f"{has!a}, which may look like {lacks!a} but has other characters")
        frame = pd.DataFrame({has: [1.0, 2.0], "b": [1.0, 3.0]})
        with pytest.raises(DataError, match=rf"lacks 1 of the 2 .*\(similar here: {said}"):
            align_columns(frame, [lacks, "b"])
        with pytest.raises(DataError, match=rf"did you mean {said}"):
            split_target(frame, lacks)
        encoder = TableEncoder().fit(frame.rename(columns={has: lacks}))
        with pytest.raises(DataError, match=rf"^X lacks columns .*: {lacks!r} \(similar here: {said}"):
            encoder.transform(frame)


def test_a_name_that_is_only_similar_is_offered_as_it_is() -> None:
    encoder = TableEncoder().fit(FRAME)
    with pytest.raises(DataError, match=r": 'Lot Area' \(similar here: 'lot area'\); add or rename them\."):
        encoder.transform(FRAME.rename(columns={"Lot Area": "lot area"}))


def test_thousands_of_missing_columns_are_counted_at_once() -> None:
    names = [f"column number {place}" for place in range(5000)]
    with pytest.raises(DataError, match=r"'column number 7' \(similar.* and 4992 more\. Add or rename"):
        align_columns(pd.DataFrame([range(5000)], columns=[f"{name}a" for name in names]), names)


def test_too_few_rows_are_refused_and_fewer_than_columns_warn() -> None:
    for n_rows, said in ((0, "0 samples"), (1, "1 sample ")):
        with pytest.raises(DataError, match=said):
            check_rows(n_rows, 3)
    with pytest.warns(DataWarning, match=r"fewer rows \(2\) than columns \(3\)"):
        check_rows(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_rows(3, 3)
