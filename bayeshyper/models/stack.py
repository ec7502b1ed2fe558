"""A stack of Linears and activations, run on many weight vectors by batched matrix products.

``vmap`` of ``functional_call`` runs any network, but its own bookkeeping costs about half a millisecond a
call: as much as the arithmetic of a small one. Most networks for tables are a stack of Linears, whose
batched form is one ``baddbmm`` a layer. A network that is exactly that, by its type, is run here; whatever
else it is, by ``vmap``.
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

    def __call__(self, pieces: Iterator[Tensor], x: Tensor) -> Tensor:
        """``(S, N, in)`` to ``(S, N, out)``, by the next pieces ``(S, size)`` of S weight vectors."""
        matrix = next(pieces).reshape(-1, self.fan_out, self.fan_in).mT
        return torch.baddbmm(next(pieces).unsqueeze(1), x, matrix) if self.has_bias else torch.bmm(x, matrix)


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
        self._sizes = [size for layer in layers if isinstance(layer, Affine) for size in layer.sizes]

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
        """Run S weight vectors ``(S, D)`` on the same rows ``(N, F)``: ``(S, N, O)``."""
        pieces = self._cut(weights)
        h = x.expand(len(weights), *x.shape)
        for layer in self.layers:
            h = layer(pieces, h) if isinstance(layer, Affine) else layer(h)
        return h

    def local(self, law: Conditional, x: Tensor) -> Tensor:
        """Run G·R draws on the same rows ``(N, F)``, each Linear's outputs sampled: ``(G·R, N, O)``.

        The draws of a group share their variances, and in front of the first Linear their rows too: there
        the outputs' spread is computed once for all of them.
        """
        (groups, draws), n = law.mean.shape[:2], len(x)
        means, variances = self._cut(law.mean.flatten(0, 1)), self._cut(law.scale[:, 0].square())
        rows = h = x.expand(groups * draws, *x.shape)
        for layer in self.layers:
            if not isinstance(layer, Affine):
                h = layer(h)
                continue
            if h is rows:
                copies, squares = 1, x.square().expand(groups, *x.shape)
            else:
                copies, squares = draws, h.square().reshape(groups, draws * n, layer.fan_in)
            scale = spread(layer(variances, squares), has_bias=layer.has_bias)
            noise = torch.randn(
                (groups, draws, n, layer.fan_out), generator=law.generator, dtype=h.dtype, device=h.device
            )
            centre = layer(means, h).view(noise.shape)
            h = torch.addcmul(centre, scale.view(groups, copies, n, -1), noise).flatten(0, 1)
        return h

    def _cut(self, weights: Tensor) -> Iterator[Tensor]:
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
