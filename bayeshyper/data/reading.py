"""Files into tables, and in one clear sentence why a file is no table."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Collection, Sequence
from os import PathLike
from pathlib import Path

import pandas as pd
from pandas.api import types

from bayeshyper.data.decoding import check_memory, read_utf8
from bayeshyper.data.dialect import check_widths, sniff
from bayeshyper.data.names import listed
from bayeshyper.errors import DataError, DataWarning, warn

__all__ = ["read_table"]

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
PARQUET_SUFFIXES = (".parquet", ".pq")
# What the UCI repository writes for a missing value; pandas knows the others (empty, NA, NaN, null, None …).
MISSING_MARKS = ["?"]
# The line by which Excel is told the delimiter.
EXCEL_HINT = re.compile(rb"\s*\"?sep=.\"?[ \t]*(?=[\r\n])")
# What a cell of a Parquet table takes in memory, about.
BYTES_PER_CELL = 16


def read_table(path: str | PathLike[str], *, text: Collection[str] = ()) -> pd.DataFrame:
    r"""Reads a CSV or Parquet file with one row per observation and a header line.

    CSV is UTF-8 text (or UTF-16 with its byte-order mark), plain or gzipped, whose delimiter (comma,
    semicolon, tab or bar) and decimal mark are read off its first lines; an empty field, `NA` and `?` are
    missing values. Every row has as many fields as the header. A Parquet index that has a name becomes a
    column. One without goes, as does a CSV's first column without a name where it numbers or names the rows,
    and any column without name and values, as a delimiter at every line's end makes.

    Args:
        path: A file ending in .csv, .tsv, .txt (each also with .gz), .parquet or .pq.
        text: Columns of labels, which a text file's are read as they are written: where another file had "01"
            beside "A7", this one's "01" alone is no number either.

    Returns:
        The table, rows numbered from 0.

    Raises:
        DataError: If there is no such file, it does not hold a table with at least one row, or the table
            does not fit in memory.

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
    if not path.is_file():
        raise DataError(f"{path} is no regular file: give the path of a CSV or Parquet file.")
    if not name.endswith(TEXT_SUFFIXES + PARQUET_SUFFIXES):
        raise DataError(
            f"{path} does not end in .csv, .tsv, .txt (each also with .gz), .parquet or .pq, "
            "the formats that can be read: save the table as CSV or Parquet."
        )
    frame = _read_parquet(path) if name.endswith(PARQUET_SUFFIXES) else _read_text(path, text)
    if frame.empty:
        raise DataError(f"{path} has a header but no rows: a table needs at least one row under its header.")
    return frame


def _read_text(path: Path, text: Collection[str]) -> pd.DataFrame:
    raw = EXCEL_HINT.sub(b"", read_utf8(path), count=1)
    dialect, records = sniff(path, raw)
    header = [name.strip() for name in records[0]]
    _check_header(path, header, records[1:])
    check_widths(path, raw, dialect.delimiter)
    alone = len(header) == 1
    try:
        frame = pd.read_csv(
            # Of one column, a blank line is a row whose value is missing.
            io.BytesIO(raw.strip(b"\r\n") if alone else raw),
            skip_blank_lines=not alone,
            sep=dialect.delimiter,
            decimal=dialect.decimal,
            header=0,
            names=range(len(header)),
            index_col=False,
            dtype={place: str for place, name in enumerate(header) if name in text},
            na_values=MISSING_MARKS,
            skipinitialspace=True,
            low_memory=False,  # types from the whole column, not chunk by chunk
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(
            f"{path} is not a table ({error}): look for a quotation mark that is never closed."
        ) from error
    return _with_names(path, frame, header)


def _check_header(path: Path, header: Sequence[str], records: Sequence[Sequence[str]]) -> None:
    _check_duplicates(path, [name for name in header if name])
    # Columns that are merely numbered (0, 1, 2 … or 1, 2, 3 …) are in order; other numbers look like data.
    numbers = [name for place, name in enumerate(header) if _is_number(name) and abs(float(name) - place) > 1]
    if numbers and records:
        warn(
            DataWarning,
            f"The header of {path} holds numbers ({listed(numbers)}): if it is a row of data, add a header "
            "line with the columns' names.",
        )


def _with_names(path: Path, frame: pd.DataFrame, header: Sequence[str]) -> pd.DataFrame:
    """Gives the columns their names; one without a name says nothing, or counts the rows, or is refused."""
    for place in [place for place, name in enumerate(header) if not name]:
        column = frame[place]
        counts_rows = place == 0 and column.is_unique and not types.is_float_dtype(column.dtype)
        if not (column.isna().all() or counts_rows):
            raise DataError(
                f"{path} has no name for column {place + 1} (counting from 1) in its header: give it one."
            )
    named = [place for place, name in enumerate(header) if name]
    if not named:
        raise DataError(f"{path} has no names in its header: give each column a name.")
    return frame[named].set_axis([header[place] for place in named], axis="columns")


def _check_duplicates(path: Path, names: Sequence[str]) -> None:
    duplicates = [name for name, times in Counter(names).items() if times > 1]
    if duplicates:
        raise DataError(
            f"{path} has more than one column named {listed(map(repr, duplicates))}: give each column a name "
            "of its own, and if the file has no header line, add one."
        )


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        from pyarrow.parquet import read_metadata

        # Many equal values take next to nothing in the file.
        about = read_metadata(path)
        check_memory(path, about.num_rows * about.num_columns * BYTES_PER_CELL)
        frame = pd.read_parquet(path)
    except DataError:
        raise
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
