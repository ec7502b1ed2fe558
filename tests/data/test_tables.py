from __future__ import annotations

import warnings

import pandas as pd
import pytest

from bayeshyper.data import align_columns, check_rows, split_target
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


def test_too_few_rows_are_refused_and_fewer_than_columns_warn() -> None:
    for n_rows, said in ((0, "0 samples"), (1, "1 sample ")):
        with pytest.raises(DataError, match=said):
            check_rows(n_rows, 3)
    with pytest.warns(DataWarning, match=r"fewer rows \(2\) than columns \(3\)"):
        check_rows(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_rows(3, 3)
