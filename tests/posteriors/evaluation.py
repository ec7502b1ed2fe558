"""The log density of a Pyro model at given values of its sites, by Pyro's own poutines."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pyro
import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import Transform, biject_to

from tests.test_uci_harness import imported

posteriors = imported("posteriors")
POSTERIORS: tuple[str, ...] = posteriors.POSTERIORS
Sites = dict[str, Tensor]


@cache
def posterior(name: str, folder: Path) -> Any:
    """A posterior, read once."""
    return posteriors.posterior(name, folder)


def log_joint(model: Any, sites: Sites) -> Tensor:
    """log p(sites, data), ``(S,)`` for values ``(S, …)``."""
    draws = len(next(iter(sites.values())))
    with pyro.plate("particles", draws, dim=-1):
        trace = poutine.trace(poutine.condition(model, sites)).get_trace()
    trace.compute_log_prob()
    terms = [trace.nodes[name]["log_prob"] for name in trace.observation_nodes]
    return torch.stack([term.expand(draws) for term in terms]).sum(0)


def transforms(model: Any) -> dict[str, Transform]:
    """The map of each latent site from the real numbers to its support."""
    trace = poutine.trace(model).get_trace()
    return {name: biject_to(trace.nodes[name]["fn"].support) for name in trace.stochastic_nodes}


def unconstrained(model: Any, sites: Sites) -> Sites:
    """The sites' values as real numbers."""
    return {name: transform.inv(sites[name]) for name, transform in transforms(model).items()}


def unconstrained_log_joint(model: Any, free: Sites) -> Tensor:
    """log p(u, data) of the sites as real numbers, ``(S,)``."""
    to_support = transforms(model)
    sites = {name: transform(free[name]) for name, transform in to_support.items()}
    total = log_joint(model, sites)
    for name, transform in to_support.items():
        jacobian = transform.log_abs_det_jacobian(free[name], sites[name])
        total = total + jacobian.reshape(len(total), -1).sum(-1)
    return total
