"""How a text table writes its fields: its delimiter, its decimal mark, and whether all rows are as wide."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from bayeshyper.errors import DataError

__all__ = ["Dialect", "check_widths", "sniff"]

DELIMITERS = (",", ";", "\t", "|")
SNIFFED_RECORDS = 50
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
DECIMAL_POINT = re.compile(r"[+-]?\d+\.\d+")
GROUPED_BY_POINT = re.compile(r"[+-]?\d{1,3}\.\d{3}")

Record = list[str]


class Dialect(NamedTuple):
    """How a text table writes its fields."""

    delimiter: str
    decimal: str


def sniff(path: Path, raw: bytes) -> tuple[Dialect, list[Record]]:
    """The dialect under which the first records agree best on a width, and those records.

    Raises:
        DataError: If they are no records at all.
    """

    def agreement(records: list[Record]) -> tuple[float, int]:
        width = len(records[0])
        return (sum(len(record) == width for record in records) / len(records) * (width > 1), width)

    candidates = {
        delimiter: [record for _, record in islice(_records(path, raw, delimiter), SNIFFED_RECORDS)]
        for delimiter in DELIMITERS
    }
    delimiter = max(candidates, key=lambda candidate: agreement(candidates[candidate]))
    records = candidates[delimiter]
    return Dialect(delimiter, _decimal(delimiter, records)), records


def check_widths(path: Path, raw: bytes, delimiter: str) -> None:
    """Refuses a record that is longer or shorter than the header: a field too many, or lost.

    A parser would fill up a short one with missing values: a file that was cut would look like a whole one.
    """
    records = _records(path, raw, delimiter)
    _, header = next(records)
    for line, record in records:
        if len(record) == len(header):
            continue
        if len(record) == 1 and not record[0].strip():
            continue  # a blank line
        raise DataError(
            f"{path} has {len(record)} field{'s' if len(record) > 1 else ''} in line {line}, but its header "
            f"names {len(header)}: {_remedy(header, record)}."
        )


def _remedy(header: Record, record: Record) -> str:
    """What probably mends a record of another width."""
    if header[0].startswith("#"):
        return "remove the comment lines above the header"
    if record[0].startswith("#"):
        return "remove this comment line"
    if any("\n" in field for field in record):
        return "look for a quotation mark that is never closed"
    if len(record) > len(header):
        return (
            "remove the extra delimiter, put quotation marks around the field that holds it, or give every "
            "column a name"
        )
    return "add what is missing; a missing value is an empty field between delimiters"


def _decimal(delimiter: str, records: list[Record]) -> str:
    """Only beside a semicolon does a comma mark decimals; elsewhere it may group thousands."""
    if delimiter != ";":
        return "."
    fields = [field.strip() for record in records[1:] for field in record]
    commas = sum(DECIMAL_COMMA.fullmatch(field) is not None for field in fields)
    points = [field for field in fields if DECIMAL_POINT.fullmatch(field)]
    # Beside decimal commas, 1.234 is a thousand: reading it as 1.234 would be worse than not reading it.
    grouped = all(GROUPED_BY_POINT.fullmatch(field) for field in points)
    return "," if commas > len(points) or (commas and grouped) else "."


def _records(path: Path, raw: bytes, delimiter: str) -> Iterator[tuple[int, Record]]:
    """Each record with the line in which it begins, counted from 1; empty lines are none."""
    text = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8", newline="")
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path} has a field of more than {csv.field_size_limit():,} characters, from line {line} on: "
            "look for a quotation mark that is never closed."
        ) from error
