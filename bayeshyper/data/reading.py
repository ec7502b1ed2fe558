"""Files into tables, and in one clear sentence why a file is no table."""

from __future__ import annotations

import csv
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Sequence
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bayeshyper.data.names import listed
from bayeshyper.errors import DataError, DataWarning

__all__ = ["read_table"]

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
PARQUET_SUFFIXES = (".parquet", ".pq")
DELIMITERS = (",", ";", "\t", "|")
SNIFFED_RECORDS = 50
# What the UCI repository writes for a missing value; pandas knows the others (empty, NA, NaN, null, None …).
MISSING_MARKS = ["?"]


def read_table(path: str | PathLike[str]) -> pd.DataFrame:
    r"""Reads a CSV or Parquet file with one row per observation and a header line.

    CSV is UTF-8 text, plain or gzipped, whose delimiter (comma, semicolon, tab or bar) and decimal mark
    are read off its first lines; an empty field, `NA` and `?` are missing values. A Parquet index that
    has a name becomes a column.

    Args:
        path: A file ending in .csv, .tsv, .txt (each also with .gz), .parquet or .pq.

    Returns:
        The table, rows numbered from 0.

    Raises:
        DataError: If there is no such file or it does not hold a table with at least one row.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "houses.csv"
        >>> _ = path.write_text("rooms;price\n3;1,5\n4;2,5\n")
        >>> read_table(path)["price"].tolist()
        [1.5, 2.5]
    """
    path = Path(path)
    name = path.name.lower()
    if path.is_dir():
        raise DataError(f"{path} is a folder: give the path of a CSV or Parquet file inside it.")
    if not path.exists():
        raise DataError(f"There is no file at {path}: give the path of a CSV or Parquet file.")
    if not name.endswith(TEXT_SUFFIXES + PARQUET_SUFFIXES):
        raise DataError(
            f"{path} does not end in .csv, .tsv, .txt (each also with .gz), .parquet or .pq, "
            "the formats that can be read: save the table as CSV or Parquet."
        )
    frame = _read_parquet(path) if name.endswith(PARQUET_SUFFIXES) else _read_text(path)
    if frame.empty:
        raise DataError(f"{path} has a header but no rows: a table needs at least one row under its header.")
    return frame


class _Dialect(NamedTuple):
    """How a text table writes its fields."""

    delimiter: str
    decimal: str


def _read_text(path: Path) -> pd.DataFrame:
    text = _decode(path)
    dialect, records = _sniff(path, text)
    _check_header(path, records)
    try:
        return pd.read_csv(
            io.StringIO(text),
            sep=dialect.delimiter,
            decimal=dialect.decimal,
            na_values=MISSING_MARKS,
            skipinitialspace=True,
            index_col=None,
            low_memory=False,  # types from the whole column, not chunk by chunk
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(_parser_sentence(path, str(error))) from error


def _decode(path: Path) -> str:
    """The file's text without its byte-order mark; anything that is not text is refused."""
    try:
        raw = path.read_bytes()
        if path.suffix.lower() == ".gz":
            raw = gzip.decompress(raw)
        text = raw.decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file: compress it again, or give it plain.") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text (byte {error.start} cannot be decoded): save the table as UTF-8 CSV."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    if not text.strip():
        raise DataError(f"{path} is empty: a table needs a header line and at least one row.")
    if "\0" in text:
        raise DataError(f"{path} is not a table but a binary file: give a CSV or Parquet file.")
    if text.lstrip().startswith(("<", "{")):
        raise DataError(f"{path} is not a table but looks like HTML or JSON: give a CSV or Parquet file.")
    return text


def _sniff(path: Path, text: str) -> tuple[_Dialect, list[list[str]]]:
    """The dialect under which the first records agree best on a width, and those records."""

    def agreement(records: list[list[str]]) -> tuple[float, int]:
        width = len(records[0])
        return (sum(len(record) == width for record in records) / len(records) * (width > 1), width)

    try:
        candidates = {delimiter: _first_records(text, delimiter) for delimiter in DELIMITERS}
    except csv.Error as error:
        raise DataError(
            f"{path} is not a table ({error}): look for a quotation mark that is never closed."
        ) from error
    delimiter = max(candidates, key=lambda candidate: agreement(candidates[candidate]))
    records = candidates[delimiter]
    fields = [field for record in records[1:] for field in record]
    commas = sum(re.fullmatch(r"[+-]?\d+,\d+", field.strip()) is not None for field in fields)
    points = sum(re.fullmatch(r"[+-]?\d+\.\d+", field.strip()) is not None for field in fields)
    # Only beside a semicolon does a comma mark decimals; elsewhere it may group thousands.
    decimal = "," if delimiter == ";" and commas > points else "."
    return _Dialect(delimiter, decimal), records


def _first_records(text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    return list(islice((record for record in reader if record), SNIFFED_RECORDS))


def _check_header(path: Path, records: list[list[str]]) -> None:
    header = [name.strip() for name in records[0]]
    _check_duplicates(path, [name for name in header if name])
    if len(records) > 1 and len(records[1]) > len(header):
        # pandas would quietly take the first column for row names
        raise DataError(
            f"{path} has {len(records[1])} fields in its first row, but its header names {len(header)}: "
            "give every column a name, or remove the extra delimiter."
        )
    # Columns that are merely numbered (0, 1, 2 … or 1, 2, 3 …) are in order; other numbers look like data.
    numbers = [name for place, name in enumerate(header) if _is_number(name) and abs(float(name) - place) > 1]
    if numbers and len(records) > 1:
        warnings.warn(
            f"The header of {path} holds numbers ({listed(numbers)}): if it is a row of data, add a header "
            "line with the columns' names.",
            DataWarning,
            stacklevel=4,
        )


def _check_duplicates(path: Path, names: Sequence[str]) -> None:
    duplicates = [name for position, name in enumerate(names) if name in names[:position]]
    if duplicates:
        raise DataError(
            f"{path} has more than one column named {listed(map(repr, dict.fromkeys(duplicates)))}: give "
            "each column a name of its own, and if the file has no header line, add one."
        )


def _parser_sentence(path: Path, reason: str) -> str:
    """What pandas' parser found, in the words of a person who looks at the file."""
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", reason):
        expected, line, saw = found.groups()
        return (
            f"{path} has {saw} fields in line {line}, but {expected} are expected: remove the extra "
            "delimiter, or put quotation marks around the field that holds it."
        )
    return f"{path} is not a table ({reason.strip()}): look for a quotation mark that is never closed."


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise DataError(f"Reading {path} needs pyarrow: `pip install pyarrow`, or save it as CSV.") from error
    except Exception as error:  # pyarrow has errors of many kinds for bytes that are not Parquet
        raise DataError(
            f"{path} is not a Parquet file ({error}): write it anew, or save it as CSV."
        ) from error
    frame = frame.reset_index(drop=frame.index.names == [None])
    frame.columns = [str(name) for name in frame.columns]
    _check_duplicates(path, list(frame.columns))
    return frame


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
