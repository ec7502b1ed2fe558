"""Ready-made target networks, by the name that recipes use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from bayeshyper.memory import check_fits

__all__ = ["ACTIVATIONS", "MLP", "NETWORKS"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
}

# A model around a network holds each weight in it, in a copy of it, and in the prior's location and scale,
# each in float32 and in float64 while one becomes the other: measured, 39 bytes.
MODEL_BYTES = 40


class MLP(nn.Module):
    """A multi-layer perceptron from ``(N, in_features)`` to ``(N, out_features)``.

    Args:
        in_features: Inputs per row.
        out_features: Outputs per row.
        hidden: Units of each hidden layer; ``()`` is a linear model.
        activation: One of ``relu, tanh, gelu, silu, elu``.

    Raises:
        TooLarge: A model of it needs more memory than is free.
        ValueError: An unknown activation, or a layer without units.

    Example:
        >>> import torch
        >>> MLP(8, 1, hidden=(50,))(torch.zeros(4, 8)).shape
        torch.Size([4, 1])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        hidden: Sequence[int] = (50,),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"Got activation {activation!r}, expected one of {', '.join(ACTIVATIONS)}.")
        if any(units < 1 for units in hidden):
            raise ValueError(f"Got hidden = {list(hidden)}, expected at least one unit in each layer.")
        widths = [in_features, *hidden, out_features]
        weights = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(widths))
        check_fits(
            weights, f"{weights:,} weights of a network", bytes_each=MODEL_BYTES, instead="use smaller layers"
        )
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths[:-1]):
            layers += [nn.Linear(fan_in, fan_out), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-2], out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_features)`` to ``(N, out_features)``."""
        output: Tensor = self.layers(x)
        return output


NETWORKS: dict[str, type[nn.Module]] = {"mlp": MLP}
