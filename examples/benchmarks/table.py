"""The results as Markdown: mean ± standard error over splits, and paired differences to the first method.

    python examples/benchmarks/table.py results.csv

Each row of a table takes the splits that all its methods have finished; seeds on a split are averaged first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from results import read

from bayeshyper.errors import BayeshyperError, DataError

METRICS = {
    "log_likelihood": "Test log likelihood per row, in nats (higher is better)",
    "rmse": "RMSE (lower is better)",
    "crps": "CRPS (lower is better)",
    "coverage_50": "Share of test rows in their 50 % interval",
    "coverage_90": "Share of test rows in their 90 % interval",
    "fit_seconds": "Seconds of fit",
}
PAIRED = ("log_likelihood", "rmse", "crps")


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; returns the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument(
        "--methods", nargs="+", help="which, in this order; the first is compared with the others"
    )
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=list(METRICS))
    options = parser.parse_args(arguments)
    try:
        print("\n".join(tables(options.results, options.methods, options.metrics)))
    except BayeshyperError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def tables(path: Path, methods: list[str] | None, metrics: list[str]) -> Iterator[str]:
    """The lines of all tables.

    Raises:
        DataError: No results, or none of a method asked for.
    """
    rows = read(path)
    if rows.empty:
        raise DataError(f"There are no results in {path}: run uci.py first.")
    rows["label"] = rows["method"] + (" " + rows["settings"]).where(rows["settings"] != "", "")
    for protocol, part in rows.groupby("protocol", sort=False):
        labels = list(dict.fromkeys(part["label"]))
        if methods:
            unknown = [name for name in methods if name not in labels]
            if unknown:
                raise DataError(
                    f"There are no {protocol} results of {unknown[0]!r}: there are {', '.join(labels)}."
                )
            labels = methods
        yield f"# {str(protocol).capitalize()} splits\n"
        for metric in metrics:
            yield f"## {METRICS[metric]}\n"
            scores = {
                str(name): by_split(some, metric, labels) for name, some in part.groupby("data", sort=False)
            }
            yield from table(scores, labels, mean_and_error)
            if metric in PAIRED and len(labels) > 1:
                yield f"Difference to {labels[0]}, split by split:\n"
                differences = {name: wide.sub(wide[labels[0]], axis=0) for name, wide in scores.items()}
                yield from table(differences, labels[1:], lambda values: mean_and_error(values, signed=True))
        yield from audit_table(part[part["elbo_lower"].notna()])


def by_split(rows: pd.DataFrame, metric: str, labels: list[str]) -> pd.DataFrame:
    """One column per method, one row per split that all methods of this data set have."""
    wide = rows.pivot_table(index="split", columns="label", values=metric, aggfunc="mean")
    wide = wide.reindex(columns=labels)
    return wide.dropna(subset=[label for label in labels if wide[label].notna().any()])


def table(
    scores: dict[str, pd.DataFrame], labels: list[str], cell: Callable[[pd.Series], str]
) -> Iterator[str]:
    """One Markdown table: a row per data set, a column per method."""
    yield from head(["data", "splits", *labels])
    for name, wide in scores.items():
        yield line([name, str(len(wide)), *(cell(wide[label]) for label in labels)])
    yield ""


def audit_table(rows: pd.DataFrame) -> Iterator[str]:
    """Where the audited ELBO and the linearised entropy lie; nothing where nothing was audited."""
    if rows.empty:
        return
    yield "## Audit: ELBO between its bounds, and the linearised entropy beside its own (nats, means)\n"
    yield from head(
        ["data", "method", "fits", "ELBO ≥", "ELBO ≤", "linearised − lower", "linearised − upper", "flagged"]
    )
    for (name, label), some in rows.groupby(["data", "label"], sort=False):
        linearised = some["entropy_linearized"]
        numbers = [
            number(some["elbo_lower"].mean(), 1),
            number(some["elbo_upper"].mean(), 1),
            number((linearised - some["entropy_lower"]).mean(), 2, signed=True),
            number((linearised - some["entropy_upper"]).mean(), 2, signed=True),
        ]
        flagged = int((some["flagged"].astype(str) == "True").sum())
        yield line([str(name), str(label), str(len(some)), *numbers, str(flagged)])
    yield ""


def mean_and_error(values: pd.Series, *, signed: bool = False) -> str:
    """Mean ± standard error, to the digits that the error supports; a lone split has no error."""
    found = values.dropna()
    if found.empty:
        return "–"
    mean = float(found.mean())
    if len(found) < 2:
        return number(mean, 3, signed=signed)
    error = float(found.std(ddof=1)) / len(found) ** 0.5
    digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 6)) if error > 0 else 3
    return f"{number(mean, digits, signed=signed)} ± {number(error, digits)}"


def number(value: float, digits: int, *, signed: bool = False) -> str:
    """A number with a true minus sign."""
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def head(cells: list[str]) -> Iterator[str]:
    """The first two lines of a table."""
    yield line(cells)
    yield line(["---"] * len(cells))


def line(cells: list[str]) -> str:
    """A table's row."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
