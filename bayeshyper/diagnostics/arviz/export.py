"""A fitted model as ArviZ sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeshyper.diagnostics.arviz.majors import Groups, from_groups
from bayeshyper.prediction import PredictiveDistribution, WeightEnsemble
from bayeshyper.version import __version__

__all__ = ["to_arviz"]


def to_arviz(
    predictive: PredictiveDistribution,
    y: NDArray[Any],
    ensemble: WeightEnsemble,
    *,
    chains: int = 1,
    var_names: tuple[str, ...] = (),
    seed: int = 0,
) -> Any:
    """Gather a posterior's draws into what ``arviz.loo``, ``arviz.plot_ppc`` and the others take.

    Groups: ``posterior`` (the network's function at each row as ``"f"``, the likelihood's latents, and the
    weight tensors asked for), ``posterior_predictive``, ``log_likelihood``, ``observed_data``. The restarts
    are the chains; with one of them there is one chain. Draws within a chain are independent, so that
    effective sample sizes only say so, and R̂ compares the restarts.

    Args:
        predictive: The predictive distribution of the rows, on the ensemble's draws.
        y: Observed targets, ``(N,)``.
        ensemble: Its weight draws, members one after the other.
        chains: M, which divides the number of draws.
        var_names: Names of weight tensors to include; they can be large.
        seed: Of the posterior predictive draws.

    Returns:
        ``arviz.InferenceData`` with ArviZ below 1.0, ``xarray.DataTree`` from 1.0 on.

    Raises:
        ValueError: A number of chains that does not divide the draws, or an unknown tensor name.
    """
    draws = len(ensemble)
    if draws % chains:
        raise ValueError(f"Got {draws} draws for {chains} chains, expected a multiple of {chains}.")

    def by_chain(values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(chains, draws // chains, *values.shape[1:])

    latents = [
        piece.name for piece in ensemble.spec if ensemble.target and piece.name not in ensemble.target.spec
    ]
    posterior = {"f": by_chain(predictive.functions())}
    for name in (*latents, *var_names):
        posterior[name] = by_chain(ensemble[name].cpu().numpy())
    observed = np.asarray(y)
    if predictive.task == "classification":
        observed = predictive.encode(y)
    drawn = predictive.sample(draws, seed=seed)
    if predictive.task == "classification":
        drawn = np.stack([predictive.encode(row) for row in drawn])
    groups: Groups = {
        "posterior": posterior,
        "posterior_predictive": {"y": by_chain(drawn)},
        "log_likelihood": {"y": by_chain(predictive.log_likelihood(y))},
        "observed_data": {"y": observed},
    }
    attrs = {
        "inference_library": "bayeshyper",
        "inference_library_version": __version__,
        "sample_kind": "variational",
        "note": "chains are independent restarts; draws within a chain are independent",
    }
    coords, dims = {"row": np.arange(len(observed))}, {"f": ["row"], "y": ["row"]}
    if posterior["f"].ndim == 4:
        dims["f"] = ["row", "output"]
    return from_groups(groups, coords, dims, attrs)
