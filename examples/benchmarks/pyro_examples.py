"""Public Pyro examples with their autoguide swapped for ours: one line is changed, and the ELBOs compared.

    python pyro_examples.py                     # all examples, both guides, three seeds
    python pyro_examples.py banana --seeds 1    # the examples of that name alone
    python pyro_examples.py --table             # what stands in results/pyro_examples.csv

Each example is run as its file does it (model, optimiser, learning rate, steps, particles), with its own
guide and with ``AutoHypernetwork(model)``, nothing else given. The ELBO is then taken on all its data, by
``Trace_ELBO`` or ``TraceEnum_ELBO``, over so many particles that its standard error is small.
"""

from __future__ import annotations

import argparse
import csv
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pandas as pd
import pyro
import torch
from public_examples import EXAMPLES, PublicExample, example
from pyro.infer import ELBO, SVI
from pyro.infer.autoguide import AutoGuide
from results import versions

from bayeshyper import AutoHypernetwork

FILE = Path(__file__).parent / "results" / "pyro_examples.csv"
COLUMNS = ("example", "guide", "seed", "elbo", "error", "seconds", "source", "versions")
EVALUATIONS, VECTORIZED = 2000, 100  # particles of the final ELBO, and how many at once
OURS = "AutoHypernetwork"


def run(made: PublicExample, guide_of: Callable[..., AutoGuide], seed: int) -> tuple[float, float, float]:
    """Train a guide as the example does: its ELBO, the standard error of that, and the seconds it took."""
    pyro.clear_param_store()
    pyro.set_rng_seed(seed)
    guide = guide_of(made.guided or made.model)
    elbo = made.elbo(num_particles=made.particles, vectorize_particles=made.particles > 1)
    svi = SVI(made.model, guide, made.optimizer(), elbo)
    batches: Iterator[tuple[Any, ...]] = made.batches() if made.batches else repeat(made.data)
    start = time.perf_counter()
    for _ in range(made.steps):
        svi.step(*next(batches))
    seconds = time.perf_counter() - start
    mean, error = evaluate(made, guide)
    return mean, error, seconds


def evaluate(made: PublicExample, guide: AutoGuide) -> tuple[float, float]:
    """The ELBO on all data, and its standard error over repeated takes of it."""
    times = EVALUATIONS // VECTORIZED if made.vectorized else EVALUATIONS
    elbo: ELBO = (
        made.elbo(num_particles=VECTORIZED, vectorize_particles=True) if made.vectorized else made.elbo()
    )
    with torch.no_grad():
        takes = torch.tensor([-elbo.loss(made.model, guide, *made.data) for _ in range(times)])
    return takes.mean().item(), takes.std().item() / math.sqrt(times)


def guides(made: PublicExample) -> dict[str, Callable[..., AutoGuide]]:
    """The example's own guide and ours, by name."""
    own = getattr(made.guide, "func", made.guide)
    name = own.__name__ if isinstance(own, type) else "AutoNormalizingFlow"
    return {name: made.guide, OURS: AutoHypernetwork}


def table(rows: pd.DataFrame) -> str:
    """One line per example: both ELBOs, ours minus its own and the standard error of that, over the seeds."""
    lines = [
        "| example | file | its guide | its ELBO | ours | difference | |",
        "|---|---|---|---:|---:|---:|---|",
    ]
    for name in [name for name in EXAMPLES if name in set(rows["example"])]:
        of = rows[rows["example"] == name]
        ours, own = of[of["guide"] == OURS], of[of["guide"] != OURS]
        if ours.empty or own.empty:
            continue
        difference = ours["elbo"].mean() - own["elbo"].mean()
        error = math.hypot(standard_error(ours), standard_error(own))
        verdict = "within noise" if abs(difference) < 2 * error else "better" if difference > 0 else "worse"
        cells = (
            name,
            f"`{of['source'].iloc[0].split('/')[-1]}`",
            own["guide"].iloc[0],
            f"{own['elbo'].mean():.3f}",
            f"{ours['elbo'].mean():.3f}",
            f"{difference:+.3f} ± {error:.3f}",
            verdict,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def standard_error(rows: pd.DataFrame) -> float:
    """Of the mean over seeds: of how much the seeds differ, or of the ELBO's own noise where that is more."""
    within = math.sqrt((rows["error"] ** 2).mean() / len(rows))
    between = rows["elbo"].std() / math.sqrt(len(rows)) if len(rows) > 1 else 0.0
    return max(within, between)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("examples", nargs="*", help="parts of the names of examples; all where none is given")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--only", choices=("own", "ours"), help="the examples' own guides alone, or ours")
    parser.add_argument(
        "--table", action="store_true", help="print the table of finished runs and do no more"
    )
    options = parser.parse_args()
    logging.getLogger("pyro").setLevel(logging.WARNING)
    chosen = [n for n in EXAMPLES if not options.examples or any(part in n for part in options.examples)]
    if not options.table:
        measure(chosen, options.seeds, options.out, options.only)
    print(table(pd.read_csv(options.out)))


def measure(names: list[str], seeds: int, path: Path, only: str | None) -> None:
    """Append a row for every run that has none yet."""
    done = set()
    if path.exists():
        done = set(pd.read_csv(path)[["example", "guide", "seed"]].itertuples(index=False, name=None))
    else:
        path.write_text(",".join(COLUMNS) + "\n")
    for name in names:
        made = example(name)
        for guide_name, guide_of in guides(made).items():
            for seed in range(seeds):
                if (name, guide_name, seed) in done or only == ("own" if guide_name == OURS else "ours"):
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # Pyro's, of enumeration
                    elbo, error, seconds = run(made, guide_of, seed)
                print(
                    f"{name:28} {guide_name:24} {seed}  {elbo:12.4f} ± {error:.4f}  {seconds:6.1f} s",
                    flush=True,
                )
                row = (
                    name,
                    guide_name,
                    seed,
                    f"{elbo:.6g}",
                    f"{error:.3g}",
                    f"{seconds:.1f}",
                    made.source,
                    versions(),
                )
                with path.open("a", newline="") as file:
                    csv.writer(file, lineterminator="\n").writerow(row)


if __name__ == "__main__":
    main()
