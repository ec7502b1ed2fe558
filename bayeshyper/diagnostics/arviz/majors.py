"""The two majors of ArviZ, 0.2x and 1.x: the one module that knows them apart.

From 1.0 on ArviZ needs Python 3.12, keeps its groups in an ``xarray.DataTree``, and has moved or renamed
part of what is asked of it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import arviz
import numpy as np
from numpy.typing import NDArray

from bayeshyper.diagnostics._checks import Floats

__all__ = [
    "MAJOR",
    "Groups",
    "effective_sample_size",
    "from_groups",
    "library",
    "loo_approximate",
    "loo_pit",
    "rhat",
    "smooth_weights",
]

# Without types: those at hand are of one major alone.
library: Any = arviz

MAJOR = int(arviz.__version__.split(".")[0])

Groups = dict[str, dict[str, NDArray[Any]]]


def from_groups(
    groups: Groups,
    coords: Mapping[str, NDArray[Any]],
    dims: Mapping[str, list[str]],
    attrs: Mapping[str, str],
) -> Any:
    """``arviz.InferenceData`` below 1.0, ``xarray.DataTree`` from 1.0 on."""
    if MAJOR >= 1:
        tree = library.from_dict(groups, coords=dict(coords), dims=dict(dims))
        tree.attrs.update(attrs)
        return tree
    options: dict[str, Any] = {**groups, "coords": dict(coords), "dims": dict(dims), "attrs": dict(attrs)}
    return library.from_dict(**options)


def smooth_weights(log_weights: Floats) -> tuple[Floats, float]:
    """Pareto-smoothed, normalised log weights ``(S,)``, and k̂."""
    if MAJOR >= 1:
        # It takes what LOO has at hand, the log likelihood, and turns the sign itself.
        smoothed, khat = import_module("arviz_stats.base").array_stats.psislw(-log_weights)
    else:
        smoothed, khat = library.psislw(log_weights)
    return np.asarray(smoothed), float(khat)


def rhat(values: Floats) -> Floats:
    """Rank-normalised split R̂ (Vehtari et al. 2021) of each of N quantities, for values ``(M, S, N)``."""
    if MAJOR >= 1:
        return np.asarray(library.rhat(values, chain_axis=0, draw_axis=1))
    return np.asarray(library.rhat(library.convert_to_dataset({"f": values}))["f"])


def effective_sample_size(values: Floats) -> Floats:
    """Bulk effective sample size of each of N quantities, for values ``(M, S, N)``."""
    if MAJOR >= 1:
        return np.asarray(library.ess(values, chain_axis=0, draw_axis=1))
    return np.asarray(library.ess(library.convert_to_dataset({"f": values}))["f"])


def loo_pit(data: Any, name: str) -> Floats:
    """The leave-one-out PIT of a variable's observations, ``(N,)``."""
    if MAJOR >= 1:
        return np.asarray(library.loo_pit(data, var_names=name)[name])
    return np.asarray(library.loo_pit(data, y=name))


def loo_approximate(data: Any, log_p: Floats, log_q: Floats) -> Any:
    """LOO of draws from an approximation (Magnusson et al. 2019); None where ArviZ has none, below 1.0."""
    found = getattr(library, "loo_approximate_posterior", None)
    return None if found is None else found(data, log_p, log_q, pointwise=True)
