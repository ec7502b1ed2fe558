"""Recipes: what is learned, and how, as TOML files to copy and edit.

A *model* recipe (the repository's folder ``models/``) has the tables ``[target] [prior] [likelihood]
[hypernetwork]`` and names the *inference* recipe (folder ``inference/``) that it is trained with. Their keys
are the arguments of the classes that they set up, so this module has no vocabulary of its own: it reads
the classes' signatures (``_vocabulary.py``).
"""

from __future__ import annotations

import copy
import difflib
import itertools
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayeshyper._vocabulary import DEFAULTS, Kind, choices, expected, fits, leaves, unknown, vocabulary
from bayeshyper.errors import RecipeError

__all__ = [
    "apply_overrides",
    "check_recipe",
    "describe_recipe",
    "list_recipes",
    "parse_override",
    "read_recipe",
]

Recipe = dict[str, Any]

_MODEL_TABLES = ("target", "prior", "likelihood", "hypernetwork")


def list_recipes(kind: Kind) -> list[str]:
    """The names of the ready-made recipes of one kind.

    Example:
        >>> "mlp" in list_recipes("models"), "svi" in list_recipes("inference")
        (True, True)
    """
    return sorted(path.stem for path in _folder(kind).glob("*.toml"))


def describe_recipe(kind: Kind, name: str) -> str:
    """The comment that a ready-made recipe opens with, on one line.

    Example:
        >>> describe_recipe("models", "mlp").startswith("The default")
        True
    """
    lines = _ready_made(kind, name).read_text(encoding="utf-8").splitlines()
    return " ".join(
        line[1:].strip() for line in itertools.takewhile(lambda line: line.startswith("#"), lines)
    )


def read_recipe(kind: Kind, recipe: str | os.PathLike[str] | Mapping[str, Any]) -> Recipe:
    """Read a recipe by name or path, or copy one that is a mapping already; checked.

    Args:
        kind: ``"models"`` or ``"inference"``.
        recipe: The name of a ready-made recipe, the path of a TOML file, or a mapping.

    Raises:
        RecipeError: No such recipe, a file that is not TOML, an unknown key, or a value of the wrong type.

    Example:
        >>> read_recipe("models", "mlp")["target"]["hidden"]
        [50]
    """
    if isinstance(recipe, Mapping):
        check_recipe(kind, recipe)
        return copy.deepcopy(dict(recipe))
    path = Path(recipe) if _is_path(recipe) else _ready_made(kind, str(recipe))
    try:
        read: Recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RecipeError(f"Cannot read the recipe {path}: {reason}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"The recipe {path} is not valid TOML: {error}.") from error
    try:
        check_recipe(kind, read)
    except RecipeError as error:
        raise RecipeError(f"In the recipe {path}: {error}") from None
    return read


def check_recipe(kind: Kind, recipe: Mapping[str, Any]) -> None:
    """Hold a recipe against the signatures of the classes that it sets up.

    Raises:
        RecipeError: An unknown key, named with the nearest one, or a value of the wrong type.

    Example:
        >>> check_recipe("models", {"target": {"hiden": [50]}})
        Traceback (most recent call last):
        bayeshyper.errors.RecipeError: Unknown key target.hiden; the nearest is target.hidden.
    """
    chosen = dict(leaves(recipe))
    first = choices(kind)  # which prior, say, comes first: the other keys of its table depend on it
    known = vocabulary(kind, chosen)
    for key, value in sorted(chosen.items(), key=lambda item: item[0] not in first):
        if key not in known:
            raise RecipeError(unknown(key, known))
        if not fits(value, known[key]):
            shown = str(value).lower() if isinstance(value, bool) else repr(value)
            raise RecipeError(f"{key}: got {shown}, expected {expected(known[key])}.")


def apply_overrides(
    model: Mapping[str, Any], inference: Mapping[str, Any], overrides: Mapping[str, Any]
) -> tuple[Recipe, Recipe]:
    """Both recipes with dotted keys set in whichever of them has the key.

    Args:
        model: A model recipe.
        inference: An inference recipe.
        overrides: Dotted key → value, such as ``{"hypernetwork.noise_dim": 8, "optimizer.steps": 500}``.

    Returns:
        Changed copies of the model recipe and of the inference recipe.

    Raises:
        RecipeError: A key that neither recipe knows, or a value of the wrong type.

    Example:
        >>> model, inference = apply_overrides({}, {}, {"hypernetwork.noise_dim": 8, "optimizer.steps": 500})
        >>> model, inference
        ({'hypernetwork': {'noise_dim': 8}}, {'optimizer': {'steps': 500}})
    """
    changed = copy.deepcopy(dict(model)), copy.deepcopy(dict(inference))
    before, wanted = dict(leaves(model)), dict(leaves(overrides))
    known = {
        **vocabulary("models", {**before, **wanted}),
        **vocabulary("inference", {**dict(leaves(inference)), **wanted}),
    }
    del known["inference"]  # it says which recipe the other one is, and that has been read by now
    for key in wanted:
        if key not in known:
            raise RecipeError(unknown(key, known))
    for key in choices("models"):
        if key in wanted and wanted[key] != before.get(key, DEFAULTS[key]):
            name = key.split(".")[0]
            # Another prior, say, has other arguments; most of a hypernetwork's do not depend on its head.
            table = changed[0].get(name, {}) if name == "hypernetwork" else {}
            changed[0][name] = {leaf: value for leaf, value in table.items() if f"{name}.{leaf}" in known}
    if wanted.get("entropy", before_too := inference.get("entropy", DEFAULTS["entropy"])) != before_too:
        changed[1].pop("entropy_options", None)
    for key, value in wanted.items():
        *parents, leaf = key.split(".")
        table = changed[0 if key.split(".")[0] in _MODEL_TABLES else 1]
        for parent in parents:
            table = table.setdefault(parent, {})
        table[leaf] = value
    check_recipe("models", changed[0])
    check_recipe("inference", changed[1])
    return changed


def parse_override(text: str) -> tuple[str, Any]:
    """Split the command line's ``key=value``; the value is read as TOML, or else is plain text.

    Raises:
        RecipeError: No ``=`` or nothing before it.

    Example:
        >>> parse_override("optimizer.learning_rate=3e-3"), parse_override("target.hidden=[50, 50]")
        (('optimizer.learning_rate', 0.003), ('target.hidden', [50, 50]))
        >>> parse_override("likelihood.family=student-t")
        ('likelihood.family', 'student-t')
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not key or not equals:
        raise RecipeError(f"Got the setting {text!r}, expected key=value, such as optimizer.steps=500.")
    try:
        return key, tomllib.loads(f"value = {' '.join(value.splitlines())}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def _folder(kind: Kind) -> Path:
    """A wheel carries the recipes inside the package; in the repository they stand beside it."""
    package = Path(__file__).parent
    inside = package / "_recipes" / kind
    return inside if inside.is_dir() else package.parent / kind


def _is_path(recipe: str | os.PathLike[str]) -> bool:
    return not isinstance(recipe, str) or recipe.endswith(".toml") or Path(recipe).name != recipe


def _ready_made(kind: Kind, name: str) -> Path:
    names = list_recipes(kind)
    if name in names:
        return _folder(kind) / f"{name}.toml"
    label = "model" if kind == "models" else "inference"
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"; the nearest is {nearest[0]}" if nearest else ""
    raise RecipeError(
        f"No {label} recipe is called {name}{hint}: there are {', '.join(names)}, "
        "or give the path of a .toml file."
    )
