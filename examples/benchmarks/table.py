"""The results as Markdown: mean ± standard error over splits, and paired differences to a reference method.

    python examples/benchmarks/table.py results.csv --reference deep-ensemble --plot cd.svg

Each row of a table takes the splits that all its methods have finished; seeds on a split are averaged first.
Fits by Monte Carlo chains that did not converge (split R̂ too large) are left out, and that is said. The plot
ranks the methods (see ranks.py); with several kinds of splits it takes the first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from diagram import draw
from ranks import rank
from results import Job, read

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
FLOOR = "gaussian"  # the training mean and variance: what nothing should be worse than
MAX_RHAT = 1.05


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; returns the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n\n")[0])
    add = parser.add_argument
    add("results", type=Path, nargs="+", help="files of uci.py; later ones win")
    add("--methods", nargs="+", help="which, in this order")
    add("--reference", help="what the others are compared with; the first method by default")
    add("--metrics", nargs="+", choices=METRICS, default=list(METRICS))
    add("--max-rhat", type=float, default=MAX_RHAT, help="chains that agree less are left out")
    add("--plot", type=Path, help="also draw the ranks by the first metric: FILE.svg, .png or .pdf")
    add("--parquet", type=Path, help="also write all rows to this Parquet file")
    options = parser.parse_args(arguments)
    try:
        print("\n".join(report(options)))
    except (BayeshyperError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def report(options: argparse.Namespace) -> Iterator[str]:
    """The lines of everything, and the files asked for.

    Raises:
        DataError: No results, or none of a method asked for.
    """
    rows = pd.concat([read(path) for path in options.results], ignore_index=True)
    if rows.empty:
        raise DataError(f"There are no results in {options.results[0]}: run uci.py first.")
    rows = rows.drop_duplicates(list(Job._fields), keep="last")  # a later file replaces an earlier one's
    if options.parquet:
        rows.to_parquet(options.parquet, index=False)
    rows["label"] = rows["method"] + (" " + rows["settings"]).where(rows["settings"] != "", "")
    for position, (protocol, part) in enumerate(rows.groupby("protocol", sort=False)):
        labels = chosen(part, str(protocol), options.methods, options.reference)
        reference = options.reference or labels[0]
        yield f"# {str(protocol).capitalize()} splits\n"
        part = part[part["label"].isin(labels)]
        yield from unconverged(part, options.max_rhat)
        part = part[~(part["rhat"] >= options.max_rhat)]
        for metric in options.metrics:
            yield from section(part, metric, labels, reference)
        yield from audit_table(part[part["elbo_lower"].notna()])
        if options.plot and position == 0:
            metric = options.metrics[0]
            ranking = rank(by_data(part, metric, labels), higher_is_better=metric == "log_likelihood")
            draw(ranking, options.plot, f"{METRICS[metric]}, {protocol} splits")


def chosen(rows: pd.DataFrame, protocol: str, methods: list[str] | None, reference: str | None) -> list[str]:
    """The methods to show."""
    labels = list(dict.fromkeys(rows["label"]))
    wanted = [*(methods or labels), *([reference] if reference else [])]
    unknown = [name for name in wanted if name not in labels]
    if unknown:
        raise DataError(f"There are no {protocol} results of {unknown[0]!r}: there are {', '.join(labels)}.")
    return list(dict.fromkeys(wanted))


def section(rows: pd.DataFrame, metric: str, labels: list[str], reference: str) -> Iterator[str]:
    """One score: means, and what is to be said of its differences."""
    yield f"## {METRICS[metric]}\n"
    scores = by_data(rows, metric, labels)
    yield from table(scores, labels, mean_and_error)
    others = [label for label in labels if label != reference]
    if metric in PAIRED and others:
        yield f"Difference to {reference}, split by split:\n"
        differences = {name: wide.sub(wide[reference], axis=0) for name, wide in scores.items()}
        yield from table(differences, others, lambda values: mean_and_error(values, signed=True))
    if metric == "fit_seconds" and others:
        yield f"Times as long as {reference}, split by split (geometric mean):\n"
        ratios = {name: wide.div(wide[reference], axis=0) for name, wide in scores.items()}
        yield from table(ratios, others, geometric_mean)
    others = [label for label in labels if label != FLOOR]
    if metric == "log_likelihood" and FLOOR in labels and others:
        yield f"Smallest difference to {FLOOR} over the splits, and on how many it is below 0:\n"
        differences = {name: wide.sub(wide[FLOOR], axis=0) for name, wide in scores.items()}
        yield from table(differences, others, smallest)


def unconverged(rows: pd.DataFrame, limit: float) -> Iterator[str]:
    """What is said of chains: how well they agree, and which fits are left out for it."""
    for (label, name), some in rows[rows["rhat"].notna()].groupby(["label", "data"], sort=False):
        out = some[some["rhat"] >= limit]
        splits = ", ".join(str(split) for split in sorted(set(out["split"])))
        yield (
            f"{label} on {name}: split R̂ of the function's values is at most {number(some['rhat'].max(), 3)} "
            f"(median over splits {number(some['rhat'].median(), 3)}); "
            + (f"R̂ ≥ {limit:g}, so left out: split {splits}.\n" if splits else "none is left out.\n")
        )


def by_data(rows: pd.DataFrame, metric: str, labels: list[str]) -> dict[str, pd.DataFrame]:
    """A table for each data set (see `by_split`)."""
    return {str(name): by_split(some, metric, labels) for name, some in rows.groupby("data", sort=False)}


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


def geometric_mean(values: pd.Series) -> str:
    """To two significant digits or more."""
    found = values.dropna()
    if found.empty:
        return "–"
    mean = float(np.exp(np.log(found).mean()))
    return number(mean, int(np.clip(1 - np.floor(np.log10(mean)), 0, 6)))


def smallest(values: pd.Series) -> str:
    """The least of differences, and how many of them are below 0."""
    found = values.dropna()
    return (
        f"{number(found.min(), 3, signed=True)} ({(found < 0).sum()} of {len(found)})" if len(found) else "–"
    )


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
