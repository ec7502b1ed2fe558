"""Where results go: checked before the work starts, and written whole or not at all."""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from bayeshyper.cli.console import complain
from bayeshyper.errors import DataError
from bayeshyper.files import destination, leads_nowhere, write_atomically

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "check_file",
    "check_folder",
    "check_names",
    "check_table",
    "filled_folder",
    "place",
    "write_table",
]

SEPARATORS = {".csv": ",", ".tsv": "\t", ".csv.gz": ",", ".tsv.gz": "\t"}
PARQUET = (".parquet", ".pq")
# Excel and others run a cell that opens with one of these, also in full width and behind what is not seen.
FORMULA = r"(?=[\s\x00-\x1f\u200b-\u200f\u2060\ufeff\"]*[=+\-@＝＋－＠])"
# Where the system's list separator is another than the file's, a cell ends at these, quoted or not.
ENDS = {",": r";|\t\r\n", "\t": r",;|\r\n"}


def check_file(path: Path, *inputs: Path, force: bool) -> None:
    """Refuse an output that exists, cannot be written, or is one of the inputs."""
    check_names(path)
    _check_link(path)
    if path.is_dir():
        raise DataError(f"The output {path} is a folder: give the path of a file.")
    if path.exists() and not path.is_file():
        raise DataError(f"The output {path} is no regular file: give another --output.")
    folder = destination(path).parent
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} for the output {path.name}: make it first.")
    if not os.access(folder, os.W_OK):
        raise DataError(f"The folder {folder} cannot be written to: give another --output.")
    if not path.exists():
        return
    if any(path.samefile(given) for given in inputs if given.exists()):
        raise DataError(f"The output {path} is an input too: give another --output.")
    if not force:
        raise DataError(f"{path} exists already: give another --output, or --force to replace it.")


def check_table(path: Path, *inputs: Path, force: bool) -> None:
    """`check_file`, for a file whose ending says how the table is written."""
    if not path.name.lower().endswith((*SEPARATORS, *PARQUET)):
        endings = ", ".join([*SEPARATORS, *PARQUET])
        raise DataError(f"The output {path} has none of the endings {endings}: give one, to say the format.")
    check_file(path, *inputs, force=force)


def check_folder(path: Path, *, force: bool) -> None:
    """Refuse an output folder that holds something already, or that is no folder."""
    check_names(path)
    _check_link(path)
    if path.exists() and not path.is_dir():
        raise DataError(f"The output {path} is a file: give the path of a folder.")
    if path.is_dir() and any(path.iterdir()) and not force:
        raise DataError(
            f"The folder {path} is not empty: give another --output, or --force to write into it."
        )
    standing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if not (standing.is_dir() and os.access(standing, os.W_OK)):
        raise DataError(f"{standing} cannot be written to: give another --output.")


def place(path: Path, *, force: bool) -> Path:
    """Where to write what took long to make: at ``path``, or beside what is there by now.

    ``check_file`` was long ago: the folder may be gone, and is made again; another command may have written
    there, and without ``force`` keeps its file.
    """
    destination(path).parent.mkdir(parents=True, exist_ok=True)
    if force or not path.exists():
        return path
    ending = "".join(path.suffixes)
    names = (path.with_name(f"{path.name.removesuffix(ending)}-{number}{ending}") for number in count(2))
    free = next(name for name in names if not (name.exists() or name.is_symlink()))
    complain("Warning", f"{path} was written meanwhile by another command, so this goes to {free}.")
    return free


def check_names(*paths: Path) -> None:
    """Refuse names that are too long for the file system."""
    for path in paths:
        try:
            path.lstat()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise DataError(f"The name {path.name} is too long: give a shorter --output.") from error


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table in the format of its ending, atomically.

    In text, what a spreadsheet would run as a formula gets an apostrophe in front, in cells and in names.
    """
    buffer = io.BytesIO()
    name = path.name.lower()
    if name.endswith(PARQUET):
        frame.to_parquet(buffer, index=False)
    else:
        separator = next(separator for ending, separator in SEPARATORS.items() if name.endswith(ending))
        safe = _escaped(frame, separator)
        safe.to_csv(
            buffer,
            sep=separator,
            index=False,
            # Without quotation marks, a carriage return would end the row.
            quoting=csv.QUOTE_NONNUMERIC if _has_returns(safe) else csv.QUOTE_MINIMAL,
            compression="gzip" if name.endswith(".gz") else None,
        )
    write_atomically(path, buffer.getvalue())


@contextmanager
def filled_folder(path: Path) -> Iterator[Path]:
    """A new folder to fill; when the block ends well, its files move to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name[:24]}.") as temporary:
        fresh = Path(temporary) / path.name
        fresh.mkdir()
        try:
            yield fresh
        except OSError as error:
            error.filename = error.filename or str(path)  # a full disk names none
            raise
        if not path.exists():
            fresh.rename(path)
            return
        for file in sorted(fresh.rglob("*")):
            goal = path / file.relative_to(fresh)
            if file.is_dir():
                goal.mkdir(exist_ok=True)
            else:
                shutil.move(file, goal)


def _check_link(path: Path) -> None:
    if leads_nowhere(path):
        raise DataError(
            f"The output {path} is a link that leads to nothing: remove it, or give another --output."
        )


def _escaped(frame: pd.DataFrame, separator: str) -> pd.DataFrame:
    starts = re.compile(rf"(?:^|(?<=[{ENDS[separator]}])){FORMULA}")

    def escape(cell: object) -> object:
        return starts.sub("'", cell) if isinstance(cell, str) and not _is_number(cell) else cell

    return frame.rename(columns=escape).map(escape)


def _has_returns(frame: pd.DataFrame) -> bool:
    texts = frame.select_dtypes(exclude=["number", "bool"]).to_numpy().ravel()
    return any(isinstance(text, str) and "\r" in text for text in (*frame.columns, *texts))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
