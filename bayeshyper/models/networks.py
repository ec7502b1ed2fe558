"""Ready-made target networks, by the name that recipes use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "MLP", "NETWORKS"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
}


class MLP(nn.Module):
    """A multi-layer perceptron from ``(N, in_features)`` to ``(N, out_features)``.

    Args:
        in_features: Inputs per row.
        out_features: Outputs per row.
        hidden: Units of each hidden layer; ``()`` is a linear model.
        activation: One of ``relu, tanh, gelu, silu, elu``.

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
        widths = [in_features, *hidden]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_features)`` to ``(N, out_features)``."""
        output: Tensor = self.layers(x)
        return output


NETWORKS: dict[str, type[nn.Module]] = {"mlp": MLP}
