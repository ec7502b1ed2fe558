"""From recipes to objects: the network, prior, likelihood and hypernetwork that a recipe names."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bayeshyper._vocabulary import fits
from bayeshyper.errors import RecipeError
from bayeshyper.hypernets import HypernetworkSettings, head_options
from bayeshyper.inference import (
    ENTROPIES,
    CalibrationSettings,
    ImplicitGuide,
    KLSettings,
    OptimizerSettings,
    StoppingSettings,
    SVISettings,
    WarmStartSettings,
)
from bayeshyper.models import LIKELIHOODS, NETWORKS, PRIORS, BayesianModel, Likelihood, Target, TargetFacts
from bayeshyper.threads import seeded

__all__ = ["build_guide", "build_model", "build_settings", "check_n_draws", "reason_against_start"]

Recipe = Mapping[str, Any]

ONE_NUMBER = TargetFacts()  # per row: a standardised regression


def check_n_draws(n_draws: Any) -> None:
    """Refuse a number of draws that is none, before anything is trained.

    Raises:
        RecipeError: It is no whole number, or below 1.

    Example:
        >>> check_n_draws(0)
        Traceback (most recent call last):
        bayeshyper.errors.RecipeError: Got n_draws = 0, expected a whole number of 1 or more.
    """
    if not fits(n_draws, int) or n_draws < 1:
        raise RecipeError(f"Got n_draws = {n_draws!r}, expected a whole number of 1 or more.")


def build_settings(inference: Recipe) -> SVISettings:
    """The settings that an inference recipe spells out."""
    nested = {
        "warm_start": WarmStartSettings,
        "optimizer": OptimizerSettings,
        "calibration": CalibrationSettings,
        "kl": KLSettings,
        "stopping": StoppingSettings,
    }
    tables = {name: kind(**inference.get(name, {})) for name, kind in nested.items()}
    plain = {name: value for name, value in inference.items() if name not in nested}
    return SVISettings(**plain, **tables)


def build_model(
    recipe: Recipe,
    *,
    rows: int,
    features: int,
    network: nn.Module | None,
    seed: int,
    facts: TargetFacts = ONE_NUMBER,
) -> BayesianModel:
    """The Bayesian model that a model recipe spells out.

    Args:
        recipe: Tables ``target``, ``prior``, ``likelihood``.
        rows: N, the training rows.
        features: Encoded inputs per row.
        network: A module of the user's instead of the recipe's.
        seed: Of the network's initial weights.
        facts: What is known of the training targets.
    """
    likelihood = _build_likelihood(recipe.get("likelihood", {}), facts)
    table = dict(recipe.get("target", {}))
    bayesian, pretrained = table.pop("bayesian", ["*"]), table.pop("pretrained", None)
    if network is None:
        kind = NETWORKS[table.pop("network", "mlp")]
        with seeded(seed):
            network = kind(features, likelihood.n_outputs, **table)
    prior = dict(recipe.get("prior", {}))
    return BayesianModel(
        Target(network, bayesian, pretrained=pretrained),
        PRIORS[prior.pop("family", "fan-in")](**prior),
        likelihood,
        num_data=rows,
    ).float()


def build_guide(
    model: BayesianModel,
    recipe: Recipe,
    settings: SVISettings,
    *,
    seed: int = 0,
    means: Tensor | None = None,
) -> ImplicitGuide:
    """The guide around mean weights, ``(M, D)``; None for fresh initial ones, a set per member."""
    table = dict(recipe.get("hypernetwork", {}))
    options = {key: table.pop(key) for key in head_options(table.get("head", "dense")) if key in table}
    with seeded(seed):  # what the constructor draws is drawn again below; nobody else's random state moves
        chosen = HypernetworkSettings(**table, options=options)
        chosen.check_size(model.spec, settings.members)  # before the members' weights are made
        means = initial_means(model, settings.members, seed) if means is None else means
        hypernetwork = chosen.build(means, model.prior.scale, model.spec)
    hypernetwork.reset_parameters(torch.Generator().manual_seed(seed))
    return ImplicitGuide(
        model,
        hypernetwork,
        entropy=ENTROPIES[settings.entropy](hypernetwork, **settings.entropy_options),
        local=settings.local_reparameterization,
    ).float()


def reason_against_start(
    model: BayesianModel, guide: ImplicitGuide, settings: SVISettings, x: Tensor
) -> str | None:
    """Why the natural-gradient start of a recipe is not for a model; None where it is.

    Args:
        model: The model.
        guide: Its guide.
        settings: The recipe; its ``otherwise`` takes over where there is a reason.
        x: All rows.
    """
    limit = settings.warm_start.natural_limit
    if model.spec.size > limit:
        return f"starts with at most {limit:,} weights"
    if not model.prior.is_normal:
        return "starts with Normal priors of given scales"
    if not guide.hypernetwork.stored_whole:
        return "starts with a dense head that stores all of it"
    if any(parameter.requires_grad for parameter in model.target.parameters()):
        return "starts with no other weights to train"
    if not model.target.vectorizes(x):  # runs the network, and so comes late
        return "starts with networks that vmap can run"
    if settings.kl.temperature == "auto" and settings.calibration.rows_for(len(x)) == 0:
        return "starts with rows to hold out, of which there are too few"
    return None


def initial_means(model: BayesianModel, members: int, seed: int) -> Tensor:
    """Where each member's mean weights start, ``(M, D)``.

    The first member starts at the network as it is (perhaps pretrained); the others at new draws of its own
    initialisation, as far as its modules know how to reset themselves. Latents start at their prior mean.
    """
    network = copy.deepcopy(model.target.network)
    rows = []
    for member in range(members):
        if member > 0:
            with seeded(seed + member):
                for module in network.modules():
                    reset = getattr(module, "reset_parameters", None)
                    if callable(reset):
                        reset()
        parameters = dict(network.named_parameters())
        row = model.prior.loc.clone()
        chosen = {name: parameters[name].detach() for name in model.target.spec.names}
        weights = model.target.spec.flatten(chosen)
        row[: len(weights)] = weights
        rows.append(row)
    return torch.stack(rows)


def _build_likelihood(table: Recipe, facts: TargetFacts) -> Likelihood:
    options = dict(table)
    family = options.pop("family", "auto")
    task = "classification" if facts.n_classes else "regression"
    if family == "auto":
        family = _usual(facts)
    kind = LIKELIHOODS[family]
    if kind.task != task:
        fitting = [name for name, other in LIKELIHOODS.items() if other.task == task]
        raise RecipeError(f"The likelihood {family!r} is not for {task}; choose one of {', '.join(fitting)}.")
    likelihood = kind.for_target(facts, **options)
    if facts.n_columns > 1 and likelihood.event_shape != (facts.n_columns,):
        raise RecipeError(
            f"The likelihood {family!r} is for a single number per row, but the target has "
            f"{facts.n_columns} columns; use 'multivariate-gaussian', or fit each column alone."
        )
    return likelihood


def _usual(facts: TargetFacts) -> str:
    """The family that "auto" means."""
    if facts.n_classes:
        return "bernoulli" if facts.n_classes == 2 else "categorical"
    return "gaussian" if facts.n_columns == 1 else "multivariate-gaussian"
