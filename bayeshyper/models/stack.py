"""A stack of Linears and activations, run on many weight vectors by batched matrix products.

``vmap`` of ``functional_call`` runs any network, but its own bookkeeping costs about half a millisecond a
call: as much as the arithmetic of a small one. Most networks for tables are a stack of Linears, whose
batched form is one ``baddbmm`` a layer. A network that is exactly that, by its type, is run here; whatever
else it is, by ``vmap``.

Inside, rows are columns, ``(S, units, N)``: long where units are few, above all the single output of a
regression, whose products take half the time so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from .local import Conditional, spread
from .networks import MLP
from .spec import WeightSpec

__all__ = ["Affine", "LinearStack"]

# They act on each entry alone and hold no parameter, so that any leading dimensions may be in front.
ELEMENTWISE = (nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Softplus, nn.Identity)
# Hidden numbers held at once where no gradient is wanted: 3 MB of float64, which stay in a processor's cache.
BLOCK_NUMBERS = 400_000
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True)
class Affine:
    """The sizes of a Linear; its numbers come with each call."""

    fan_in: int
    fan_out: int
    has_bias: bool

    @property
    def sizes(self) -> list[int]:
        """Entries of its matrix and, where it has one, of its bias."""
        return [self.fan_in * self.fan_out, self.fan_out][: 1 + self.has_bias]

    def __call__(self, pieces: Iterator[Tensor], h: Tensor) -> Tensor:
        """``(S, in, N)`` to ``(S, out, N)``, by the next pieces ``(S, size)`` of S weight vectors."""
        matrix = next(pieces).reshape(-1, self.fan_out, self.fan_in)
        return torch.baddbmm(next(pieces).unsqueeze(2), matrix, h) if self.has_bias else torch.bmm(matrix, h)


class LinearStack:
    """Linears and activations in turn, whose tensors lie in the weight vector one after the other.

    Args:
        layers: The Linears' sizes and, after them, the activations.

    Example:
        >>> stack = LinearStack([Affine(3, 5, True), nn.Tanh(), Affine(5, 1, True)])
        >>> stack(torch.randn(7, 26), torch.randn(4, 3)).shape
        torch.Size([7, 4, 1])
    """

    def __init__(self, layers: Sequence[Affine | nn.Module]) -> None:
        self.layers = list(layers)
        self._in_place = [nn.ReLU(inplace=True) if type(layer) is nn.ReLU else layer for layer in layers]
        affine = [layer for layer in layers if isinstance(layer, Affine)]
        self._sizes = [size for layer in affine for size in layer.sizes]
        self._outputs = affine[-1].fan_out
        self._width = max(max(layer.fan_in, layer.fan_out) for layer in affine)

    @classmethod
    def of(cls, network: nn.Module, spec: WeightSpec) -> Self | None:
        """The stack that a network is when ``spec`` names its sampled tensors; None where it is none.

        Example:
            >>> network = nn.Sequential(nn.Linear(3, 5), nn.Tanh())
            >>> spec = WeightSpec((name, p.shape) for name, p in network.named_parameters())
            >>> LinearStack.of(network, spec).layers
            [Affine(fan_in=3, fan_out=5, has_bias=True), Tanh()]
            >>> LinearStack.of(network.append(nn.LayerNorm(5)), spec) is None
            True
        """
        if any("forward" in vars(m) or any(getattr(m, hook) for hook in HOOKS) for m in network.modules()):
            return None
        layers: list[Affine | nn.Module] = []
        names: list[str] = []
        for prefix, module in _leaves(network):
            if type(module) is nn.Linear:
                layers.append(Affine(module.in_features, module.out_features, module.bias is not None))
                names += [prefix + name for name, _ in module.named_parameters()]
            elif type(module) in ELEMENTWISE and layers:
                layers.append(module)
            else:
                return None
        # A tensor that two Linears share, or that is not sampled, is not in the spec twice, or at all.
        return cls(layers) if tuple(names) == spec.names else None

    def __call__(self, weights: Tensor, x: Tensor) -> Tensor:
        """Run S weight vectors ``(S, D)`` on the same rows ``(N, F)``: ``(S, N, O)``.

        Where no gradient is wanted, block by block: four times faster with 1000 draws of 50 hidden units,
        whose layers for all draws and rows would have to be fetched from memory again and again.
        """
        if torch.is_grad_enabled():
            return self._run(self.layers, weights, x).mT
        rows = max(1, min(len(x), BLOCK_NUMBERS // (2 * self._width)))
        draws = max(1, BLOCK_NUMBERS // (self._width * rows))
        outputs = weights.new_empty(len(weights), self._outputs, len(x))
        for some, out in zip(weights.split(draws), outputs.split(draws), strict=True):
            for part, place in zip(x.split(rows), out.split(rows, dim=2), strict=True):
                place.copy_(self._run(self._in_place, some, part))
        return outputs.mT

    def _run(self, layers: Sequence[Affine | nn.Module], weights: Tensor, x: Tensor) -> Tensor:
        """``(S, O, N)``."""
        pieces = self.cut(weights)
        h = x.mT.expand(len(weights), *x.mT.shape)
        for layer in layers:
            h = layer(pieces, h) if isinstance(layer, Affine) else layer(h)
        return h

    def local(self, law: Conditional, x: Tensor) -> Tensor:
        """Run G·R draws on the same rows ``(N, F)``, each Linear's outputs sampled: ``(G·R, N, O)``."""
        groups, draws = law.mean.shape[:2]
        means, variances = self.cut(law.mean.flatten(0, 1)), self.cut(law.scale[:, 0].square())
        of_each_draw = (piece.unsqueeze(1).expand(-1, draws, -1).flatten(0, 1) for piece in variances)
        inputs = h = x.mT.expand(groups * draws, *x.mT.shape)
        for layer in self.layers:
            if not isinstance(layer, Affine):
                h = layer(h)
                continue
            if h is inputs:  # the same for all draws: so is the spread within a group
                variance = layer(variances, x.mT.square().expand(groups, *x.mT.shape)).unsqueeze(1)
            else:
                variance = layer(of_each_draw, h.square()).unflatten(0, (groups, draws))
            shape = (groups, draws, layer.fan_out, len(x))
            noise = torch.randn(shape, generator=law.generator, dtype=h.dtype, device=h.device)
            scale = spread(variance, has_bias=layer.has_bias)
            h = torch.addcmul(layer(means, h).view(shape), scale, noise).flatten(0, 1)
        return h.mT

    def cut(self, weights: Tensor) -> Iterator[Tensor]:
        """The pieces of ``(S, D or more)``; a likelihood's latents at the end are left alone."""
        # One split, whose gradient is one concatenation: slices would each fill a D-vector with zeros.
        rest = weights.shape[1] - sum(self._sizes)
        return iter(weights.split([*self._sizes, rest], dim=1))


def _leaves(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """A network's modules in the order in which they are run, with the start of their tensors' names."""
    if type(module) is MLP:
        yield from _leaves(module.layers, f"{prefix}layers.")
    elif type(module) is nn.Sequential:
        for name, child in module._modules.items():  # named_children() gives a module that stands twice once
            assert child is not None
            yield from _leaves(child, f"{prefix}{name}.")
    else:
        yield prefix, module
