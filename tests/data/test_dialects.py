"""Text tables as people have them: each gives the table that was meant, or one sentence."""

from __future__ import annotations

import csv
import gzip
import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayeshyper.data import read_table
from bayeshyper.errors import DataError, DataWarning

LETTERS = st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cc", "Cs"])
WORDS = st.text(LETTERS | st.sampled_from(list(",;|\t\"' \n=+#")), min_size=1, max_size=8)


def is_name(word: str) -> bool:
    """Whether blanks belong to it, and a header with it is no row of data."""
    try:
        float(word)
    except ValueError:
        return word == word.strip()
    return False


NAMES = st.lists(WORDS.filter(is_name), min_size=2, max_size=4, unique=True).filter(
    # a table does not open like another format
    lambda names: names[0][0] not in "<{[#" and not names[0].lower().startswith("sep=")
)
# A letter in front, as "NA" is a missing value and "1 000" may be a number.
TEXTS = WORDS.map("w{}".format).filter(is_name)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53).map(float)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """A table with text and numbers, some of them missing, but no column all missing."""
    names, rows = draw(NAMES), draw(st.integers(1, 5))
    columns = {}
    for name in names:
        cells = draw(st.sampled_from([TEXTS, NUMBERS]))
        column = draw(st.lists(st.none() | cells, min_size=rows, max_size=rows).filter(any))
        columns[name] = pd.Series(column, dtype=np.float64 if cells is NUMBERS else "str")
    return pd.DataFrame(columns)


def written(frame: pd.DataFrame, *, delimiter: str, end: str, quoting: int) -> str:
    """The table as text, by Python's own writer."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(frame.columns)
    for row in frame.itertuples(index=False):
        writer.writerow(["" if pd.isna(cell) else cell for cell in row])
    return text.getvalue()


def encoded(text: str, form: str) -> bytes:
    if form == "gz":
        return gzip.compress(text.encode(), compresslevel=1)
    return text.encode("utf-16" if form == "utf-16" else form)


def read(path: Path, content: str | bytes) -> pd.DataFrame:
    """The table of a file with this content; all warnings are errors."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_table(path)


def outcome(path: Path, content: str | bytes) -> pd.DataFrame | Exception:
    """The table, or the error or warning in its place."""
    try:
        return read(path, content)
    except (DataError, DataWarning) as error:
        return error


@given(
    frame=tables(),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    form=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gz"]),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_written_and_read_it_is_the_same_table(
    tmp_path: Path, frame: pd.DataFrame, delimiter: str, end: str, quoting: int, form: str
) -> None:
    text = written(frame, delimiter=delimiter, end=end, quoting=quoting)
    again = read(tmp_path / f"t.csv{'.gz' if form == 'gz' else ''}", encoded(text, form))
    pd.testing.assert_frame_equal(again, frame, check_dtype=False)


@given(text=st.text(st.sampled_from(list("ab1.,;|\t\"'#\n\r =?-é")), max_size=40))
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_table_or_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    found = outcome(tmp_path / "t.csv", text)
    if isinstance(found, pd.DataFrame):
        assert found.size
        assert found.columns.is_unique
        assert all(isinstance(name, str) and name for name in found.columns)
    else:
        assert str(tmp_path / "t.csv") in str(found)
        assert str(found).endswith(".")


@given(content=st.binary(max_size=60) | st.binary(max_size=60).map(gzip.compress))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_table_or_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    for path in (tmp_path / "t.csv", tmp_path / "t.csv.gz", tmp_path / "t.parquet"):
        found = outcome(path, content)
        assert len(found) if isinstance(found, pd.DataFrame) else str(path) in str(found)


PLAIN = {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("a,b,\n1,2,\n3,4,\n", PLAIN),  # a delimiter at every line's end
        (",a,b\n0,1,2\n1,3,4\n", PLAIN),  # pandas' index
        (',a,b\n"Mazda",1,2\n"Fiat",3,4\n', PLAIN),  # R's row names
        ("a, b\n1, 2\n3, 4\n", PLAIN),
        ("a , b \n1 ,2 \n3 ,4 \n", PLAIN),
        ("\n\na,b\n\n1,2\n   \n3,4\n\n", PLAIN),
        ("a,b\r1,2\r3,4\r", PLAIN),
        ("a,b\r\n1,2\n3,4", PLAIN),
        ("sep=;\na;b\n1;2\n3;4\n", PLAIN),  # Excel's hint
        ('"sep=\t"\na\tb\n1\t2\n3\t4\n', PLAIN),
        ("<5,>5\n1,2\n", {"<5": [1], ">5": [2]}),
        ("{a},[b]\n1,2\n", {"{a}": [1], "[b]": [2]}),
        ("# of rooms,b\n1,2\n", {"# of rooms": [1], "b": [2]}),
        ('a,b\n"{""x"": 1}",2\n', {"a": ['{"x": 1}'], "b": [2]}),
        ('a,b\n"say ""hi""",2\n5" pipe,3\n', {"a": ['say "hi"', '5" pipe'], "b": [2, 3]}),
        ("a\n1\n\n3\n\n", {"a": [1.0, np.nan, 3.0]}),  # the only field of a row is missing
        ("a;b\n1.234;2,5\n", {"a": ["1.234"], "b": [2.5]}),  # a thousand, and never 1.234
        ("a;b\n1.5;2,5\n0.25;x\n7.125;y\n", {"a": [1.5, 0.25, 7.125], "b": ["2,5", "x", "y"]}),
    ],
)
def test_a_table_is_read_as_it_was_meant(tmp_path: Path, text: str, table: dict[str, Any]) -> None:
    pd.testing.assert_frame_equal(read(tmp_path / "t.csv", text), pd.DataFrame(table))


def test_a_field_of_a_hundred_thousand_letters_is_read(tmp_path: Path) -> None:
    assert len(read(tmp_path / "t.csv", f"a,b\n{'x' * 100_000},1\n")["a"][0]) == 100_000


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b,c\n1,2,3\n4,5\n6,7,8\n", "2 fields in line 3, but its header names 3: add what is missing"),
        ("a,b\n1,2\n3", "1 field in line 3, but its header names 2"),  # cut off
        ('a,b\n"x\ny",2\n\n3\n', "1 field in line 5,"),
        ("# made by hand\na,b\n1,2\n", "remove the comment lines above the header"),
        ("a,b\n1,2\n# hello\n3,4\n", "in line 3.*remove this comment line"),
        ('a,b\n1,2\n"3,4\n5,6\n', "in line 3.*quotation mark that is never closed"),
        ("a,,b\n1,2,3\n", "no name for column 2 "),
        (",b\n1,2\n1,3\n", "no name for column 1 "),
        (",,\n,,\n", "no names in its header"),
        ("a,b\n1,ü\n".encode("latin-1"), "byte 6 cannot be decoded, in line 2"),
        ("a,b\n1,2\n".encode("utf-32"), "binary file"),
        ('[{"a": 1}]', "HTML or JSON"),
        ('a,b\n"' + "x" * 200_000 + '",1\n', "more than 131,072 characters, from line 2 on"),
    ],
)
def test_a_table_that_may_not_be_what_it_seems_is_refused(
    tmp_path: Path, text: str | bytes, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        read(tmp_path / "t.csv", text)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(DataError, match="no regular file"):
        read_table(tmp_path / "t.csv")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a megabyte packed into a kilobyte no more is unpacked than there is room for."""
    free = psutil.virtual_memory()._replace(available=8 * 2**16)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    line = b"1,2\n" * 2**18
    for name, content in {"t.csv.gz": gzip.compress(b"a,b\n" + line), "t.csv": b"a,b\n" + line}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=r"too large.*GB"):
            read_table(tmp_path / name)
    pd.DataFrame({"a": np.zeros(2**20)}).to_parquet(tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 2**16
    with pytest.raises(DataError, match=r"too large.*GB"):
        read_table(tmp_path / "t.parquet")
