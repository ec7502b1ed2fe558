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

__all__ = ["LatentSite", "LatentSites", "is_part"]

Frames = tuple[Any, ...]
"""The vectorised plates that a site stands in, as Pyro's frames."""


def is_part(frame: Any) -> bool:
    """Whether a plate has only some of its rows."""
    return bool((frame.full_size or frame.size) != frame.size)


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
        return any(map(is_part, self.frames))

    @property
    def batch_dim(self) -> int:
        """How many plate dimensions its value has."""
        return len(self.shape) - self.event_dim

    def unconstrained(self, flat: Tensor) -> Tensor:
        """Its part of ``(…, D)``; leading dimensions are of plates outside of the model, such as particles.

        Those are of size 1 wherever the model has plates of its own, and give way to them; but for the plate
        whose rows have D numbers each, where the site's own shape has the 1.
        """
        plates, events = self.shape[: self.batch_dim], self.shape[self.batch_dim :]
        lead = (1,) * (self.batch_dim + 1 - flat.dim()) + flat.shape[:-1]
        outer = len(lead) - self.batch_dim
        part = flat[..., self.start : self.start + self.size].reshape(lead + self.shape)
        # Each of the last leading dimensions, and the site's own that it gives way to, side by side.
        pairs = [(outer + at, len(lead) + at) for at in range(self.batch_dim)]
        order = [*range(outer), *(dim for pair in pairs for dim in pair)]
        order += range(len(order), part.dim())
        batch = torch.broadcast_shapes(plates, lead)
        return part.permute(order).reshape(batch + events)

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
        rows: The name of a plate around all sites, where the D numbers are those of one of its rows.

    Attributes:
        size: D.
        start: The trace's values, unconstrained, ``(D,)``; of rows their mean.
        rows: The plate of that name, as Pyro's frame; None for none.

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

    def __init__(self, trace: poutine.Trace, *, rows: str | None = None) -> None:
        self._sites: list[LatentSite] = []
        self.rows: Any = None
        parts: list[Tensor] = []
        start = 0
        for name, node in trace.iter_stochastic_nodes():
            if site_is_subsample(node):
                continue
            site, value = _site_of(name, node, start, rows)
            self._sites.append(site)
            self.rows = next((frame for frame in site.frames if frame.name == rows), None)
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
        """The sites' values at full size, ``(S, *shape)`` each, for ``(S, D)``; of rows for ``(S, B, D)``."""
        return {name: value for name, (value, _) in self._constrained(flat).items()}

    def log_volume(self, flat: Tensor) -> Tensor:
        """log |∂ values/∂ flat|, ``(S,)`` for ``(S, D)``."""
        volumes = [volume for _, volume in self._constrained(flat).values()]
        return torch.stack([volume.reshape(len(flat), -1).sum(-1) for volume in volumes]).sum(0)

    def flatten(self, values: Mapping[str, Tensor]) -> Tensor:
        """The inverse of `values`: ``(S, D)``; of rows ``(S, B, D)``.

        Raises:
            ValueError: A site without a value, with one of another shape, or with fewer draws than another.
        """
        missing = [name for name in self.names if name not in values]
        if missing:
            raise ValueError(f"Got no value for {', '.join(missing)}, expected one for each latent site.")
        parts = []
        for site in self._sites:
            unconstrained = site.unconstrain(values[site.name])
            shape, lead = list(unconstrained.shape[1:]), 1
            if self.rows is not None and len(shape) == len(site.shape):
                dim, lead = self.rows.dim - site.event_dim, 2
                unconstrained, shape[dim] = unconstrained.movedim(dim, 1), 1
            if not unconstrained.dim() or tuple(shape) != site.shape:
                raise ValueError(
                    f"Got shape {tuple(values[site.name].shape)} for the site {site.name!r}, expected draws "
                    f"in the first dimension, and unconstrained shape {site.shape} beyond it."
                )
            parts.append(unconstrained.reshape(*unconstrained.shape[:lead], -1))
        if len({len(part) for part in parts}) > 1:
            counts = ", ".join(
                f"{len(part)} of {name!r}" for name, part in zip(self.names, parts, strict=True)
            )
            raise ValueError(f"Got {counts}, expected as many draws of each site.")
        return torch.cat(parts, dim=-1)

    def _constrained(self, flat: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        found = {}
        for site in self._sites:
            plates = [1] * site.batch_dim
            if self.rows is not None:
                plates[self.rows.dim] = flat.shape[1:-1].numel()  # of one row also (S, D)
            draws = flat.reshape(len(flat), *plates, self.size)
            found[site.name] = site.constrain(site.unconstrained(draws))
        return found


def _site_of(name: str, node: Mapping[str, Any], start: int, rows: str | None) -> tuple[LatentSite, Tensor]:
    """A site of a trace, and its unconstrained value at full size; of a plate's rows, their mean."""
    distribution, value = node["fn"], node["value"].detach()
    transform = biject_to(distribution.support)
    unconstrained: Tensor = transform.inv(value).detach()
    event_dim = distribution.event_dim + unconstrained.dim() - value.dim()
    frames = tuple(frame for frame in node["cond_indep_stack"] if frame.vectorized)
    for frame in frames:
        full, dim = frame.full_size or frame.size, frame.dim - event_dim
        if frame.name == rows:
            unconstrained = unconstrained.mean(dim, keepdim=True)
        elif full != frame.size:
            index = torch.arange(full, device=value.device) % frame.size
            unconstrained = unconstrained.index_select(dim, index)
    shape = tuple(unconstrained.shape)
    return LatentSite(name, start, shape, event_dim, distribution.event_dim, frames, transform), unconstrained
