"""Guides against targets: each pair is fitted once, its rows appended to a CSV that a table is made of."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

Job = tuple[str, str]


def parser(
    about: str, posteriors: Iterable[str], guides: Iterable[str], steps: int, results: Path
) -> argparse.ArgumentParser:
    """What such a script takes on the command line."""
    made = argparse.ArgumentParser(description=about.partition("\n\n")[0])
    names, makers = list(posteriors), list(guides)
    made.add_argument("--posteriors", nargs="+", default=names, choices=names, metavar="NAME")
    made.add_argument("--guides", nargs="+", default=makers, choices=makers, metavar="GUIDE")
    made.add_argument("--steps", type=int, default=steps)
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--jobs", type=int, default=1)
    made.add_argument("--out", type=Path, default=results)
    made.add_argument("--table", action="store_true", help="print the table, and write it beside the CSV")
    return made


def run(
    options: argparse.Namespace,
    fits: Callable[[Job], Sequence[Any]],
    lines: Callable[[pd.DataFrame], list[str]],
) -> None:
    """Fit what is not in the file yet, append it, and make the table.

    Args:
        options: Of `parser`.
        fits: From a posterior's and a guide's name to rows, which are dataclasses; it is called in other
            processes.
        lines: From all rows to the table in Markdown.
    """
    if not options.table:
        jobs = list(remaining(options.posteriors, options.guides, options.out))
        with ProcessPoolExecutor(options.jobs) as pool:
            for number, (job, rows) in enumerate(zip(jobs, pool.map(fits, jobs), strict=True), start=1):
                table = pd.DataFrame([asdict(row) for row in rows])
                table.to_csv(options.out, mode="a", header=not options.out.exists(), index=False)
                print(f"{number}/{len(jobs)} {', '.join(job)}: ELBO {rows[0].elbo:.3f}", flush=True)
    table = "\n".join(lines(pd.read_csv(options.out)))
    print(table)
    options.out.with_suffix(".md").write_text(table + "\n", encoding="utf-8")


def remaining(posteriors: list[str], guides: list[str], path: Path) -> Iterator[Job]:
    """Jobs that are not in the file yet."""
    known = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["posterior", "guide"])
    done = set(zip(known.posterior, known.guide, strict=True))
    yield from ((name, guide) for name in posteriors for guide in guides if (name, guide) not in done)
