"""Several models on the same held-out rows: fitted, scored, put in a table and in a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bayeshyper.cli.fit import make_estimator
from bayeshyper.errors import BayeshyperError, DataError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from bayeshyper.diagnostics import Evaluation

__all__ = [
    "BASELINES",
    "RECIPES",
    "Entry",
    "Split",
    "check_names",
    "differences",
    "enter",
    "enter_all",
    "hold_out",
    "standings",
    "write_contest",
]

RECIPES = {"mlp": "hypernetwork", "mean-field": "mean field", "low-rank": "low rank"}
# Those of bayeshyper.inference.baselines, which help need not wait for.
BASELINES = {
    "map": "MAP",
    "deep-ensemble": "deep ensemble",
    "mc-dropout": "MC dropout",
    "laplace": "Laplace",
}
SHOWN = {
    "regression": {"crps": "CRPS", "rmse": "RMSE", "coverage_90": "In 90 %"},
    "classification": {"brier": "Brier", "accuracy": "Accuracy", "ece": "ECE"},
}


class Split(NamedTuple):
    """A table in two parts: one to fit, one to score."""

    task: str
    X: pd.DataFrame
    y: pd.Series
    X_test: pd.DataFrame
    y_test: pd.Series


@dataclass(frozen=True)
class Entry:
    """One model, fitted and scored."""

    label: str
    fitted: Any
    evaluation: Evaluation


def hold_out(X: pd.DataFrame, y: pd.Series, task: str, *, fraction: float, seed: int) -> Split:
    """Set a random share of the rows aside, with each class in its proportion where there are enough.

    Raises:
        DataError: Fewer than two rows on either side.
    """
    from sklearn.model_selection import train_test_split

    held = math.ceil(fraction * len(y))
    kept = len(y) - held
    if min(held, kept) < 2:
        raise DataError(
            f"Got {len(y)} rows, of which {held} would be held out; expected 2 at least on either side."
        )
    classes = y.value_counts()
    proportional = task == "classification" and classes.min() >= 2 and len(classes) <= min(held, kept)
    stratify = y if proportional and not y.isna().any() else None
    X, X_test, y, y_test = train_test_split(X, y, test_size=held, random_state=seed, stratify=stratify)
    return Split(task, X, y, X_test, y_test)


def check_names(names: Sequence[str]) -> None:
    """Read every recipe before the first fit, which may take a while.

    Raises:
        DataError: A name stands twice.
        RecipeError: There is no such recipe, or it is wrong.
    """
    from bayeshyper.recipes import read_recipe

    for place, name in enumerate(names):
        if name in names[:place]:
            raise DataError(f"Got --model {name} twice, expected each model once.")
        if name not in BASELINES:
            read_recipe("models", name)


def enter(
    name: str, split: Split, *, inference: str | None = None, settings: Any = None, **options: Any
) -> Entry:
    """Fit a model recipe, or a baseline, to the one part, and score it on the other."""
    options["settings"] = settings
    if name in BASELINES:
        from bayeshyper.baselines import BaselineClassifier, BaselineRegressor

        kind = BaselineRegressor if split.task == "regression" else BaselineClassifier
        estimator: Any = kind(name, random_state=options.pop("seed"), **options)
    else:
        estimator = make_estimator(split.task, model=name, inference=inference, **options)
    fitted = estimator.fit(split.X, split.y)
    evaluation = fitted.evaluate(split.X_test, split.y_test)
    label = {**RECIPES, **BASELINES}.get(name, Path(name).stem)
    return Entry(label, fitted, evaluation)


def enter_all(names: Sequence[str], split: Split, **options: Any) -> tuple[list[Entry], dict[str, str]]:
    """Enter each; those that cannot be fitted are left out.

    Returns:
        The entries, and the reason for each name that is left out.

    Raises:
        BayeshyperError: All of them are; it is the first one's reason.
    """
    entries: list[Entry] = []
    failures: dict[str, BayeshyperError] = {}
    for name in names:
        try:
            entries.append(enter(name, split, **options))
        except BayeshyperError as error:
            failures[name] = error
    if not entries:
        raise next(iter(failures.values()))
    return entries, {name: str(error) for name, error in failures.items()}


def standings(entries: Sequence[Entry]) -> Table:
    """The scores, a row per entry."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from bayeshyper.plain import plain

    shown = SHOWN[entries[0].evaluation.task]
    table = Table("Model", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Log score (95 %)", *shown.values(), "Time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in entries:
        score = entry.evaluation["log_score"]
        interval = f" ({_number(score.lower)} … {_number(score.upper)})" if score.lower is not None else ""
        table.add_row(
            Text(plain(entry.label)),  # a recipe of one's own may be called [red]
            _number(score.value) + interval,
            *(_number(entry.evaluation[name].value, entry.evaluation[name].unit) for name in shown),
            f"{entry.fitted.history_.seconds:.1f} s",
        )
    return table


def differences(entries: Sequence[Entry]) -> list[str]:
    """How the first entry does against each of the others, row by row."""
    from bayeshyper.diagnostics import paired_difference

    first, *others = entries
    sentences = []
    for other in others:
        gap = paired_difference(first.evaluation, other.evaluation)
        if gap.value is None or gap.lower is None or gap.upper is None:
            sentences.append(f"{first.label} over {other.label}: {gap.reason}")
            continue
        doubt = "" if gap.lower > 0 or gap.upper < 0 else ", which chance alone may explain"
        sentences.append(
            f"{first.label} over {other.label}: {gap.value:+.3f} nats per row "
            f"(95 %: {gap.lower:+.3f} … {gap.upper:+.3f}){doubt}."
        )
    return sentences


def write_contest(
    folder: Path,
    entries: Sequence[Entry],
    split: Split,
    *,
    title: str,
    about: Mapping[str, str] | None = None,
) -> None:
    """The report of the first entry, beside the scores of the others; ``about`` is added to what it says."""
    first, *others = entries
    first.fitted.report(
        split.X_test,
        split.y_test,
        folder,
        title=title,
        about=about,
        comparisons={entry.label: entry.evaluation for entry in others},
        name=first.label,
    )


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "–"
    if unit == "share":
        return f"{100 * value:.1f} %"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.1f}"
