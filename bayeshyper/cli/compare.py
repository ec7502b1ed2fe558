"""`bayeshyper compare`: the hypernetwork beside the baselines, on the same held-out rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bayeshyper.cli.console import complain, say, show
from bayeshyper.cli.contest import (
    BASELINES,
    RECIPES,
    check_names,
    differences,
    enter_all,
    hold_out,
    standings,
    write_contest,
)
from bayeshyper.cli.fit import choose_task
from bayeshyper.cli.options import Data, Force, Inference, Seed, Settings, Target, Task, overrides
from bayeshyper.cli.output import check_folder, filled_folder
from bayeshyper.errors import DataError

__all__ = ["compare"]

ENTRANTS = [*RECIPES, *BASELINES]


def compare(
    data: Data,
    target: Target,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")] = Path("comparison"),
    task: Task = "auto",
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="A model recipe, by name or path, or map, deep-ensemble, mc-dropout or laplace; may be "
            "repeated. The report is the first one's.",
            metavar="MODEL",
            show_default=", ".join(ENTRANTS),
        ),
    ] = None,
    inference: Inference = None,
    settings: Settings = None,
    test_fraction: Annotated[
        float, typer.Option("--test-fraction", help="The share of the rows that is held out to score on.")
    ] = 0.2,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Compare the hypernetwork posterior with six other ways to the same network's uncertainty.

    Holds out rows at random, fits each model to the others, scores all on the held-out rows, and writes the
    first one's report with the scores of the rest beside it: mean-field and low-rank Gaussian posteriors,
    maximum a posteriori, a deep ensemble, MC dropout and Laplace, all with the same network and likelihood.
    A few hundred rows take about a minute. What cannot be fitted is left out, and why is said.

    **Examples**

            bayeshyper compare houses.csv --target price
            bayeshyper compare houses.csv --target price --model mlp --model deep-ensemble
            bayeshyper compare houses.csv --target price --model mlp --model my-model.toml
            bayeshyper compare shops.csv --target visitors --set likelihood.family=poisson
    """
    if not 0 < test_fraction < 1:
        raise DataError(
            f"Got --test-fraction {test_fraction:g}, expected a share between 0 and 1, such as 0.2."
        )
    check_folder(output, force=force)
    names = model or ENTRANTS
    check_names(names)
    changes = overrides(settings)
    from bayeshyper.data import read_table, split_target

    X, y = split_target(read_table(data), target)
    split = hold_out(X, y, choose_task(task, y, changes), fraction=test_fraction, seed=seed)
    entries, left_out = enter_all(
        names, split, inference=inference, settings=changes, seed=seed, verbose=sys.stderr.isatty()
    )
    for name, reason in left_out.items():
        complain("Warning", f"{name} is left out: {reason}")
    say(f"A {split.task} of {target}: fitted to {len(split.y):,} rows, scored on {len(split.y_test):,}.")
    show(standings(entries))
    for sentence in differences(entries):
        say(sentence)
    about = {"split": f"{len(split.y_test):,} rows held out at random to score on (seed {seed})"}
    about |= {f"without {name}": reason for name, reason in left_out.items()}
    with filled_folder(output) as folder:
        write_contest(folder, entries, split, title=f"{target} in {data.name}", about=about)
    say(f"Wrote {output / 'report.html'}.")
