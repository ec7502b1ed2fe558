"""The latent sites of a Pyro model, and the one flat unconstrained vector that they are unpacked from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from pyro import poutine
from pyro.distributions.util import sum_rightmost
from pyro.poutine.util import site_is_subsample
from torch import Tensor
from torch.distributions import Transform, biject_to

__all__ = ["LatentSite", "LatentSites"]

Frames = tuple[Any, ...]
"""The vectorised plates that a site stands in, as Pyro's frames."""


@dataclass(frozen=True)
class LatentSite:
    """One continuous latent site, and its place in the flat vector.

    Args:
        name: The site's.
        start: Where its numbers begin.
        shape: Of its unconstrained value at full size: where a plate is subsampled, of all its rows.
        event_dim: How many of those dimensions, from the right, are not plates.
        value_event_dim: The same of the constrained value, which can have more or fewer (a simplex, a
            covariance).
        frames: The plates it stands in.
        transform: From the reals to the site's support.
    """

    name: str
    start: int
    shape: tuple[int, ...]
    event_dim: int
    value_event_dim: int
    frames: Frames = field(repr=False)
    transform: Transform = field(repr=False)

    @property
    def size(self) -> int:
        """How many unconstrained numbers it has."""
        return math.prod(self.shape)

    @property
    def is_subsampled(self) -> bool:
        """Whether only some rows of it take part in each run of the model."""
        return any((frame.full_size or frame.size) != frame.size for frame in self.frames)

    @property
    def batch_dim(self) -> int:
        """How many plate dimensions its value has."""
        return len(self.shape) - self.event_dim

    def unconstrained(self, flat: Tensor) -> Tensor:
        """Its part of ``(…, D)``; leading dimensions are of plates outside of the model, such as particles.

        Those are of size 1 wherever the model has plates of its own, and give way to them.
        """
        batch = torch.broadcast_shapes(self.shape[: self.batch_dim], flat.shape[:-1])
        part = flat[..., self.start : self.start + self.size]
        return part.reshape(batch + self.shape[self.batch_dim :])

    def constrain(self, unconstrained: Tensor) -> tuple[Tensor, Tensor]:
        """The value on the site's support, and log |∂ value/∂ unconstrained| for each place in its plates."""
        value: Tensor = self.transform(unconstrained)
        volume = self.transform.log_abs_det_jacobian(unconstrained, value)
        return value, sum_rightmost(volume, volume.dim() - (value.dim() - self.value_event_dim))

    def unconstrain(self, value: Tensor) -> Tensor:
        """The inverse of the first part of `constrain`."""
        unconstrained: Tensor = self.transform.inv(value)
        return unconstrained


class LatentSites:
    """The latent sites of a model in the order in which it draws them, and the D numbers they are made of.

    Args:
        trace: A trace of the model, whose values say where inference starts. What is hidden from it by
            ``poutine.block`` is no site of ours.

    Attributes:
        size: D.
        start: The trace's values, unconstrained, ``(D,)``.

    Example:
        >>> import pyro, pyro.distributions as dist
        >>> def model():
        ...     pyro.sample("scale", dist.HalfNormal(1.0))
        ...     pyro.sample("shares", dist.Dirichlet(torch.ones(3)))
        >>> sites = LatentSites(poutine.trace(model).get_trace())
        >>> sites.names, sites.size  # a simplex of three has two degrees of freedom
        (('scale', 'shares'), 3)
        >>> values = sites.values(torch.zeros(10, 3))
        >>> values["shares"].shape
        torch.Size([10, 3])
    """

    def __init__(self, trace: poutine.Trace) -> None:
        self._sites: list[LatentSite] = []
        parts: list[Tensor] = []
        start = 0
        for name, node in trace.iter_stochastic_nodes():
            if site_is_subsample(node):
                continue
            site, value = _site_of(name, node, start)
            self._sites.append(site)
            parts.append(value.reshape(-1))
            start += site.size
        self.size = start
        self.start = torch.cat(parts) if parts else torch.empty(0)

    def __iter__(self) -> Iterator[LatentSite]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)

    @property
    def names(self) -> tuple[str, ...]:
        """The sites' names, in order."""
        return tuple(site.name for site in self._sites)

    def values(self, flat: Tensor) -> dict[str, Tensor]:
        """The sites' values at full size, ``(S, *shape)`` each, for draws ``(S, D)``."""
        return {name: value for name, (value, _) in self._constrained(flat).items()}

    def log_volume(self, flat: Tensor) -> Tensor:
        """log |∂ values/∂ flat|, ``(S,)`` for ``(S, D)``."""
        volumes = [volume for _, volume in self._constrained(flat).values()]
        return torch.stack([volume.reshape(len(flat), -1).sum(-1) for volume in volumes]).sum(0)

    def flatten(self, values: Mapping[str, Tensor]) -> Tensor:
        """The inverse of `values`: ``(S, D)``.

        Raises:
            ValueError: A site without a value, or with one of another shape.
        """
        missing = [name for name in self.names if name not in values]
        if missing:
            raise ValueError(f"Got no value for {', '.join(missing)}, expected one for each latent site.")
        parts = []
        for site in self._sites:
            unconstrained = site.unconstrain(values[site.name])
            if unconstrained.shape[1:] != site.shape:
                raise ValueError(
                    f"Got shape {tuple(values[site.name].shape)} for the site {site.name!r}, expected draws "
                    f"in the first dimension, and unconstrained shape {site.shape} beyond it."
                )
            parts.append(unconstrained.reshape(len(unconstrained), -1))
        return torch.cat(parts, dim=-1)

    def _constrained(self, flat: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        found = {}
        for site in self._sites:
            part = flat[:, site.start : site.start + site.size]
            found[site.name] = site.constrain(part.reshape(len(flat), *site.shape))
        return found


def _site_of(name: str, node: Mapping[str, Any], start: int) -> tuple[LatentSite, Tensor]:
    """A site of a trace, and its unconstrained value at full size."""
    distribution, value = node["fn"], node["value"].detach()
    transform = biject_to(distribution.support)
    unconstrained: Tensor = transform.inv(value).detach()
    event_dim = distribution.event_dim + unconstrained.dim() - value.dim()
    frames = tuple(frame for frame in node["cond_indep_stack"] if frame.vectorized)
    for frame in frames:
        full = frame.full_size or frame.size
        if full != frame.size:
            dim = frame.dim - event_dim
            rows = torch.arange(full, device=value.device) % frame.size
            unconstrained = unconstrained.index_select(dim, rows)
    shape = tuple(unconstrained.shape)
    return LatentSite(name, start, shape, event_dim, distribution.event_dim, frames, transform), unconstrained
