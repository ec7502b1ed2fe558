from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeshyper.data import read_table
from bayeshyper.errors import DataError, DataWarning

TABLE = pd.DataFrame({"rooms": [3, 4, 5], "city": ["Bonn", "Köln, West", None], "price": [1.5, 2.25, 0.1]})


def write(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_dialect_gives_the_same_table(tmp_path: Path, delimiter: str, line_end: str) -> None:
    text = TABLE.to_csv(index=False, sep=delimiter, lineterminator=line_end)
    pd.testing.assert_frame_equal(read_table(write(tmp_path, text)), TABLE)


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbf" + TABLE.to_csv(index=False).encode())
    assert read_table(path).columns[0] == "rooms"


def test_gzip_and_parquet_give_the_same_table(tmp_path: Path) -> None:
    text = TABLE.to_csv(index=False)
    pd.testing.assert_frame_equal(
        read_table(write(tmp_path, gzip.compress(text.encode()), "t.CSV.GZ")), TABLE
    )
    TABLE.to_parquet(tmp_path / "t.pq")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.pq"), TABLE)


def test_a_named_parquet_index_becomes_a_column_and_an_unnamed_one_goes(tmp_path: Path) -> None:
    TABLE.set_index("rooms").to_parquet(tmp_path / "named.parquet")
    TABLE.set_index(np.array([7, 8, 9])).to_parquet(tmp_path / "unnamed.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "named.parquet"), TABLE)
    pd.testing.assert_frame_equal(read_table(tmp_path / "unnamed.parquet"), TABLE)


def test_a_quoted_field_may_hold_line_breaks_and_delimiters(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path, 'note,y\n"two\nlines, one field",1\nplain,2\n'))
    assert frame["note"].tolist() == ["two\nlines, one field", "plain"]


def test_spaces_after_delimiters_and_question_marks_are_read_as_uci_means_them(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path, "age, work\n39, Private\n?, ?\n"))
    assert frame.columns.tolist() == ["age", "work"]
    assert frame["work"][0] == "Private"
    assert frame.loc[1].isna().all()
    assert frame["age"].dtype == np.float64


def test_decimal_commas_are_read_beside_semicolons_only(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, "a;b\n1,5;2\n-3,25;4\n"))["a"].tolist() == [1.5, -3.25]
    assert read_table(write(tmp_path, "a;b\n1.5;2\n3.25;4\n"))["a"].tolist() == [1.5, 3.25]
    assert read_table(write(tmp_path, "a\tb\n1,500\t2\n3,250\t4\n"))["a"].tolist() == ["1,500", "3,250"]


def test_one_row_and_one_column_are_a_table(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, "a,b\n1,2\n")).shape == (1, 2)
    assert read_table(write(tmp_path, "a\n1\n2\n")).shape == (2, 1)


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        ("", "t.csv", "is empty"),
        (" \n\n", "t.csv", "is empty"),
        (gzip.compress(b"", mtime=0), "t.csv.gz", "is empty"),
        ("a,b\n", "t.csv", "a header but no rows"),
        ("a,b,a\n1,2,3\n", "t.csv", r"more than one column named 'a'.*header line"),
        (b"\xef\xbb\xbfa,b,a\n1,2,3\n", "t.csv", "more than one column named 'a'"),
        ("a,b\n1,2\n3,4,5\n", "t.csv", "3 fields in line 3, but its header names 2"),
        ("a,b\n0,1,2\n1,3,4\n", "t.csv", "3 fields in line 2, but its header names 2.*every column a name"),
        ('a,b\n1,"open\n2,3\n', "t.csv", "never closed"),
        ('a,b\n1,"' + "x" * 200_000, "t.csv", "never closed"),
        (b"\x89PNG\r\n\x1a\n\xff\x00", "t.csv", "not UTF-8 text"),
        ("a,b\n1,ü\n".encode("latin-1"), "t.csv", "not UTF-8 text"),
        (b"a,b\0\n1,2\n", "t.csv", "a binary file"),
        ("<!DOCTYPE html><html></html>", "t.csv", "HTML or JSON"),
        (b"plain", "t.csv.gz", "not a whole gzip file"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], "t.csv.gz", "not a whole gzip file"),
        (b"PAR1 junk", "t.parquet", "not a Parquet file"),
        ("a,b\n1,2\n", "t.xlsx", r"does not end in \.csv"),
        ("a,b\n1,2\n", "t", r"does not end in \.csv"),
    ],
)
def test_what_is_not_a_table_is_refused_in_one_sentence(
    tmp_path: Path, content: str | bytes, name: str, sentence: str
) -> None:
    path = write(tmp_path, content, name)
    with pytest.raises(DataError, match=sentence) as caught:
        read_table(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file at"):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\n1,2\n")
    path.chmod(0)
    with pytest.raises(DataError, match="check its permissions"):
        read_table(path)


def test_a_header_of_numbers_warns_that_it_may_be_data(tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match=r"holds numbers \(39, 77516\).*add a header line") as caught:
        read_table(write(tmp_path, "39,Private,77516\n50,Private,83311\n"))
    assert caught[0].filename == __file__


@pytest.mark.parametrize("header", ["0,1,2", "1,2,3", "0,1,y"])
def test_numbered_columns_do_not_warn(tmp_path: Path, header: str) -> None:
    assert read_table(write(tmp_path, f"{header}\n5,6,7\n")).shape == (1, 3)
