from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from bayeshyper.models.layers import Layers, find_layers
from tests.models.laws import Flattened, Reused, Shared, SharedBias


class Mixing(nn.Module):
    """Attention between the rows of a batch, hidden by a gate that starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Linear(3, 3), nn.Linear(3, 1)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        h = self.before(x)
        output: Tensor = self.after(h + self.gate * torch.softmax(h @ h.mT, -1) @ h)
        return output


class MixedOnTheWay(nn.Module):
    """Its outputs are each row's own; what its first layer sees is not."""

    def __init__(self) -> None:
        super().__init__()
        self.of_mean, self.of_row = nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.of_row(x) + 0 * self.of_mean(x - x.mean(0))
        return output


class PositionsFirst(nn.Module):
    """A Linear over ``(T, N, F)``."""

    def __init__(self) -> None:
        super().__init__()
        self.each, self.last = nn.Linear(3, 2), nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.last(self.each(x.transpose(0, 1)).mean(0))
        return output


class TwoWays(nn.Module):
    """One matrix as a Linear's and as a convolution's, whose entries join channels differently."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = F.conv_transpose1d(F.conv1d(x.mT, self.weight), self.weight).mean(2)
        return output


class BiasAgain(nn.Module):
    """A convolution whose bias is added once more outside it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        assert self.conv.bias is not None
        return self.conv(x.mT).mean(2) + self.conv.bias.square()


class RandomStill(nn.Module):
    """Random in evaluation mode too: nobody can see whether it mixes rows."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.linear(x + torch.randn_like(x))
        return output


ROWS = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
SEQUENCES = torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(0))


def found(network: nn.Module, x: Tensor) -> Layers:
    return find_layers(network.eval(), x, dict(network.named_parameters()))


@pytest.mark.parametrize(
    ("kind", "x", "local", "flipped", "biases"),
    [
        (Reused, ROWS, ["last.weight"], ["again.weight"], ["again.bias"]),
        (Shared, ROWS, [], ["one.weight"], ["one.bias", "two.bias"]),
        (SharedBias, ROWS, [], ["one.weight", "two.weight"], ["one.bias"]),
        (PositionsFirst, SEQUENCES, ["last.weight"], [], []),
        (Flattened, SEQUENCES, [], [], []),
        (MixedOnTheWay, ROWS, ["of_row.weight"], [], []),
        (Mixing, ROWS, [], [], []),
        (TwoWays, SEQUENCES, [], [], []),
        (BiasAgain, SEQUENCES, [], ["conv.weight"], []),
        (RandomStill, ROWS, [], [], []),
        # The weight is computed from two tensors; the bias is its own, but its layer's noise is not flipped.
        (lambda: weight_norm(nn.Conv1d(3, 2, 1)), SEQUENCES, [], [], []),
        # What happens to the rows later on is of no matter, as long as they come out unmixed.
        (
            lambda: nn.Sequential(nn.Linear(3, 3), nn.Flatten(0), nn.Unflatten(0, (-1, 3))),
            ROWS,
            ["0.weight"],
            [],
            [],
        ),
    ],
)
def test_what_may_have_noise_for_each_row(
    kind: Callable[[], nn.Module], x: Tensor, local: list[str], flipped: list[str], biases: list[str]
) -> None:
    layers = found(kind(), x)
    assert [layer.weight for layer in layers.local] == local
    assert [layer.weight for layer in layers.flipped] == flipped
    assert [name for name, _ in layers.biases] == biases


def test_rows_that_are_all_alike_say_nothing() -> None:
    assert not found(nn.Linear(3, 1), torch.ones(9, 3))
    assert found(nn.Linear(3, 1), torch.eye(3)[:2])


def test_integer_rows_are_looked_at_too() -> None:
    network = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2), nn.Flatten(), nn.Linear(6, 1))
    layers = found(network, torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 0]]))
    assert [layer.weight for layer in layers.flipped] == ["1.weight"]
    assert [layer.weight for layer in layers.local] == ["3.weight"]


def test_the_widest_tensor_on_the_way_is_counted_per_row() -> None:
    network = nn.Sequential(nn.Conv1d(3, 7, 1), nn.ReLU(), nn.Flatten(), nn.Linear(21, 1))
    assert found(network, SEQUENCES).widest == 7 * 3
    assert found(network, SEQUENCES[:1].expand(4, 3, 3)).widest == 7 * 3
