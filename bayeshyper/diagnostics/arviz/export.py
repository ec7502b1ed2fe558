"""A fitted model as ArviZ sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeshyper.diagnostics.arviz.majors import Groups, from_groups
from bayeshyper.errors import DataError
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
    prior: PredictiveDistribution | None = None,
    inputs: NDArray[Any] | None = None,
    seed: int = 0,
) -> Any:
    """Gather a posterior's draws into what ``arviz.loo``, ``arviz.plot_ppc`` and the others take.

    Groups: ``posterior`` (the network's function at each row as ``"f"``, the likelihood's latents, and the
    weight tensors asked for), ``posterior_predictive``, ``log_likelihood``, ``observed_data``, and where they
    are given ``constant_data`` (``"x"``), ``prior`` (``"f"``) and ``prior_predictive``. The restarts
    are the chains; with one of them there is one chain. Draws within a chain are independent, so that
    effective sample sizes only say so, and R̂ compares the restarts.

    Args:
        predictive: The predictive distribution of the rows, on the ensemble's draws.
        y: Observed targets, ``(N,)``.
        ensemble: Its weight draws, members one after the other.
        chains: M, which divides the number of draws.
        var_names: Names of weight tensors to include; they can be large.
        prior: The predictive distribution of the same rows on weights drawn from the prior.
        inputs: The rows as the network sees them, ``(N, F)``.
        seed: Of the predictive draws.

    Returns:
        ``arviz.InferenceData`` with ArviZ below 1.0, ``xarray.DataTree`` from 1.0 on.

    Raises:
        DataError: A number of chains that does not divide the draws.
        KeyError: An unknown tensor name.
    """
    draws = len(ensemble)
    if draws % chains:
        raise DataError(f"Got {draws} draws for {chains} chains, expected a multiple of {chains}.")

    def by_chain(values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(chains, draws // chains, *values.shape[1:])

    latents = [
        piece.name for piece in ensemble.spec if ensemble.target and piece.name not in ensemble.target.spec
    ]
    posterior = {"f": by_chain(predictive.functions())}
    for name in (*latents, *var_names):
        posterior[name] = by_chain(ensemble[name].cpu().numpy())
    observed = predictive.encode(y) if predictive.task == "classification" else np.asarray(y)
    groups: Groups = {
        "posterior": posterior,
        "posterior_predictive": {"y": by_chain(_targets(predictive, draws, seed))},
        "log_likelihood": {"y": by_chain(predictive.log_likelihood(y))},
        "observed_data": {"y": observed},
    }
    if inputs is not None:
        groups["constant_data"] = {"x": inputs}
    if prior is not None:
        groups["prior"] = {"f": prior.functions()[None]}
        groups["prior_predictive"] = {"y": _targets(prior, prior.n_draws, seed)[None]}
    attrs = {
        "inference_library": "bayeshyper",
        "inference_library_version": __version__,
        "sample_kind": "variational",
        "task": predictive.task,
        "note": "chains are independent restarts; draws within a chain are independent",
    }
    coords, dims = {"row": np.arange(len(observed))}, {"f": ["row"], "y": ["row"], "x": ["row", "input"]}
    if posterior["f"].ndim == 4:
        dims["f"] = ["row", "output"]
    return from_groups(groups, coords, dims, attrs)


def _targets(predictive: PredictiveDistribution, n: int, seed: int) -> NDArray[Any]:
    """n drawn targets of every row, ``(n, N)`` or ``(n, N, K)``; classes as their indices."""
    drawn = predictive.sample(n, seed=seed)
    if predictive.task == "classification":
        return np.stack([predictive.encode(row) for row in drawn])
    return drawn
