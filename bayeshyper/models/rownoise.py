"""A training step's noise: each row's own where a layer allows it, the sampled weights' everywhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from .flipout import Flipout, draw_signs
from .layers import Layers
from .local import Conditional, LocalReparameterization
from .spec import WeightSpec

__all__ = ["RowNoise"]

Tensors = dict[str, Tensor]


class RowNoise:
    """The tensors of S = G·R draws whose layers take their noise row by row, and that noise.

    Args:
        layers: Which of the network's layers take it, and how.
        spec: Of the network's weights.
        weights: ``(S, D)``, the draws.
        law: Their law given z; its first D columns are the network's.
        rows: N, rows of the batch.

    Attributes:
        tensors: Name → ``(S, *shape)``: the conditional means of what takes row noise, and the sampled values
            of the rest.
        drawn: Name → ``(S, …)``: of a local layer the standard noise of its outputs, ``(S, N, O)``; of a
            flipped tensor its noise, ``(S, *shape)``.
        variances: Name → ``(S, *shape)`` of local layers' tensors; empty where all draws share them.
    """

    def __init__(
        self, layers: Layers, spec: WeightSpec, weights: Tensor, law: Conditional, rows: int
    ) -> None:
        self._layers = layers
        draws, generator = law.mean.shape[1], law.generator
        local = [name for layer in layers.local for name in (layer.weight, layer.bias) if name is not None]
        flipped = [layer.weight for layer in layers.flipped] + [name for name, _ in layers.biases]
        mean = law.mean[..., : spec.size].flatten(0, 1)
        sampled = [name for name in spec.names if name not in local and name not in flipped]
        self.tensors = spec.unflatten(mean, [*local, *flipped]) | spec.unflatten(weights, sampled)
        self.drawn = {
            layer.weight: torch.randn(
                (len(weights), layer.outputs, rows),
                generator=generator,
                dtype=weights.dtype,
                device=weights.device,
            ).mT
            for layer in layers.local
        }
        self._signs = draw_signs(layers, rows, weights, generator)
        if flipped:
            self.drawn |= spec.unflatten(weights - mean, flipped)
        variances = spec.unflatten(law.scale[:, 0, : spec.size].square(), local)
        # One group: its variances are the same for all draws, and are multiplied with x once.
        shared = len(law.mean) == 1
        self._shared = {name: variance[0] for name, variance in variances.items()} if shared else {}
        self.variances = (
            {}
            if shared
            else {name: variance.repeat_interleave(draws, dim=0) for name, variance in variances.items()}
        )

    @contextmanager
    def of(self, tensors: Tensors, drawn: Tensors, variances: Mapping[str, Tensor]) -> Iterator[None]:
        """Within it, a network that is run with one draw's ``tensors`` gets that draw's noise."""
        variances = self._shared or variances
        local = {
            id(tensors[layer.weight]): (
                variances[layer.weight],
                None if layer.bias is None else variances[layer.bias],
                drawn[layer.weight],
            )
            for layer in self._layers.local
        }
        flipped = {id(tensors[name]): (drawn[name], *signs) for name, signs in self._signs.items()}
        with LocalReparameterization(local), Flipout(flipped):
            yield
