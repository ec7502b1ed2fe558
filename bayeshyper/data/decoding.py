"""Files of text into UTF-8: unpacked, within memory, and refused where they are no text."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from pathlib import Path
from typing import NamedTuple

from bayeshyper.errors import DataError
from bayeshyper.memory import free_memory

__all__ = ["check_memory", "read_utf8"]

GZIP = b"\x1f\x8b"
# A table in memory, and what its parser holds beside it, take up to so many times the bytes of its text.
MEMORY_PER_BYTE = 8
HTML_OR_JSON = re.compile(rb"<[!?/a-zA-Z]|\{\s*[\"}]|\[\s*[\[{\]]")


class _Encoding(NamedTuple):
    """How a text is written, by the mark that it opens with."""

    mark: bytes
    name: str


MARKED = (
    _Encoding(codecs.BOM_UTF8, "utf-8"),
    _Encoding(codecs.BOM_UTF16_LE, "utf-16-le"),
    _Encoding(codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_utf8(path: Path) -> bytes:
    """The bytes of a text file as UTF-8 without a byte-order mark, at most about an eighth of free memory.

    Plain or gzipped, in UTF-8, or in UTF-16 with its byte-order mark (what Excel calls Unicode text).

    Raises:
        DataError: If the file cannot be read, is too large, is empty or holds no text.
    """
    try:
        raw = _unpacked(path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file: compress it again, or give it plain.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    raw = _decoded(path, raw)
    if not raw.strip():
        raise DataError(f"{path} is empty: a table needs a header line and at least one row.")
    if b"\0" in raw:
        raise DataError(f"{path} is not a table but a binary file: give a CSV or Parquet file.")
    if HTML_OR_JSON.match(raw.lstrip()):
        raise DataError(f"{path} is not a table but looks like HTML or JSON: give a CSV or Parquet file.")
    return raw


def check_memory(path: Path, n_bytes: float) -> None:
    """Refuses a file whose table needs more memory than is free.

    Args:
        path: The file, for the message.
        n_bytes: What the table takes in memory, about.
    """
    free = free_memory()
    if n_bytes > free:
        raise DataError(
            f"{path} is too large: its table needs about {n_bytes / 1e9:,.1f} GB of memory, and "
            f"{free / 1e9:,.1f} GB are free; give a part of its rows or columns."
        )


def _unpacked(path: Path) -> bytes:
    """What the file holds, unpacked; never more than fits."""
    with path.open("rb") as file:
        packed = file.read(len(GZIP)) == GZIP or path.suffix.lower() == ".gz"
    if not packed:
        check_memory(path, path.stat().st_size * MEMORY_PER_BYTE)
        return path.read_bytes()
    # The size that gzip notes at its end may be anything, so one byte too many is asked for.
    most = free_memory() // MEMORY_PER_BYTE
    with gzip.open(path) as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise DataError(
            f"{path} is too large: unpacked it has more than {most / 1e9:,.1f} GB, and its table needs about "
            f"{MEMORY_PER_BYTE} times as much memory; give a part of its rows or columns."
        )
    return raw


def _decoded(path: Path, raw: bytes) -> bytes:
    """The same text in UTF-8, without its byte-order mark."""
    written = next((one for one in MARKED if raw.startswith(one.mark)), _Encoding(b"", "utf-8"))
    raw = raw[len(written.mark) :]
    try:
        text = raw.decode(written.name)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path} is not UTF-8 text (byte {error.start} cannot be decoded, in line {line}): save the "
            "table as UTF-8 CSV."
        ) from error
    return raw if written.name == "utf-8" else text.encode()
