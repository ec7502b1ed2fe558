"""The results: one CSV row per fit, appended when it is done, so that a run can end anywhere and go on."""

from __future__ import annotations

import csv
import io
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from bayeshyper import __version__
from bayeshyper.diagnostics import Audit
from bayeshyper.errors import DataError
from bayeshyper.files import write_atomically


class Job(NamedTuple):
    """What identifies a fit: two rows with the same job would be the same row.

    Args:
        data: The data set.
        protocol: Which kind of splits.
        split: Which of them.
        method: The method's name.
        settings: The ``--set`` overrides, sorted and joined; empty for methods that take none.
        seed: Which of the repetitions on the same split.
    """

    data: str
    protocol: str
    split: int
    method: str
    settings: str
    seed: int


SCORES = ("log_likelihood", "rmse", "crps", "coverage_50", "coverage_90")
COSTS = ("fit_seconds", "fit_cpu_seconds", "steps", "rows_fitted", "rows_scored")
AUDIT = tuple(name for name in Audit.__dataclass_fields__ if name.startswith(("elbo", "entropy")))
NUMBERS = (*SCORES, *COSTS, *AUDIT, "rhat")
COLUMNS = (*Job._fields, *NUMBERS, "flagged", "versions")
LATER = ("rhat",)  # what files of earlier versions lack


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Add one row in a single write, which no other run of the benchmark can cut in two.

    A file of an earlier version must have gone through `finished` first.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        if os.fstat(file).st_size == 0:
            writer.writeheader()
        writer.writerow(row)
        os.write(file, text.getvalue().encode())
        os.fsync(file)
    finally:
        os.close(file)


def read(path: Path) -> pd.DataFrame:
    """All finished rows.

    Raises:
        DataError: The file is not one of ours.
    """
    whole = _whole_lines(path.read_bytes()).decode() if path.exists() else ""
    if not whole:
        return pd.DataFrame(columns=list(COLUMNS))
    text = {name: str for name in ("data", "protocol", "method", "settings", "versions")}
    rows = pd.read_csv(
        io.StringIO(whole), dtype=text, keep_default_na=False, na_values={n: [""] for n in NUMBERS}
    )
    if [name for name in COLUMNS if name in rows.columns or name not in LATER] != list(rows.columns):
        raise DataError(
            f"{path} has other columns than this version writes: give another file for the results."
        )
    return rows.reindex(columns=list(COLUMNS))


def finished(path: Path) -> set[Job]:
    """The jobs that have their row; makes the file ready to be appended to.

    A last row cut short (by a full disk, say) is dropped from it; columns that it lacks are added, blank.
    """
    if path.exists():
        content = path.read_bytes()
        whole = _whole_lines(content)
        read(path)  # nothing is rewritten of a file that is not ours
        upgraded = _with_later_columns(whole)
        if upgraded != content:
            write_atomically(path, upgraded)
    rows = read(path)[list(Job._fields)].itertuples(index=False)
    return {Job(*row) for row in rows}


def _with_later_columns(content: bytes) -> bytes:
    """The same text of every cell, under the columns of this version."""
    reader = csv.DictReader(io.StringIO(content.decode()))
    if not content or tuple(reader.fieldnames or ()) == COLUMNS:
        return content
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(reader)
    return text.getvalue().encode()


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


@cache
def versions() -> str:
    """What the numbers came out of."""
    code = __version__
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        code += f" ({described.stdout.strip()})"
    except (OSError, subprocess.CalledProcessError):
        pass  # not a checkout, or no git
    return f"bayeshyper {code}, torch {torch.__version__}, Python {platform.python_version()}"
