"""A Normal prior whose scale in each layer is not given but found: what inferred and learned ones share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bayeshyper.models.likelihoods import Latent
from bayeshyper.models.spec import WeightSpec

from .base import is_gain
from .normal import FanInPrior

__all__ = ["LayerwisePrior"]


class LayerwisePrior(FanInPrior):
    """Normal weights whose standard deviation is ``scale`` times a factor τ of their layer.

    A layer is a tensor of weights, with two or more dimensions. Biases and the gains of normalisation layers
    keep the scale that `Prior` gives them: a handful of numbers says little of a scale, and their
    unit is the activations', which is known.

    Attributes:
        layers: The names of the tensors that have a τ, in the order of their factors.
    """

    layers: tuple[str, ...] = ()
    layer_of: Tensor
    """Each weight's layer by number, ``(D,)``; L, their count, where it has none."""

    def build(self, spec: WeightSpec, initial: Mapping[str, Tensor], latents: Mapping[str, Latent]) -> None:
        """Lay the prior out over a spec; see `Prior.build`."""
        super().build(spec, initial, latents)
        self.layers = layers_of(initial)
        layer_of = torch.full((spec.size,), len(self.layers))
        for number, name in enumerate(self.layers):
            layer_of[spec[name].slice] = number
        self.register_buffer("layer_of", layer_of, persistent=False)


def layers_of(initial: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The tensors that have a scale of their own."""
    return tuple(name for name, tensor in initial.items() if tensor.dim() > 1 and not is_gain(tensor))


def spread_out(per_layer: Tensor, layer_of: Tensor) -> Tensor:
    """Numbers of L layers ``(…, L)`` as numbers of D weights ``(…, D)``; 0 for those of no layer."""
    padded = torch.nn.functional.pad(per_layer, (0, 1))
    return padded.index_select(-1, layer_of)
