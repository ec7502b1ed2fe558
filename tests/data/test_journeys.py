"""Real files, from the path to the numbers that a network takes and back."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeshyper.data import TableEncoder, align_columns, check_target, infer_task, read_table, split_target
from bayeshyper.errors import DataError, DataWarning


@pytest.mark.parametrize(
    ("file", "target", "task", "n_rows"),
    [
        ("AmesHousing.csv", "SalePrice", "regression", 2930),
        ("penguins.csv", "species", "classification", 344),
        ("mpg.csv", "mpg", "regression", 398),
        ("magic04.csv.gz", "class", "classification", 19020),
    ],
)
def test_from_a_file_to_numbers_and_back(
    shared: Path, file: str, target: str, task: str, n_rows: int
) -> None:
    X, y = split_target(read_table(shared / "tables" / file), target)
    assert infer_task(y) == task
    assert len(check_target(y, infer_task(y))) == n_rows
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        encoder = TableEncoder().fit(X)
    said = ["Column 'name' is read as text with 305 labels for 398 rows"] if file == "mpg.csv" else []
    assert [str(warning.message).partition(" (")[0] for warning in caught] == said
    encoded = encoder.transform(X)
    assert np.isfinite(encoded).all()
    assert encoded.shape == (n_rows, encoder.n_features_out_)
    some = np.random.default_rng(0).permutation(n_rows)[:50]
    again = TableEncoder.from_state(*encoder.to_state())
    np.testing.assert_array_equal(again.transform(X.iloc[some]), encoded[some])


def test_ames_housing_keeps_its_missing_values_visible(shared: Path) -> None:
    X, _ = split_target(read_table(shared / "tables" / "AmesHousing.csv"), "SalePrice")
    has_missing = X.columns[X.isna().any()]
    assert X.columns[0] == "Order"  # not the byte-order mark
    names = TableEncoder().fit(X).feature_names_out
    assert len(has_missing) >= 27
    for column in has_missing:
        assert f"{column} is missing" in names or f"{column} = (missing)" in names


def test_a_model_of_one_half_reads_the_other_half_from_a_shuffled_file(shared: Path, tmp_path: Path) -> None:
    table = read_table(shared / "tables" / "penguins.csv")
    train, new = table.iloc[1::2], table.iloc[::2]
    encoder = TableEncoder().fit(train.drop(columns="species"))
    new.assign(note="later")[["note", *new.columns[::-1]]].to_csv(tmp_path / "new.tsv", sep="\t", index=False)
    names = encoder.feature_names_in_
    assert names is not None
    aligned = align_columns(read_table(tmp_path / "new.tsv"), names.tolist())
    np.testing.assert_array_equal(encoder.transform(aligned), encoder.transform(new.drop(columns="species")))
    with pytest.raises(DataError, match=r"'sex' \(similar here: 'Sex'\)"):
        align_columns(new.rename(columns={"sex": "Sex"}), names.tolist())


def test_adult_with_a_header_reads_question_marks_as_missing(shared: Path, tmp_path: Path) -> None:
    """Its native countries fit under the cap, and those of the test file are all known."""
    columns = (
        b"age,workclass,fnlwgt,education,education-num,marital-status,occupation,relationship,race,sex,"
        b"capital-gain,capital-loss,hours-per-week,native-country,income\n"
    )
    tables = []
    for part in ("train", "test"):
        body = gzip.decompress((shared / "tables" / f"adult-{part}.csv.gz").read_bytes())
        (tmp_path / f"{part}.csv").write_bytes(columns + body)
        tables.append(split_target(read_table(tmp_path / f"{part}.csv"), "income"))
    (X, y), (X_test, _) = tables
    assert infer_task(y) == "classification"
    assert np.unique(check_target(y, "classification")).tolist() == ["<=50K", ">50K"]
    assert X.columns[X.isna().any()].tolist() == ["workclass", "occupation", "native-country"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = TableEncoder().fit(X)
        assert encoder.transform(X_test).shape == (len(X_test), encoder.n_features_out_)


@pytest.mark.parametrize(
    ("file", "sign"),
    [("adult-train.csv.gz", DataWarning), ("winequality-white.csv", DataWarning), ("german.csv", DataError)],
)
def test_a_file_without_a_header_is_not_read_in_silence(
    shared: Path, file: str, sign: type[Exception]
) -> None:
    with pytest.raises(sign, match="header line"):  # warnings are errors in these tests
        read_table(shared / "tables" / file)


def test_parquet_and_csv_are_encoded_alike(shared: Path, tmp_path: Path) -> None:
    table = read_table(shared / "tables" / "AmesHousing.csv").drop(columns="SalePrice")
    table.to_parquet(tmp_path / "ames.parquet")
    encoder = TableEncoder().fit(table)
    again = read_table(tmp_path / "ames.parquet")
    pd.testing.assert_frame_equal(again, table)
    np.testing.assert_array_equal(encoder.transform(again), encoder.transform(table))
