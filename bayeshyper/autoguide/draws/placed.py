"""A value that is already drawn, with its part of the log density, as a Pyro distribution."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pyro
import pyro.poutine as poutine
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from bayeshyper.autoguide.model.sites import LatentSite

__all__ = ["Placed", "place"]

Shape = torch.Size | list[int] | tuple[int, ...]


class Placed(TorchDistribution):
    """A site's value, unpacked from a draw of all, with −log |Jacobian| as its log density.

    It is not ``Delta(log_density=…)``, whose density ``TraceMeanField_ELBO`` drops without a word.

    Args:
        value: ``(*batch_shape, *event_shape)``.
        log_density: ``(*batch_shape,)``.
        event_dim: How many dimensions of the value are the event's.

    Example:
        >>> placed = Placed(torch.ones(3, 2), torch.zeros(3), 1)
        >>> placed.batch_shape, placed.event_shape
        (torch.Size([3]), torch.Size([2]))
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real
    has_rsample = True

    def __init__(self, value: Tensor, log_density: Tensor, event_dim: int) -> None:
        batch = value.shape[: value.dim() - event_dim]
        self._value, self._log_density = value, log_density.expand(batch)
        super().__init__(batch, value.shape[value.dim() - event_dim :], validate_args=False)

    def expand(self, batch_shape: Shape, _instance: Placed | None = None) -> Placed:
        """The same value in more plates."""
        value = self._value.expand(torch.Size(batch_shape) + self.event_shape)
        return Placed(value, self._log_density.expand(batch_shape), len(self.event_shape))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """The value."""
        return self._value.expand(torch.Size(sample_shape) + self._value.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Its part of the log density, ``(*batch_shape,)``; 0 where a mask says that nobody asks."""
        return torch.zeros_like(self._log_density) if poutine.get_mask() is False else self._log_density


def place(site: LatentSite, flat: Tensor, plates: Mapping[str, Any], rows: Any = None) -> Tensor:
    """Sample one site of flat latents ``(…, D)``, in its plates; of those subsampled, the present rows.

    Args:
        site: Which.
        flat: The latents.
        plates: Pyro's, by name.
        rows: The plate whose present rows alone the latents are of, as Pyro's frame; None for none.
    """
    unconstrained = site.unconstrained(flat)
    with ExitStack() as stack:
        for frame in site.frames:
            index = stack.enter_context(plates[frame.name])
            if rows is None or frame.name != rows.name:
                unconstrained = unconstrained.index_select(frame.dim - site.event_dim, index)
        value, log_volume = site.constrain(unconstrained)
        placed: Tensor = pyro.sample(site.name, Placed(value, -log_volume, site.value_event_dim))
    return placed
