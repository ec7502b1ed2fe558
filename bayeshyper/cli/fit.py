"""`bayeshyper fit`: a table in, a model file out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayeshyper.cli.console import say
from bayeshyper.cli.options import Data, Force, Inference, Model, Seed, Settings, Target, Task, overrides
from bayeshyper.cli.output import check_file, check_names, place

if TYPE_CHECKING:
    import pandas as pd

    from bayeshyper.estimators import HyperClassifier, HyperRegressor

__all__ = ["choose_task", "fit", "make_estimator"]

Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="The model file to write.", show_default="the table's name, with .bayeshyper"
    ),
]

Every = Annotated[
    float,
    typer.Option(
        "--checkpoint-every",
        help="Seconds between two states of the fit, kept beside the output: if it is ended, the same "
        "command goes on from there.",
        metavar="SECONDS",
        min=0.1,
    ),
]


def fit(
    data: Data,
    target: Target,
    output: Output = None,
    task: Task = "auto",
    model: Model = "mlp",
    inference: Inference = None,
    settings: Settings = None,
    seed: Seed = 0,
    checkpoint_every: Every = 60.0,
    force: Force = False,
) -> None:
    """Fit a posterior to a table, and write it to a model file.

    Every column but the target is a feature: numbers, text, true/false and dates, with gaps where there are
    any. The target's type says whether to learn a number or a class, unless a likelihood is set: gaussian,
    heteroscedastic, student-t or mixture for any number, poisson or negative-binomial for counts, beta for
    shares, categorical or ordinal for classes.

    A fit that is ended, by Ctrl-C or a power cut, is not lost: the same command goes on with it.

    **Examples**

            bayeshyper fit houses.csv --target price
            bayeshyper fit visits.parquet --target outcome --set members=4
            bayeshyper fit shops.csv --target visitors --set likelihood.family=poisson
    """
    path = output or Path(f"{data.name.split('.')[0]}.bayeshyper")
    check_file(path, data, force=force)
    changes = overrides(settings)
    from bayeshyper import Checkpoint
    from bayeshyper.data import read_table, split_target

    checkpoint = Checkpoint(f"{path}.checkpoint", seconds=checkpoint_every, replace=force)
    check_names(Path(f"{checkpoint.files[-1]}.damaged"))  # the longest that a fit may need
    X, y = split_target(read_table(data), target)
    chosen = choose_task(task, y, changes)
    estimator = make_estimator(chosen, model=model, inference=inference, settings=changes, seed=seed)
    try:
        fitted = estimator.fit(X, y, checkpoint=checkpoint)
        audit = fitted.audit()
        path = place(path, force=force)
        fitted.save(path)
    except KeyboardInterrupt as interrupt:  # or Terminated
        if str(interrupt):
            raise  # it says where the fit stopped
        on = "starts anew" if checkpoint.owner() is None else f"goes on from its state in {checkpoint.path}"
        raise type(interrupt)(f"{path} may not hold this fit yet; the same command {on}.") from None
    say(
        f"Fitted a {chosen} of {target} to {len(X):,} rows and {X.shape[1]} columns in "
        f"{fitted.history_.seconds:.1f} s; ELBO {audit.elbo_lower:,.1f} to {audit.elbo_upper:,.1f} nats."
    )
    say(f"Wrote {path}. Next: bayeshyper predict {path} NEW.csv")


def choose_task(task: str, y: pd.Series, settings: Mapping[str, Any]) -> str:
    """What to learn: as asked for, or what the likelihood that is set is for, or read off the target."""
    import pandas as pd

    from bayeshyper.data import infer_task
    from bayeshyper.models import LIKELIHOODS

    if task != "auto":
        return task
    likelihood, read = LIKELIHOODS.get(settings.get("likelihood.family", "auto")), infer_task(y)
    if likelihood is None:
        return read
    # Numbers with fractions are no classes, whatever likelihood is set; the estimator says so by its name.
    fractions = read == "regression" and bool((pd.to_numeric(y, errors="coerce").dropna() % 1 != 0).any())
    return read if fractions else likelihood.task


def make_estimator(task: str, **options: Any) -> HyperRegressor | HyperClassifier:
    """The estimator for a task; ``seed`` is what scikit-learn calls ``random_state``."""
    from bayeshyper.estimators import HyperClassifier, HyperRegressor

    kind = HyperRegressor if task == "regression" else HyperClassifier
    return kind(random_state=options.pop("seed"), **options)
