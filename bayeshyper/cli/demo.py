"""`bayeshyper demo`: the main job on data that scikit-learn brings along."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bayeshyper.cli.console import say, show
from bayeshyper.cli.contest import differences, enter, hold_out, standings, write_contest
from bayeshyper.cli.options import Force, Seed
from bayeshyper.cli.output import check_folder, filled_folder

__all__ = ["demo"]

# The regressor's report stands in the folder itself, the classifier's in a folder below it.
DATA_SETS = {
    "diabetes": ("regression", "How far diabetes has progressed after a year", "."),
    "breast_cancer": ("classification", "Whether a breast tumour is malignant", "classification"),
}


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")] = Path(
        "demo-report"
    ),
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Fit a regressor and a classifier to real data, and judge both; takes less than a minute.

    Each is fitted with quick settings, beside a mean-field posterior of the same network. The reports on
    held-out rows go to report.html (the regressor's) and classification/report.html.
    """
    check_folder(output, force=force)
    from bayeshyper.data import load_bundled

    with filled_folder(output) as folder:
        for name, (task, title, place) in DATA_SETS.items():
            split = hold_out(*load_bundled(name), task, fraction=0.2, seed=seed)
            say(f"{title}: {len(split.y):,} rows to fit, {len(split.y_test):,} to score.")
            entries = [
                enter(model, split, inference="quick", seed=seed, verbose=sys.stderr.isatty())
                for model in ("mlp", "mean-field")
            ]
            show(standings(entries))
            for sentence in differences(entries):
                say(sentence)
            say("")
            write_contest(folder / place, entries, split, title=title)
    say(f"Wrote {output / 'report.html'} and {output / 'classification' / 'report.html'}.")
