"""Local reparameterisation: sample a Linear's outputs instead of its weights, where that is exact.

With W ~ N(W̄, V) elementwise and x fixed, xWᵀ + b has independent entries N(x W̄ᵀ + b̄, x² Vᵀ + v_b)
for a row of x (Kingma, Salimans, Welling 2015, arXiv 1506.02557). Sampling there gives every row its own
noise, and so gradients of far less variance. It changes the joint law over *rows*, which the ELBO, a sum
over rows, cannot see. Positions of one sequence or patches of one image that share a weight are not rows:
there it would be wrong, so only a Linear called once per forward pass on ``(N, F)`` input qualifies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["Conditional", "LinearCall", "LocalReparameterization", "find_linear_calls", "spread"]

# The derivative of √v is infinite at v = 0, which a bias-free Linear on an all-zero row would reach.
MIN_VARIANCE = 1e-12


@dataclass(frozen=True)
class Conditional:
    """The law of a weight draw given its noise z: independent Normals, in G groups of R draws.

    Args:
        mean: ``(G, R, D)``, m = μ + s ∘ A φ(z).
        scale: ``(G, 1, D)``, s ∘ σ, shared by the draws of a group.
        generator: Where further noise comes from; None is torch's global generator.
    """

    mean: Tensor
    scale: Tensor
    generator: torch.Generator | None = None


def spread(variance: Tensor, *, has_bias: bool) -> Tensor:
    """The standard deviation of a Linear's outputs; its bias's variance, or a floor, keeps it above 0."""
    return (variance if has_bias else variance.clamp_min(MIN_VARIANCE)).sqrt()


@dataclass(frozen=True)
class LinearCall:
    """A Linear that qualifies: the names of its weight and bias (None without one) and its output width."""

    weight: str
    bias: str | None
    out_features: int


class _Recorder(TorchFunctionMode):
    """Counts in which torch functions each parameter takes part, and how F.linear was called."""

    def __init__(self, names: Mapping[int, str], rows: int) -> None:
        super().__init__()
        self.names = names
        self.rows = rows
        self.uses: dict[str, int] = dict.fromkeys(names.values(), 0)
        self.calls: list[LinearCall] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        # A property such as weight.T is a use; one such as weight.shape gives no tensor, and is not.
        if getattr(func, "__name__", "") != "__get__" or isinstance(result, Tensor):
            for name in self._named([*args, *kwargs.values()]):
                self.uses[name] += 1
        if func is F.linear:
            inputs, weight, bias = _linear_arguments(*args, **kwargs)
            weight_name = self.names.get(id(weight))
            if weight_name is not None and inputs.dim() == 2 and len(inputs) == self.rows:
                bias_name = None if bias is None else self.names.get(id(bias))
                self.calls.append(LinearCall(weight_name, bias_name, weight.shape[0]))
        return result

    def _named(self, values: Sequence[Any]) -> list[str]:
        found = []
        for value in values:
            if isinstance(value, (list, tuple)):
                found += self._named(value)
            elif id(value) in self.names:
                found.append(self.names[id(value)])
        return found


def _linear_arguments(
    input: Tensor, weight: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    return input, weight, bias


def find_linear_calls(network: nn.Module, x: Tensor, names: Sequence[str]) -> list[LinearCall]:
    """Run the network once on a probe and list the Linears whose outputs may be sampled instead.

    Args:
        network: The network, which is left in the mode it was in.
        x: One or two rows of input.
        names: The tensors that are sampled; a Linear whose weight is not among them is left alone.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
        >>> [call.weight for call in find_linear_calls(net, torch.zeros(2, 3), ["0.weight", "0.bias"])]
        ['0.weight']
    """
    parameters = dict(network.named_parameters())
    recorder = _Recorder({id(parameters[name]): name for name in names}, rows=len(x))
    was_training = network.training
    network.eval()  # a probe must not move running statistics
    try:
        with torch.no_grad(), recorder:
            network(x)
    finally:
        network.train(was_training)
    return [
        call
        for call in recorder.calls
        if recorder.uses[call.weight] == 1 and (call.bias is None or recorder.uses[call.bias] == 1)
    ]


class LocalReparameterization(TorchFunctionMode):
    """Replaces ``F.linear`` for the given weights, told apart by the identity of the tensor passed in.

    Args:
        layers: ``id(mean weight)`` → ``(weight variance (out, in), bias variance (out,) or None,
            noise (N, out))``. The tensors that the network sees are the conditional *means*.
    """

    def __init__(self, layers: Mapping[int, tuple[Tensor, Tensor | None, Tensor]]) -> None:
        super().__init__()
        self.layers = layers

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not F.linear:
            return func(*args, **kwargs)
        inputs, weight, bias = _linear_arguments(*args, **kwargs)
        layer = self.layers.get(id(weight))
        if layer is None:
            return func(inputs, weight, bias)
        weight_variance, bias_variance, noise = layer
        variance = func(inputs.square(), weight_variance, bias_variance)
        scale = spread(variance, has_bias=bias_variance is not None)
        return torch.addcmul(func(inputs, weight, bias), scale, noise)
