"""The methods by name: a recipe of ours, or a peer of the registry below."""

from __future__ import annotations

from typing import Any

from deep_ensemble import deep_ensemble
from interface import Array, Fit, Method, Setup, Standardized
from laplace import laplace
from mc_dropout import mc_dropout
from nuts import nuts
from pyro_guides import auto_iaf, auto_low_rank, auto_normal

from bayeshyper import HyperRegressor
from bayeshyper.recipes import read_recipe

DEFAULT_HIDDEN = [50]


def gaussian(X: Any, y: Array, seed: int, setup: Setup) -> Fit:
    """The training target's mean and variance for every row: what any model should beat."""
    data = Standardized(X, y)
    one_row = data.y.new_zeros(1, 1)
    return Fit(lambda X_new: data.mixture(one_row.expand(1, len(X_new)), one_row + 1.0))


def ours(recipe: str | None = None) -> Method:
    """A model recipe of bayeshyper, by name or path; None is the shipped default."""
    options = {} if recipe is None else {"model": recipe}
    width = read_recipe("models", HyperRegressor(**options).model).get("target", {}).get("hidden")

    def method(X: Any, y: Array, seed: int, setup: Setup) -> Fit:
        settings = dict(setup.settings)
        if width == DEFAULT_HIDDEN:  # a recipe with a network of its own keeps it
            settings = {"target.hidden": list(setup.hidden), **settings}
        model = HyperRegressor(**options, settings=settings, random_state=seed, verbose=False).fit(X, y)
        return Fit(model.predictive, model.history_.steps[-1], model.audit)

    return method


PEERS: dict[str, Method] = {
    "auto-iaf": auto_iaf,
    "auto-low-rank": auto_low_rank,
    "auto-normal": auto_normal,
    "deep-ensemble": deep_ensemble,
    "gaussian": gaussian,
    "laplace": laplace,
    "mc-dropout": mc_dropout,
    "nuts": nuts,
}


def find(name: str) -> Method:
    """A peer, the shipped default (``bayeshyper``), or the model recipe of that name or path.

    Raises:
        RecipeError: There is no such recipe.
    """
    if name in PEERS:
        return PEERS[name]
    return ours(None if name == "bayeshyper" else name)
