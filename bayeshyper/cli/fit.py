"""`bayeshyper fit`: a table in, a model file out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayeshyper.cli.console import say
from bayeshyper.cli.options import Data, Force, Inference, Model, Seed, Settings, Target, Task, overrides
from bayeshyper.cli.output import check_file

if TYPE_CHECKING:
    from bayeshyper.estimators import HyperClassifier, HyperRegressor

__all__ = ["fit", "make_estimator"]

Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="The model file to write.", show_default="the table's name, with .bayeshyper"
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
    force: Force = False,
) -> None:
    """Fit a posterior to a table, and write it to a model file.

    Every column but the target is a feature: numbers, text, true/false and dates, with gaps where there are
    any. The target's type says whether to learn a number or a class.

    **Examples**

            bayeshyper fit houses.csv --target price
            bayeshyper fit visits.parquet --target outcome --set members=4
    """
    path = output or Path(f"{data.name.split('.')[0]}.bayeshyper")
    check_file(path, data, force=force)
    changes = overrides(settings)
    from bayeshyper.data import infer_task, read_table, split_target

    X, y = split_target(read_table(data), target)
    task = infer_task(y) if task == "auto" else task
    fitted = make_estimator(task, model=model, inference=inference, settings=changes, seed=seed).fit(X, y)
    audit = fitted.audit()
    fitted.save(path)
    say(
        f"Fitted a {task} of {target} to {len(X):,} rows and {X.shape[1]} columns in "
        f"{fitted.history_.seconds:.1f} s; ELBO {audit.elbo_lower:,.1f} to {audit.elbo_upper:,.1f} nats."
    )
    say(f"Wrote {path}. Next: bayeshyper predict {path} NEW.csv")


def make_estimator(task: str, **options: Any) -> HyperRegressor | HyperClassifier:
    """The estimator for a task; ``seed`` is what scikit-learn calls ``random_state``."""
    from bayeshyper.estimators import HyperClassifier, HyperRegressor

    kind = HyperRegressor if task == "regression" else HyperClassifier
    return kind(random_state=options.pop("seed"), **options)
