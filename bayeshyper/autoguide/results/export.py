"""What a guide found, as ArviZ takes it: for any Pyro model, which is run at each of the guide's draws."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import ArrayLike
from pyro import poutine
from torch import Tensor

from bayeshyper.autoguide.checks import check_count
from bayeshyper.autoguide.model.admission import check_arguments
from bayeshyper.autoguide.model.runs import Node, Nodes, Runs, log_likelihood
from bayeshyper.autoguide.model.sites import is_part
from bayeshyper.diagnostics.arviz.majors import from_groups
from bayeshyper.memory import check_fits
from bayeshyper.threads import seeded
from bayeshyper.version import __version__

from .columns import Columns

if TYPE_CHECKING:
    from bayeshyper.autoguide.fitted import FittedGuide

__all__ = ["GROUPS", "to_arviz"]

FITTED = ("posterior", "posterior_predictive", "log_likelihood", "observed_data")
GROUPS = (*FITTED, "prior", "prior_predictive")

# Runs in which a hidden draw is given the chance to show: one of two sides, or a rare one in many rows.
REPEATS = 20

Values = Mapping[str, Tensor]


def to_arviz(
    guide: FittedGuide,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    draws: int | Values,
    groups: str | Collection[str],
    coords: Mapping[str, ArrayLike],
    seed: int,
) -> Any:
    """See `FittedGuide.to_arviz`."""
    groups = (groups,) if isinstance(groups, str) else groups
    for group in groups:
        if group not in GROUPS:
            raise ValueError(f"Got the group {group!r}, expected some of {', '.join(GROUPS)}.")
    columns = Columns()
    with poutine.block(), torch.no_grad(), seeded(seed):
        values = _posterior(guide, draws, args, kwargs)
        for site in guide._seen:
            for value in values[site.name]:
                columns.add("posterior", site.name, value, site.batch_dim, site.frames)
        if set(groups) - {"posterior"}:
            runs = _runs(guide._own_model, args, kwargs)
            _add_runs(columns, {"posterior", *groups}, runs, values)
    attrs = {
        "inference_library": "bayeshyper",
        "inference_library_version": __version__,
        "sample_kind": "variational",
        "guide": type(guide).__name__,
        "note": "draws are independent: R-hat and effective sample sizes only say so",
    }
    return from_groups(columns.groups(), columns.coords(coords), columns.dims, attrs)


def _posterior(
    guide: FittedGuide, draws: int | Values, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Values:
    """Draws of each site, or those at hand, of which only sites of the guide are taken."""
    if not isinstance(draws, Mapping):
        check_count("draws", draws, 1)
        return guide.sample_posterior(draws, *args, **kwargs)
    sites = guide._seen
    sites.flatten(draws)  # says what is missing, or of another shape
    return {name: draws[name] for name in sites.names}


def _add_runs(columns: Columns, groups: Collection[str], runs: Runs, values: Values) -> None:
    """All that the model has to be run for, at draws ``(S, *shape)`` of each latent."""

    def add(group: str, names: Iterable[str], nodes: Nodes) -> None:
        for name in names if group in groups else ():
            _add_value(columns, group, name, nodes[name])

    predicted = [name for name in runs.random if name not in values]
    count = len(next(iter(values.values())))
    numbers = sum(node["value"].numel() for node in runs.first.values())
    check_fits(
        count * numbers,
        f"{count:,} draws of {numbers:,} values",
        bytes_each=8 * len(groups),
        instead="ask for fewer draws or groups",
    )
    draws = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    if "log_likelihood" in groups:
        _check_likelihood(runs, draws[0])
    for number, given in enumerate(draws):
        nodes = runs.at(given)
        add("posterior", runs.computed, nodes)
        for name in runs.observed if "log_likelihood" in groups else ():
            density = log_likelihood(nodes[name])
            columns.add("log_likelihood", name, density, density.dim(), nodes[name]["cond_indep_stack"])
        if number == 0:
            add("observed_data", runs.observed, nodes)
        if "posterior_predictive" in groups:
            add("posterior_predictive", predicted, runs.at(given, anew=True))
        if "prior" in groups or "prior_predictive" in groups:
            nodes = runs.of_prior()
            add("prior", (*values, *runs.computed), nodes)
            add("prior_predictive", predicted, nodes)


def _runs(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Runs:
    """Runs of a model, which must see all of its rows."""
    check_arguments(model, args, kwargs, 'Give those of all rows, or ask for groups=["posterior"].')
    runs = Runs(model, args, kwargs)
    _check_all_rows(runs.first.values())
    for name in runs.observed:
        _check_plates(name, runs.first[name])
    return runs


def _check_all_rows(nodes: Iterable[Node]) -> None:
    for node in nodes:
        for frame in node["cond_indep_stack"]:
            if is_part(frame):
                raise ValueError(
                    f"The plate {frame.name!r} takes {frame.size} of {frame.full_size} rows, and ArviZ needs "
                    "all: make subsample_size an argument of the model and give all rows here, or ask for "
                    'groups=["posterior"].'
                )


def _check_plates(name: str, node: Node) -> None:
    observed, drawn = tuple(node["value"].shape), tuple(node["fn"].shape())
    if torch.broadcast_shapes(observed, drawn) != drawn:
        raise ValueError(
            f"The site {name!r} is observed in shape {observed}, and the model draws it in shape {drawn}: "
            'put it into a plate of all rows, or ask for groups=["posterior"].'
        )


def _check_likelihood(runs: Runs, given: Values) -> None:
    """Refuse models that draw what the guide has not: their likelihood would be of random values."""
    first = runs.at(given)
    for _ in range(REPEATS):
        again = runs.at(given)
        for name in runs.observed:
            densities = log_likelihood(first[name]), log_likelihood(again[name])
            if not torch.allclose(*densities, rtol=0.0, atol=0.0, equal_nan=True):
                raise ValueError(
                    f"The likelihood of {name!r} differs from run to run at the same latents: the model "
                    "draws something that is no site of the guide, as sites hidden by poutine.block are. "
                    "Sum it out in the model (a mixture as MixtureSameFamily, say), or leave "
                    "log_likelihood out of groups."
                )


def _add_value(columns: Columns, group: str, name: str, node: Node) -> None:
    """Add a site's value, in all of its plates where it is one number for them."""
    value, fn = node["value"], node["fn"]
    frames = [frame for frame in node["cond_indep_stack"] if frame.vectorized]
    event_dim = fn.event_dim
    if not node["infer"].get("_deterministic"):
        value = value.expand(torch.broadcast_shapes(value.shape, fn.shape()))
    elif event_dim == value.dim() == max((-frame.dim for frame in frames), default=0):
        event_dim = 0  # what `pyro.deterministic` says where it is not told
    columns.add(group, name, value, value.dim() - event_dim, frames)
