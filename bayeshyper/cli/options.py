"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bayeshyper.recipes import parse_override

__all__ = [
    "Data",
    "Force",
    "Inference",
    "Model",
    "ModelFile",
    "Seed",
    "Settings",
    "Target",
    "Task",
    "overrides",
]

Data = Annotated[
    Path, typer.Argument(metavar="TABLE", help="CSV or Parquet, one row per observation.", show_default=False)
]
ModelFile = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model file that fit has written.", show_default=False)
]
Target = Annotated[
    str, typer.Option("--target", "-t", help="The column to predict.", metavar="COLUMN", show_default=False)
]
Task = Annotated[
    Literal["auto", "regression", "classification"],
    typer.Option(
        "--task",
        help="What to predict: a number, or a class; auto reads it off the target, or the likelihood.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model", help="A model recipe, by name or path (see bayeshyper recipes).", metavar="RECIPE"
    ),
]
Inference = Annotated[
    str | None,
    typer.Option(
        "--inference",
        help="An inference recipe, by name or path; without it, the one that the model recipe names.",
        metavar="RECIPE",
        show_default=False,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change one key of a recipe, such as optimizer.steps=500; may be repeated.",
        metavar="KEY=VALUE",
        show_default=False,
    ),
]
Seed = Annotated[
    int,
    typer.Option("--seed", help="The same seed gives the same result.", min=0, max=2**32 - 1, metavar="N"),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace the output where it exists.")]


def overrides(settings: list[str] | None) -> dict[str, Any]:
    """The ``--set`` options as dotted keys and values."""
    return dict(parse_override(setting) for setting in settings or [])
