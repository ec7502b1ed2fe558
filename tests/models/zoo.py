"""One small network of every kind that a target may be, each with data that it can learn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pyro.nn import DenseNN
from torch import Tensor, nn
from torch.nn import functional as F

from bayeshyper.models import MLP
from bayeshyper.threads import seeded

Problem = tuple[nn.Module, Tensor, Tensor]
"""A network, rows ``x (N, …)`` and standardised targets ``y (N,)``; the network gives ``(N, 1)``."""

ROWS = 48


class ResidualBlock(nn.Module):
    """Two convolutions with BatchNorm and a way around them (He et al. 2015)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same."""
        return F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class ResNet(nn.Module):
    """A convolution, one residual block, a mean over pixels and a Linear."""

    def __init__(self, channels: int = 6) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.block = ResidualBlock(channels)
        self.head = nn.Linear(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 1, H, W)`` to ``(N, 1)``."""
        output: Tensor = self.head(self.block(F.relu(self.bn(self.stem(x)))).mean((2, 3)))
        return output


class LastState(nn.Module):
    """A recurrent network, and a Linear on its last state."""

    def __init__(self, cell: type[nn.LSTM] | type[nn.GRU], features: int = 2, units: int = 8) -> None:
        super().__init__()
        self.cell = cell(features, units, batch_first=True)
        self.head = nn.Linear(units, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, T, F)`` to ``(N, 1)``."""
        output: Tensor = self.head(self.cell(x)[0][:, -1])
        return output


class Encoder(nn.Module):
    """A Transformer encoder of one layer, and a Linear on the mean over positions."""

    def __init__(self, features: int = 2, width: int = 8) -> None:
        super().__init__()
        self.embed = nn.Linear(features, width)
        layer = nn.TransformerEncoderLayer(width, nhead=2, dim_feedforward=16, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=1)
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, T, F)`` to ``(N, 1)``."""
        output: Tensor = self.head(self.encoder(self.embed(x)).mean(1))
        return output


class SequenceToNumber(nn.Module):
    """torch's own `nn.Transformer`, encoder and decoder, asked with one learned query."""

    def __init__(self, features: int = 2, width: int = 8) -> None:
        super().__init__()
        self.embed = nn.Linear(features, width)
        self.query = nn.Parameter(torch.randn(1, width))
        self.transformer = nn.Transformer(
            width,
            nhead=2,
            num_encoder_layers=1,
            num_decoder_layers=1,
            dim_feedforward=16,
            batch_first=True,
        )
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, T, F)`` to ``(N, 1)``."""
        query = self.query.expand(len(x), 1, -1)
        output: Tensor = self.head(self.transformer(self.embed(x), query)[:, 0])
        return output


def table() -> tuple[Tensor, Tensor]:
    """Four columns, and a curve in two of them."""
    x = torch.randn(ROWS, 4)
    return x, standardised(torch.sin(2 * x[:, 0]) + 0.5 * x[:, 1] + 0.2 * torch.randn(ROWS))


def pictures() -> tuple[Tensor, Tensor]:
    """Noise with a brighter spot in the middle; the target is how bright."""
    x, brightness = torch.randn(ROWS, 1, 6, 6), torch.randn(ROWS)
    x[:, :, 2:4, 2:4] += 2 * brightness[:, None, None, None]
    return x, standardised(brightness + 0.2 * torch.randn(ROWS))


def sequences() -> tuple[Tensor, Tensor]:
    """Five steps of two numbers; the target is their first one's sum."""
    x = torch.randn(ROWS, 5, 2)
    return x, standardised(x[..., 0].sum(1) + 0.2 * torch.randn(ROWS))


def standardised(y: Tensor) -> Tensor:
    return (y - y.mean()) / y.std()


def convnet() -> nn.Module:
    """Two convolutions with BatchNorm, and a Linear: D = 337."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(54, 1),
    )


def problem(network: Callable[[], nn.Module], data: Callable[[], tuple[Tensor, Tensor]]) -> Problem:
    """Network and data from one seed; nobody else's random numbers move."""
    with seeded(0):
        return network(), *data()


ZOO: dict[str, Callable[[], Problem]] = {
    "mlp": lambda: problem(lambda: MLP(4, 1, hidden=(16, 8)), table),
    "convnet": lambda: problem(convnet, pictures),
    "resnet": lambda: problem(ResNet, pictures),
    "lstm": lambda: problem(lambda: LastState(nn.LSTM), sequences),
    "gru": lambda: problem(lambda: LastState(nn.GRU), sequences),
    "encoder": lambda: problem(Encoder, sequences),
    "nn.Transformer": lambda: problem(SequenceToNumber, sequences),
    # A network of another library, as its users have it.
    "pyro.nn.DenseNN": lambda: problem(lambda: DenseNN(4, [16, 8], param_dims=[1]), table),
}
