"""The log joint density of any Pyro model, at flat unconstrained latents: what the guide approximates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask, sum_rightmost
from torch import Tensor

from .sites import LatentSites

__all__ = ["LogJoint"]

# How far two evaluations of one number may be apart by rounding alone, as a share of it.
ROUNDING = {torch.float32: 1e-3, torch.float64: 1e-8}


class LogJoint:
    """log p(values, data) + log |∂ values/∂ flat| of a model at some arguments: ``(S, D)`` to ``(S,)``.

    The model is run with its latent sites given, outside of all handlers that are active. Many draws at once
    go through a plate of particles, as `pyro.infer.ELBO` has them with ``vectorize_particles``, if the model
    can do that and the numbers are those of one draw at a time; else through a loop.

    Args:
        model: Any Pyro model.
        sites: Its latent sites.
        args: The model's arguments.
        kwargs: Its keyword arguments.

    Example:
        >>> import pyro.distributions as dist
        >>> def model():
        ...     pyro.sample("x", dist.LogNormal(0.0, 1.0))  # of which the logarithm is a standard Normal
        >>> joint = LogJoint(model, LatentSites(poutine.trace(model).get_trace()))
        >>> joint(torch.tensor([[0.0], [2.0]])).diff()
        tensor([-2.])
    """

    def __init__(
        self,
        model: Callable[..., Any],
        sites: LatentSites,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        self._model, self._sites = model, sites
        self._args, self._kwargs = args, kwargs or {}
        self._nesting = 0
        self._together: bool | None = None

    def __call__(self, flat: Tensor) -> Tensor:
        """The log joint density at each draw, ``(S,)``, differentiably."""
        if self._together is None:
            self._together = self._agree(flat[:2].detach()) if len(flat) > 1 else None
        return self._at_once(flat) if self._together and len(flat) > 1 else self._one_by_one(flat)

    @torch.no_grad()
    def is_fixed(self, flat: Tensor) -> bool:
        """Whether the density of a draw ``(1, D)`` is the same each time, and finite.

        It is not where rows are subsampled, or where the model draws sites that are hidden from the guide.
        """
        if any(site.is_subsampled for site in self._sites):
            return False
        first, second = self._one_by_one(flat), self._one_by_one(flat)
        return bool(torch.isfinite(first).all() and torch.equal(first, second))

    def _agree(self, flat: Tensor) -> bool:
        """Whether draws at once have the densities of one draw at a time."""
        with torch.no_grad():
            alone = self._one_by_one(flat)
            try:
                together = self._at_once(flat)
            except (RuntimeError, ValueError, IndexError, NotImplementedError):
                return False  # the model's shapes leave no room for a plate of particles
        if together.shape != alone.shape:
            return False
        return bool(torch.allclose(together, alone, rtol=ROUNDING.get(flat.dtype, 1e-3), atol=1e-6))

    def _one_by_one(self, flat: Tensor) -> Tensor:
        densities = []
        for draw in flat:
            with poutine.block():
                nodes = self._nodes(draw)
            frames = (frame for node in nodes for frame in node["cond_indep_stack"] if frame.vectorized)
            self._nesting = max((-frame.dim for frame in frames), default=0)
            densities.append(sum((node["log_prob"].sum() for node in nodes), start=draw.new_zeros(())))
        return torch.stack(densities) + self._sites.log_volume(flat)

    def _at_once(self, flat: Tensor) -> Tensor:
        draws = flat.reshape(len(flat), *[1] * self._nesting, self._sites.size)
        with poutine.block(), pyro.plate("_particles", len(flat), dim=-1 - self._nesting):
            nodes = self._nodes(draws)
        totals = (sum_rightmost(node["log_prob"], self._nesting) for node in nodes)
        return sum(totals, start=flat.new_zeros(len(flat))) + self._sites.log_volume(flat)

    def _nodes(self, flat: Tensor) -> list[Any]:
        """Every site of a run at draws ``(…, D)``, with its log probability."""
        values = {site.name: site.constrain(site.unconstrained(flat))[0] for site in self._sites}
        conditioned = poutine.condition(self._model, data=values)
        trace = poutine.trace(conditioned).get_trace(*self._args, **self._kwargs)
        nodes = [node for node in trace.nodes.values() if node["type"] == "sample"]
        for node in nodes:  # not the trace's own way, which warns of what is not finite: a search meets that
            distribution: Any = node["fn"]
            log_prob = distribution.log_prob(node["value"], *node["args"], **node["kwargs"])
            node["log_prob"] = scale_and_mask(log_prob, node["scale"], node["mask"])
        return nodes
