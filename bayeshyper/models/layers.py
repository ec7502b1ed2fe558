"""Which layers of a network see the data's rows, so that each row may have weight noise of its own.

The ELBO is a sum over rows: it knows the law of each row's outputs, not how rows vary together. A layer whose
input has the rows in front, and mixes none of them, may therefore use other noise for every row, as long as
all that one row passes through is one draw of the weights. What it buys is gradients of less variance. How a
network uses its weights is written nowhere, so it is run on three rows and watched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["CHANNEL_DIM", "Layer", "Layers", "arguments", "find_layers"]

CHANNEL_DIM: dict[Callable[..., Tensor], int] = {
    F.linear: -1,
    F.conv1d: 1,
    F.conv2d: 1,
    F.conv3d: 1,
    F.conv_transpose1d: 1,
    F.conv_transpose2d: 1,
    F.conv_transpose3d: 1,
}
"""The functions that multiply channels by weights, and where their inputs' and outputs' channels stand."""

# Rows that are looked at for two that differ.
LOOKED_AT = 64
# The second time, two of the three rows, the other way round.
SWAPPED = [1, 0]


@dataclass(frozen=True)
class Layer:
    """A weight that meets data only as a Linear's or a convolution's.

    Args:
        weight: Its name.
        bias: The name of a bias that is its alone; None where there is none, or where it is not sampled.
        inputs: Channels that it takes.
        outputs: Channels that it gives.
    """

    weight: str
    bias: str | None
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Layers:
    """The layers in which rows may have noise of their own.

    Args:
        local: Linears called once on ``(N, F)``: their outputs may be sampled instead of their weights.
        flipped: Other Linears, and convolutions: their noise may have each row's own signs.
        biases: The biases of ``flipped``, with their lengths.
        widest: How many numbers per row the largest tensor on the way holds.
    """

    local: tuple[Layer, ...] = ()
    flipped: tuple[Layer, ...] = ()
    biases: tuple[tuple[str, int], ...] = ()
    widest: int = 1

    def __bool__(self) -> bool:
        return bool(self.local or self.flipped)


@dataclass(frozen=True)
class _Call:
    """One call of a layer."""

    function: Callable[..., Tensor]
    weight: str
    bias: str | None
    inputs: Tensor
    outputs: Tensor

    @property
    def signature(self) -> tuple[Callable[..., Tensor], int, int]:
        """What all calls with one weight must have in common: then its entries join the same channels."""
        dim = CHANNEL_DIM[self.function]
        return self.function, self.inputs.shape[dim], self.outputs.shape[dim]


class _Recorder(TorchFunctionMode):
    """Counts in which torch functions each tensor takes part, and keeps the calls of layers."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.names = {id(tensor): name for name, tensor in tensors.items()}
        self.uses: dict[str, int] = dict.fromkeys(tensors, 0)
        self.calls: list[_Call] = []
        self.largest = 1

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        # A property such as weight.T is a use; one such as weight.shape gives no tensor, and is not.
        if getattr(func, "__name__", "") != "__get__" or isinstance(result, Tensor):
            for name in self._named([*args, *kwargs.values()]):
                self.uses[name] += 1
        for each in result if isinstance(result, tuple) else (result,):
            if isinstance(each, Tensor):
                self.largest = max(self.largest, each.numel())
        if func in CHANNEL_DIM:
            inputs, weight, bias, _, _ = arguments(*args, **kwargs)
            weight_name = self.names.get(id(weight))
            if weight_name is not None:
                self.calls.append(_Call(func, weight_name, self.names.get(id(bias)), inputs, result))
        return result

    def _named(self, values: Sequence[Any]) -> list[str]:
        found = []
        for value in values:
            if isinstance(value, (list, tuple)):
                found += self._named(value)
            elif id(value) in self.names:
                found.append(self.names[id(value)])
        return found


def arguments(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **options: Any
) -> tuple[Tensor, Tensor, Tensor | None, tuple[Any, ...], dict[str, Any]]:
    """The arguments of any function in `CHANNEL_DIM`, by position or by name, in one order."""
    return input, weight, bias, rest, options


def find_layers(network: nn.Module, x: Tensor, tensors: Mapping[str, Tensor]) -> Layers:
    """Run the network on a few rows and list the layers in which rows may have noise of their own.

    Args:
        network: The network, in evaluation mode.
        x: ``(N, …)``; where no two rows differ, nobody can see a network mix them, and no layer is listed.
        tensors: Name → value of the tensors that are sampled; the others are left alone.

    Example:
        >>> net = nn.Sequential(nn.Conv1d(1, 2, 2), nn.Flatten(), nn.Linear(4, 1)).eval()
        >>> found = find_layers(net, torch.randn(5, 1, 3), dict(net.named_parameters()))
        >>> [layer.weight for layer in found.local], [layer.weight for layer in found.flipped]
        (['2.weight'], ['0.weight'])
    """
    different = torch.unique(x[:LOOKED_AT], dim=0)
    three = different[torch.arange(3, device=x.device) % len(different)]
    # A network may start with zeros where it will mix rows later: it is watched a little way from there.
    generator = torch.Generator().manual_seed(0)
    moved = {
        name: tensor.detach() + 0.1 * torch.randn(tensor.shape, generator=generator).to(tensor)
        for name, tensor in tensors.items()
    }
    first, output = _watch(network, moved, three)
    widest = -(-first.largest // len(three))
    if len(different) < 2:
        return Layers(widest=widest)
    second, swapped = _watch(network, moved, three[SWAPPED])
    if len(first.calls) != len(second.calls) or not _keeps_rows(output, swapped):
        return Layers(widest=widest)
    good = [
        call
        for call, again in zip(first.calls, second.calls, strict=True)
        if call.weight == again.weight and _keeps_rows(call.inputs, again.inputs)
    ]
    return replace(_sorted_out(good, first.uses), widest=widest)


def _watch(network: nn.Module, tensors: Mapping[str, Tensor], x: Tensor) -> tuple[_Recorder, Tensor]:
    recorder = _Recorder(tensors)
    with torch.no_grad(), recorder:
        output = functional_call(network, dict(tensors), (x,))
    return recorder, output


def _keeps_rows(of_three: Tensor, of_swapped: Tensor) -> bool:
    """Whether a tensor has the rows in front, each the same whatever others there are."""
    if of_three.dim() < 1 or len(of_three) != 3:
        return False
    expected = of_three[SWAPPED]
    # float32 rounds in another order for other rows; whatever mixes rows changes more than that
    atol = 1e-5 * float(expected.abs().max()) if expected.numel() else 0.0
    return of_swapped.shape == expected.shape and torch.allclose(of_swapped, expected, rtol=1e-4, atol=atol)


def _sorted_out(calls: Sequence[_Call], uses: Mapping[str, int]) -> Layers:
    """The layers whose every use is one of these calls."""
    by_weight: dict[str, list[_Call]] = {}
    by_bias: dict[str, list[_Call]] = {}
    for call in calls:
        by_weight.setdefault(call.weight, []).append(call)
        if call.bias is not None:
            by_bias.setdefault(call.bias, []).append(call)
    local, flipped = [], []
    for name, its in by_weight.items():
        if len(its) != uses[name] or len({call.signature for call in its}) > 1:
            continue
        function, inputs, outputs = its[0].signature
        bias = its[0].bias
        on_rows = len(its) == 1 and function is F.linear and its[0].inputs.dim() == 2
        if on_rows and (bias is None or uses[bias] == 1):
            local.append(Layer(name, bias, inputs, outputs))
        else:
            flipped.append(Layer(name, None, inputs, outputs))
    in_flipped = {layer.weight for layer in flipped}
    biases = tuple(
        (name, its[0].signature[2])
        for name, its in by_bias.items()
        if len(its) == uses[name] and all(call.weight in in_flipped for call in its)
    )
    return Layers(tuple(local), tuple(flipped), biases)
