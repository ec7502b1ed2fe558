"""`bayeshyper predict`, `sample` and `report`: what a model file is good for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayeshyper.cli.console import say
from bayeshyper.cli.options import Data, Force, ModelFile, Seed
from bayeshyper.cli.output import (
    check_file,
    check_folder,
    check_table,
    filled_folder,
    place,
    write_table,
)
from bayeshyper.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from bayeshyper.prediction import PredictiveDistribution

__all__ = ["predict", "report", "sample"]


def predict(
    model: ModelFile,
    data: Data,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The table to write: .csv, .tsv (each also .gz) or .parquet."),
    ] = Path("predictions.csv"),
    level: Annotated[
        float, typer.Option("--level", help="The probability inside the interval from lower to upper.")
    ] = 0.9,
    force: Force = False,
) -> None:
    """Predict each row of a table, with its uncertainty.

    Columns are found by name, in any order, and others are ignored. For a number, the output has the columns
    mean, std, lower and upper; for a class, prediction and one probability_CLASS per class. Rows keep their
    order.

    **Examples**

            bayeshyper predict houses.bayeshyper new.csv
            bayeshyper predict houses.bayeshyper new.csv -o new.parquet --level 0.5
    """
    if not 0 < level < 1:
        raise DataError(f"Got --level {level:g}, expected a probability between 0 and 1, such as 0.9.")
    check_table(output, data, model, force=force)
    fitted = _load(model)
    frame = _read(fitted, data)
    predictive = fitted.predictive(_features(fitted, frame, data))
    table = _as_table(predictive, level)
    output = place(output, force=force)
    write_table(table, output)
    interval = (
        f"; lower and upper hold {level:.0%} of the probability" if predictive.task == "regression" else ""
    )
    say(f"Wrote {output}: {predictive.n_rows:,} rows{interval}.")


def sample(
    model: ModelFile,
    n: Annotated[int, typer.Option("-n", help="How many weight vectors.", min=1, metavar="N")] = 100,
    output: Annotated[Path, typer.Option("--output", "-o", help="The safetensors file to write.")] = Path(
        "ensemble.safetensors"
    ),
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Draw weight vectors from the posterior: an ensemble of networks, as one safetensors file.

    **Example**

            bayeshyper sample houses.bayeshyper -n 100 -o ensemble.safetensors
    """
    check_file(output, model, force=force)
    ensemble = _load(model).sample_weights(n, seed=seed)
    output = place(output, force=force)
    ensemble.save(output)
    say(f"Wrote {output}: {n:,} draws of {ensemble.spec.size:,} weights in {len(ensemble.spec)} tensors.")


def report(
    model: ModelFile,
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")] = Path("report"),
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            help="The column with what happened.",
            show_default="the one the model was fitted to",
        ),
    ] = None,
    unfamiliar: Annotated[
        Path | None,
        typer.Option(
            "--unfamiliar",
            help="A second table, of rows unlike those it learned from: would it notice them?",
            show_default=False,
        ),
    ] = None,
    max_rows: Annotated[
        int,
        typer.Option("--max-rows", help="Of more rows than this, so many are drawn at random.", min=1),
    ] = 50_000,
    force: Force = False,
) -> None:
    """Judge a model on rows that it was not fitted to: is it calibrated, where is it not, what to do.

    Writes report.html (one file, opens offline), report.md, metrics.json and the plots.

    **Examples**

            bayeshyper report houses.bayeshyper test.csv -o report/
            bayeshyper report houses.bayeshyper test.csv --unfamiliar other-country.csv
    """
    from bayeshyper.data import split_target
    from bayeshyper.diagnostics._words import plural

    check_folder(output, force=force)
    fitted = _load(model)
    target = target or getattr(fitted, "target_name_", None)
    if target is None:
        raise DataError(f"{model} does not say what its target is called: give its column with --target.")
    X, y = split_target(_read(fitted, data, target), target)
    X = _features(fitted, X, data)
    strange = None if unfamiliar is None else _features(fitted, _read(fitted, unfamiliar), unfamiliar)
    with filled_folder(output) as folder:
        fitted.report(X, y, folder, title=f"{target} in {data.name}", unfamiliar=strange, max_rows=max_rows)
    say(f"Wrote {output / 'report.html'}, judged on {plural(min(len(y), max_rows), 'row')}.")


def _load(path: Path) -> Any:
    from bayeshyper.estimators import load

    return load(path)


def _read(fitted: Any, path: Path, target: str | None = None) -> pd.DataFrame:
    """A table whose columns of labels are read as they were when the model was fitted."""
    from bayeshyper.data import read_table

    text = set(fitted.encoder_.labelled)
    if target is not None and getattr(fitted, "classes_", None) is not None:
        text |= {target} if all(isinstance(label, str) for label in fitted.classes_.tolist()) else set()
    return read_table(path, text=text)


def _features(fitted: Any, frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The columns that a model was fitted to, in its order; where some are missing, of which file."""
    from bayeshyper.data import align_columns

    try:
        return align_columns(frame, list(fitted.feature_names_in_))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _as_table(predictive: PredictiveDistribution, level: float) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    if predictive.task == "regression":
        lower, upper = predictive.interval(level).T
        return pd.DataFrame({"mean": predictive.mean, "std": predictive.std, "lower": lower, "upper": upper})
    classes = np.asarray(predictive.classes)
    columns = {f"probability_{label}": predictive.probs[:, i] for i, label in enumerate(classes)}
    return pd.DataFrame({"prediction": classes[predictive.probs.argmax(1)], **columns})
