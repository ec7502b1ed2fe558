from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bayeshyper.models import MLP


def test_no_hidden_layer_is_a_linear_model() -> None:
    network = MLP(3, 2, hidden=())
    x, y = torch.randn(4, 3), torch.randn(4, 3)
    # f(x) + f(y) = f(x + y) + f(0) holds for affine maps alone; float32 sums of a few terms of order 1
    torch.testing.assert_close(network(x) + network(y), network(x + y) + network(0 * x), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("relu", torch.relu),
        ("tanh", torch.tanh),
        ("gelu", torch.nn.functional.gelu),
        ("silu", torch.nn.functional.silu),
        ("elu", torch.nn.functional.elu),
    ],
)
def test_layers_alternate_with_the_named_activation(
    activation: str, function: Callable[[Tensor], Tensor]
) -> None:
    network = MLP(3, 2, hidden=(5, 4), activation=activation).double()
    weights = [p for p in network.parameters() if p.dim() == 2]
    biases = [p for p in network.parameters() if p.dim() == 1]
    x = torch.randn(6, 3, dtype=torch.float64)
    h = x
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        h = function(h @ weight.T + bias)
    torch.testing.assert_close(network(x), h @ weights[-1].T + biases[-1], rtol=1e-12, atol=1e-12)


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match="'swish', expected one of relu, tanh"):
        MLP(3, 1, activation="swish")
    with pytest.raises(ValueError, match=r"hidden = \[5, 0\], expected at least one unit"):
        MLP(3, 1, hidden=(5, 0))
