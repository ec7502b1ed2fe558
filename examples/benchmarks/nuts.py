"""The No-U-Turn sampler (Hoffman & Gelman 2014), by NumPyro: the ceiling that approximations are held to.

Four chains draw from the same posterior as ours, of which nothing is approximated but by their length. The
weights need not mix over a network's symmetries, so convergence is judged by what is predicted: the largest
split R̂ (Gelman et al. 2013) of the function's value over the rows to predict. Nothing is tuned but by the
sampler's own warm-up; the number of draws was set by the time it takes.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

import numpy as np
import torch
from bnn import LOG_SCALE_DEVIATION, LOG_SCALE_MEAN, MIN_SCALE, function, functions, size, widths
from interface import Array, Fit, GaussianMixture, Setup, Standardized

CHAINS = 4
WARMUP = 250
DRAWS = 250
TREE_DEPTH = 11  # at most 2¹¹ − 1 leapfrog steps for a draw
SHORTER = 2  # by this the trees of the warm-up are less deep: it adapts scales, and need not go far
TARGET_ACCEPTANCE = 0.7  # trees reach their depth, so longer steps go further


def numpyro_on_one_thread() -> ModuleType:
    """Import NumPyro, which the other methods do not need, and let JAX have one core of the CPU.

    Raises:
        ImportError: It is not installed.
    """
    if "jax" not in sys.modules:  # it reads these once
        one_thread = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {one_thread}".strip()
        os.environ.setdefault("NPROC", "1")
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        import numpyro
        import numpyro.diagnostics
        import numpyro.infer
    except ImportError as error:
        raise ImportError(
            "The method nuts needs NumPyro: pip install -c constraints.txt -e '.[bench]'"
        ) from error
    module: ModuleType = numpyro
    return module


def sample(
    x: Array, y: Array, units: tuple[int, ...], seed: int, *, warmup: int, draws: int, depth: int
) -> tuple[Array, Array]:
    """Draw from the posterior.

    Args:
        x: Standardised rows, ``(N, F)``.
        y: Standardised targets, ``(N,)``.
        units: Of the network.
        seed: Decides all.
        warmup: Draws that only adapt step size and mass, for each chain.
        draws: Those kept, for each chain.
        depth: The deepest tree: a draw takes 2^depth − 1 steps at most.

    Returns:
        Coordinates of the network's weights ``(chains, draws, D)``, and noise scales ``(chains, draws)``.
    """
    numpyro = numpyro_on_one_thread()
    import jax
    import jax.numpy as jnp
    import numpyro.distributions as dist

    def model(x: Any, y: Any) -> None:
        u = numpyro.sample("u", dist.Normal(0.0, 1.0).expand([size(units)]).to_event(1))
        log_scale = numpyro.sample("log_scale", dist.Normal(LOG_SCALE_MEAN, LOG_SCALE_DEVIATION))
        noise = dist.Normal(function(u, x, units), jnp.exp(log_scale) + MIN_SCALE)
        numpyro.sample("obs", noise.to_event(1), obs=y)

    # Vectorised chains: twice as quick on one core as one after the other (49 against 26 ms a draw).
    sampler = numpyro.infer.MCMC(
        numpyro.infer.NUTS(
            model, max_tree_depth=(max(1, depth - SHORTER), depth), target_accept_prob=TARGET_ACCEPTANCE
        ),
        num_warmup=warmup,
        num_samples=draws,
        num_chains=CHAINS,
        chain_method="vectorized",
        progress_bar=False,
    )
    sampler.run(jax.random.PRNGKey(seed), jnp.asarray(x), jnp.asarray(y))
    found = sampler.get_samples(group_by_chain=True)
    return np.asarray(found["u"]), np.exp(np.asarray(found["log_scale"])) + MIN_SCALE


def split_rhat(values: Array) -> float:
    """The largest split R̂ of ``(chains, draws, …)`` over what follows the first two dimensions."""
    return float(np.max(numpyro_on_one_thread().diagnostics.split_gelman_rubin(np.asarray(values))))


def nuts(
    X: Any,
    y: Array,
    seed: int,
    setup: Setup,
    *,
    warmup: int = WARMUP,
    draws: int = DRAWS,
    depth: int = TREE_DEPTH,
) -> Fit:
    """Sample; the draws of all chains are an equal mixture."""
    data = Standardized(X, y)
    units = widths(data.x.shape[1], setup.hidden)
    u, scales = sample(data.x.numpy(), data.y.numpy(), units, seed, warmup=warmup, draws=draws, depth=depth)
    coordinates = torch.from_numpy(u.reshape(-1, u.shape[-1]).copy())

    def predictive(X_new: Any) -> GaussianMixture:
        values = functions(coordinates, data.encode(X_new), units)
        return data.mixture(values, torch.from_numpy(scales.reshape(-1, 1)))

    def rhat(X_new: Any) -> float:
        values = functions(coordinates, data.encode(X_new), units)
        return split_rhat(values.reshape(*u.shape[:2], -1).numpy())

    return Fit(predictive, rhat=rhat)
