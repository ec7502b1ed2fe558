"""The No-U-Turn sampler (Hoffman & Gelman 2014), by NumPyro: the ceiling that approximations are held to.

Four chains draw from the same posterior as ours, of which nothing is approximated but by their length. Each
starts at a maximum a posteriori of its own, from its own draw of the prior. Weights need not mix over a
network's symmetries, so convergence is judged by what is predicted: the largest split R̂ (Gelman et al. 2013)
of the function's value over the rows to predict.

The lengths were set by R̂ and time on split 0 of concrete: R̂ 1.03 in three minutes of one core (1.08 in as
long from random starts). Energy, whose noise is 0.012 of the target's scale, takes steps ten times shorter
and does not converge at this length (R̂ 2.3 after 300 + 300 draws), so table.py leaves it out.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

import numpy as np
import torch
from bnn import LEAST_STEPS, LOG_SCALE_DEVIATION, LOG_SCALE_MEAN, MIN_SCALE, function, functions, size, widths
from interface import Array, Fit, GaussianMixture, Setup, Standardized
from mc_dropout import train

CHAINS = 4
WARMUP = 250
DRAWS = 300
TREE_DEPTH = 11  # at most 2¹¹ − 1 leapfrog steps for a draw, and half as many in the warm-up
TARGET_ACCEPTANCE = 0.8


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
    data: Standardized, units: tuple[int, ...], seed: int, *, warmup: int, draws: int, depth: int
) -> tuple[Array, Array]:
    """Draw from the posterior.

    Args:
        data: The rows.
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

    # On one core, chains one after the other take 1.6 times as long as vectorised ones.
    sampler = numpyro.infer.MCMC(
        numpyro.infer.NUTS(model, max_tree_depth=(depth - 1, depth), target_accept_prob=TARGET_ACCEPTANCE),
        num_warmup=warmup,
        num_samples=draws,
        num_chains=CHAINS,
        chain_method="vectorized",
        progress_bar=False,
    )
    starts = {name: jnp.asarray(start.numpy()) for name, start in maxima(data, units, seed).items()}
    x, y = jnp.asarray(data.x.numpy()), jnp.asarray(data.y.numpy())
    sampler.run(jax.random.PRNGKey(seed), x, y, init_params=starts)
    found = sampler.get_samples(group_by_chain=True)
    return np.asarray(found["u"]), np.exp(np.asarray(found["log_scale"])) + MIN_SCALE


def maxima(data: Standardized, units: tuple[int, ...], seed: int) -> dict[str, torch.Tensor]:
    """A maximum a posteriori for each chain, by name: networks trained as for dropout, with none dropped."""
    generator = torch.Generator().manual_seed(seed)
    every = torch.arange(len(data.y)).expand(CHAINS, -1)
    u = train(data.x, data.y, every, units, torch.zeros(CHAINS), LEAST_STEPS, generator)
    errors = data.y - function(u, data.x, units)
    return {"u": u, "log_scale": errors.square().mean(1).sqrt().log()}


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
    u, scales = sample(data, units, seed, warmup=warmup, draws=draws, depth=depth)
    coordinates = torch.from_numpy(u.reshape(-1, u.shape[-1]).copy())

    def predictive(X_new: Any) -> GaussianMixture:
        values = functions(coordinates, data.encode(X_new), units)
        return data.mixture(values, torch.from_numpy(scales.reshape(-1, 1)))

    def rhat(X_new: Any) -> float:
        values = functions(coordinates, data.encode(X_new), units)
        return split_rhat(values.reshape(*u.shape[:2], -1).numpy())

    return Fit(predictive, rhat=rhat)
