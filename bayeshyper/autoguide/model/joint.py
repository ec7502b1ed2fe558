"""The log joint density of any Pyro model, at flat unconstrained latents: what the guide approximates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask, sum_rightmost
from torch import Tensor

from .marginal import enumerated, sum_out, unblocked
from .outside import outside
from .sites import LatentSites

__all__ = ["LogJoint"]

PARTICLES = "_particles"
# Draws that a model which can have many at once is given, where there are very many.
AT_ONCE = 128
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
        self._model, self._sites = unblocked(model), sites
        self._args, self._kwargs = args, kwargs or {}
        self._nesting = 0
        self._enumerated = self._subsampled = self._seen = False
        self._together: bool | None = None

    def __call__(self, flat: Tensor) -> Tensor:
        """The log joint density at each draw, ``(S,)``, differentiably."""
        if self._together is None:
            self._together = self._agree(flat[:2].detach()) if len(flat) > 1 else None
        return self._at_once(flat) if self._together and len(flat) > 1 else self._one_by_one(flat)

    @torch.no_grad()
    def is_fixed(self, flat: Tensor) -> bool:
        """Whether the density of a draw ``(1, D)`` is the same each time, and finite.

        It is not where rows are subsampled, or where the model draws sites that are hidden from the guide and
        are not summed out.
        """
        first = self._one_by_one(flat)
        if self._subsampled or not torch.isfinite(first).all():
            return False
        return torch.equal(first, self._one_by_one(flat))

    @torch.no_grad()
    def at_draws(self, flat: Tensor) -> Tensor:
        """The log joint density at each of many draws, ``(S,)`` in float64, for what is to be exact.

        Raises:
            ValueError: A density that changes from call to call, or that is NaN.
        """
        first = self._one_by_one(flat[:1])
        if self._subsampled:
            raise ValueError(
                "Got a model that subsamples the rows of a plate, expected one that sees all of them: its "
                "density changes from call to call. Make subsample_size an argument of the model, and give "
                "all rows here."
            )
        if not torch.equal(first.nan_to_num(), self._one_by_one(flat[:1]).nan_to_num()):
            raise ValueError(
                "Got a model whose density differs from call to call at the same latents, expected a fixed "
                "one: it draws sites that are hidden from the guide. Let the guide have them, or mark those "
                "that are discrete with infer={'enumerate': 'parallel'}, so that they are summed out."
            )
        found = torch.cat([self(part) for part in flat.split(AT_ONCE)]).double()
        if bool(found.isnan().any()):
            raise ValueError(
                f"Got a log density of NaN at {int(found.isnan().sum())} of {len(flat)} draws of the guide, "
                "expected numbers. Look for what the model computes there: roots and logarithms of negative "
                "numbers, and scales that are 0 or infinite."
            )
        return found

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
        with outside():
            if not self._seen:
                self._look(flat[0])
            densities = [self._density(draw) for draw in flat]
        return torch.stack(densities) + self._sites.log_volume(flat)

    def _at_once(self, flat: Tensor) -> Tensor:
        draws = flat.reshape(len(flat), *[1] * self._nesting, self._sites.size)
        with outside(), pyro.plate(PARTICLES, len(flat), dim=-1 - self._nesting):
            return self._density(draws, PARTICLES) + self._sites.log_volume(flat)

    def _look(self, draw: Tensor) -> None:
        """See how the model's sites lie in plates, and whether some are to be summed out."""
        trace = poutine.trace(self._given(draw)).get_trace()
        sites = [site for site in trace.nodes.values() if site["type"] == "sample"]
        frames = [frame for site in sites for frame in site["cond_indep_stack"] if frame.vectorized]
        self._nesting = max((-(frame.dim or 0) for frame in frames), default=0)
        self._subsampled = any((frame.full_size or frame.size) != frame.size for frame in frames)
        self._enumerated, self._seen = enumerated(trace), True

    def _density(self, flat: Tensor, particles: str | None = None) -> Tensor:
        """At draws ``(…, D)``: a number, or one for each of the particles in whose plate they are."""
        run = self._given(flat)
        if self._enumerated:
            return sum_out(run, self._nesting + (particles is not None), particles)
        total = flat.new_zeros(flat.shape[:1] if particles else ())
        for node in poutine.trace(run).get_trace().nodes.values():
            if node["type"] == "sample":
                # Not the trace's own way, which warns of what is not finite: a search meets that.
                distribution: Any = node["fn"]
                log_prob = distribution.log_prob(node["value"], *node["args"], **node["kwargs"])
                log_prob = scale_and_mask(log_prob, node["scale"], node["mask"])
                total = total + (sum_rightmost(log_prob, self._nesting) if particles else log_prob.sum())
        return total

    def _given(self, flat: Tensor) -> Callable[[], Any]:
        """The model at its arguments, with the latent sites of draws ``(…, D)``."""
        values = {site.name: site.constrain(site.unconstrained(flat))[0] for site in self._sites}
        return lambda: poutine.condition(self._model, data=values)(*self._args, **self._kwargs)
