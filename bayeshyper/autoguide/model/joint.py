"""The log joint density of any Pyro model, at flat unconstrained latents: what the guide approximates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from .given import Look, unlike
from .marginal import sum_out, unblocked
from .outside import outside
from .sites import LatentSites

__all__ = ["LogJoint"]

PARTICLES = "_particles"
# Draws that a model which can have many at once is given, where there are very many.
AT_ONCE = 128
# How far two evaluations of one number may be apart by rounding alone, as a share of all that is summed.
ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-9}
# The same where only a draw's companions differ, in units of the last place.
LAST_PLACES = 32
# Draws that are had both ways before many are had at once, and as many so far from those.
COMPARED, FAR = 4, 2.0
# What is raised where the model's shapes leave no room for a plate of particles.
CANNOT = (RuntimeError, ValueError, IndexError, NotImplementedError)


class LogJoint:
    """log p(values, data) + log |∂ values/∂ flat| of a model at some arguments: ``(S, D)`` to ``(S,)``.

    The model is run with its latent sites given, outside of all handlers that are active. Many draws at once
    go through a plate of particles, as `pyro.infer.ELBO` has them with ``vectorize_particles``, if every site
    has then the numbers that it has of one draw at a time, whatever draws stand beside; else through a loop.

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
        self._look: Look | None = None
        self._together: bool | None = None

    def __call__(self, flat: Tensor) -> Tensor:
        """The log joint density at each draw, ``(S,)``, differentiably.

        Raises:
            ValueError: The model subsamples, or draws other sites than the guide has.
        """
        together = self._are_together(flat)
        densities = [self._density(trace, together) for trace in self._traces(flat, together)]
        return torch.cat(densities) + self._sites.log_volume(flat)

    @torch.no_grad()
    def is_fixed(self, flat: Tensor) -> bool:
        """Whether the density of a draw ``(1, D)`` is the same each time, and finite.

        It is not where rows are subsampled, or where the model draws sites that are hidden from the guide and
        are not summed out.
        """
        try:
            first, second = self(flat), self(flat)
        except ValueError:
            return False
        return bool(torch.isfinite(first).all()) and torch.equal(first, second)

    @torch.no_grad()
    def at_draws(self, flat: Tensor) -> Tensor:
        """The log joint density at each of many draws, ``(S,)`` in float64, for what is to be exact.

        Raises:
            ValueError: A density that changes from call to call, or that is NaN.
        """
        if not torch.equal(self(flat[:1]).nan_to_num(), self(flat[:1]).nan_to_num()):
            raise ValueError(
                "Got a model whose density differs from call to call at the same latents, expected a fixed "
                "one: it draws random numbers that are no sites. Make them sites, which the guide can have."
            )
        found = torch.cat([self._checked(part) for part in flat.split(AT_ONCE)]).double()
        if bool(found.isnan().any()):
            raise ValueError(
                f"Got a log density of NaN at {int(found.isnan().sum())} of {len(flat)} draws of the guide, "
                "expected numbers. Look for what the model computes there: roots and logarithms of negative "
                "numbers, and scales that are 0 or infinite."
            )
        return found

    def _checked(self, flat: Tensor) -> Tensor:
        """The log joint density at each draw, once two of them have at once what they have alone.

        Even one draw of a hundred can move all others, where a model takes a branch for them together.
        """
        if not self._are_together(flat):
            return self(flat)
        trace, rows = self._at_once(flat), [len(flat) // 2, -1]
        once, alone = self._sums_of(trace, together=True)[rows], self._sums(flat[rows], together=False)
        if _close(once, alone, ROUNDING.get(flat.dtype, 0.0)):
            return self._density(trace, together=True) + self._sites.log_volume(flat)
        self._together = False
        return self(flat)

    def _are_together(self, flat: Tensor) -> bool:
        """Whether draws are had at once, which is found out when there are several for the first time.

        Raises:
            ValueError: As a call.
        """
        if refusal := self._seen(flat).refusal:
            raise ValueError(refusal)
        if self._together is None and len(flat) > 1:
            self._together = self._can_be_together(flat)
        return bool(self._together) and len(flat) > 1

    def _can_be_together(self, flat: Tensor) -> bool | None:
        """Whether draws at once have the densities of one draw at a time; None where too few have any.

        Each of some draws is had alone, beside others, and beside others again.
        """
        generator = torch.Generator().manual_seed(0)
        near = flat.detach()[torch.randperm(len(flat), generator=generator)[:COMPARED].to(flat.device)]
        far = near + FAR * torch.randn(near.shape, generator=generator).to(near)
        draws = [draw for draw in torch.cat([near, far]) if self._has_density(draw)]
        left, right = draws[0 : len(draws) // 2 * 2 : 2], draws[1::2]
        if not right:
            return None
        pairs, lefts, rights = (
            torch.stack([draw for pair in zip(one, other, strict=True) for draw in pair])
            for one, other in ((left, right), (left, left), (right, right))
        )
        try:
            once, odd, even = (self._sums(draws, together=True) for draws in (pairs, lefts, rights))
        except CANNOT:
            return False
        places = LAST_PLACES * torch.finfo(flat.dtype).eps
        return (
            _close(once[0::2], odd[0::2], places)
            and _close(once[1::2], even[1::2], places)
            and _close(once, self._sums(pairs, together=False), ROUNDING.get(flat.dtype, places))
        )

    @torch.no_grad()
    def _has_density(self, draw: Tensor) -> bool:
        try:
            return bool(torch.isfinite(self._density(self._alone(draw), together=False)).all())
        except ValueError:  # a distribution refuses its parameters there
            return False

    @torch.no_grad()
    def _sums(self, flat: Tensor, *, together: bool) -> Tensor:
        """`_sums_of` at each draw, ``(S, K, 2)``."""
        return torch.cat([self._sums_of(trace, together=together) for trace in self._traces(flat, together)])

    def _sums_of(self, trace: poutine.Trace, *, together: bool) -> Tensor:
        """Of K sites log p at a run's draws, and the absolute values of all that is summed, ``(S, K, 2)``.

        What is not finite is left out, such as states that cannot be.
        """
        sites = []
        for node in _samples(trace):
            terms = node["log_prob"].double().nan_to_num(0.0, 0.0, 0.0)
            size = terms.abs() + node["fn"].event_shape.numel()
            sites.append(torch.stack([self._per_draw(part, together) for part in (terms, size)], dim=-1))
        return torch.stack(sites, dim=1)

    def _traces(self, flat: Tensor, together: bool) -> list[poutine.Trace]:
        """Runs of the model that have all draws between them."""
        return [self._at_once(flat)] if together else [self._alone(draw) for draw in flat]

    def _alone(self, draw: Tensor) -> poutine.Trace:
        with outside():
            return self._trace(draw)

    def _at_once(self, flat: Tensor) -> poutine.Trace:
        nesting = self._seen(flat).nesting
        with outside(), pyro.plate(PARTICLES, len(flat), dim=-1 - nesting):
            return self._trace(flat.reshape(len(flat), *[1] * nesting, self._sites.size), 1)

    def _trace(self, flat: Tensor, particles: int = 0) -> poutine.Trace:
        """A run of the model at draws ``(…, D)``, with the log probabilities of all its sites."""
        look = self._seen(flat)
        run = poutine.condition(self._model, data=self._values(flat))
        if look.enumerated:
            run = poutine.enum(run, first_available_dim=-1 - look.nesting - particles)
        trace: poutine.Trace = poutine.trace(run).get_trace(*self._args, **self._kwargs)
        if refusal := unlike(trace, self._sites):
            raise ValueError(refusal)
        nodes: list[Any] = [node for node in trace.nodes.values() if node["type"] == "sample"]
        for node in nodes:
            # Not the trace's own way, which warns of what is not finite: a search meets that.
            log_prob = node["fn"].log_prob(node["value"], *node["args"], **node["kwargs"])
            node["unscaled_log_prob"] = log_prob
            node["log_prob"] = scale_and_mask(log_prob, node["scale"], node["mask"])
        return trace

    def _density(self, trace: poutine.Trace, together: bool) -> Tensor:
        """log p at the draws of a run, ``(S,)``."""
        if self._look is not None and self._look.enumerated:
            return sum_out(trace, PARTICLES if together else None).reshape(-1)
        return torch.stack([self._per_draw(node["log_prob"], together) for node in _samples(trace)]).sum(0)

    def _per_draw(self, log_prob: Tensor, together: bool) -> Tensor:
        """The sum over all places that are one draw's, ``(S,)``."""
        if not together or self._look is None:
            return log_prob.sum().reshape(1)
        by_draw = log_prob.movedim(-1 - self._look.nesting, 0)
        return by_draw.reshape(len(by_draw), -1).sum(-1)

    def _seen(self, flat: Tensor) -> Look:
        """How the model's sites lie in plates, and whether some are to be summed out, from a first run."""
        if self._look is None:
            with outside(), torch.no_grad():
                values = self._values(flat[0])
                self._look = Look.at(self._model, values, self._sites, self._args, self._kwargs)
        return self._look

    def _values(self, flat: Tensor) -> dict[str, Tensor]:
        """Of the sites at draws ``(…, D)``."""
        return {site.name: site.constrain(site.unconstrained(flat))[0] for site in self._sites}


def _samples(trace: poutine.Trace) -> list[Any]:
    """Its sites, but for rows of plates."""
    nodes = trace.nodes.values()
    return [node for node in nodes if node["type"] == "sample" and not site_is_subsample(node)]


def _close(one: Tensor, other: Tensor, tolerance: float) -> bool:
    """Whether two of what `LogJoint` sums at sites are the same but for rounding."""
    if one.shape != other.shape:
        return False
    apart, size = (one - other)[..., 0].abs(), torch.maximum(one, other)[..., 1]
    return bool((apart <= tolerance * size).all())
