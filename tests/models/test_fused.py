from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bayeshyper.models import BayesianModel, FanInPrior, Gaussian, Target, row_gradients
from tests.models.zoo import ZOO, LastState


class OwnAttention(nn.Module):
    """Attention as people write it themselves, on torch's fused function."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.head = nn.Linear(2, 12), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unsqueeze(1).chunk(3, dim=-1)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        output: Tensor = self.head(attended[:, 0].mean(1))
        return output


class Branching(nn.Module):
    """Decides by the value of a weight, which vmap cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.linear(x.mean(1))
        return -output if bool(self.linear.weight.sum() > 0) else output


class Simple(LastState):
    def __init__(self) -> None:
        super().__init__(nn.RNN)  # type: ignore[arg-type]


KINDS = {
    **{name: (lambda name=name: ZOO[name]()[:2]) for name in ZOO},
    "rnn": lambda: (Simple(), ZOO["lstm"]()[1]),
    "attention": lambda: (OwnAttention(), ZOO["lstm"]()[1]),
    "branching": lambda: (Branching(), ZOO["lstm"]()[1]),
}


def problem(name: str) -> tuple[Target, Tensor, Tensor]:
    """A target, three weight vectors and four rows, in float64."""
    torch.manual_seed(0)
    network, x = KINDS[name]()
    target = Target(network.double())
    initial = target.spec.flatten(target.initial())
    return target, initial + 0.1 * torch.randn(3, target.spec.size), x[:4].double()


def in_turn(target: Target, weights: Tensor, x: Tensor) -> Tensor:
    """Plain modules, one after the other."""
    results = []
    for row in weights:
        module = copy.deepcopy(target.network)
        results.append(torch.func.functional_call(module, target.spec.unflatten(row), (x,)))
    return torch.stack(results)


@pytest.mark.parametrize("name", KINDS)
def test_any_network_gives_what_plain_modules_give(name: str) -> None:
    """Values and gradients, with and without gradients wanted; a warning would be an error."""
    target, weights, x = problem(name)
    weights.requires_grad_()
    found, expected = target(weights, x), in_turn(target, weights, x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    slope = torch.randn_like(found)
    (of_found,) = torch.autograd.grad(found, weights, slope)
    (of_expected,) = torch.autograd.grad(expected, weights, slope)
    torch.testing.assert_close(of_found, of_expected, rtol=1e-9, atol=1e-9)
    with torch.no_grad():  # where torch's own encoder layers would take their fast path
        torch.testing.assert_close(target(weights, x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["encoder", "lstm", "branching"])
def test_gradients_of_single_rows_are_those_of_a_loop(name: str) -> None:
    target, weights, x = problem(name)
    model = BayesianModel(target, FanInPrior(), Gaussian(), num_data=4)
    weights = torch.cat([weights, torch.zeros(3, 1)], dim=1)
    y = torch.randn(3, 4, dtype=torch.float64)
    found = row_gradients(model, weights, x, y)
    for draw in range(3):
        for row in range(4):
            theta = weights[draw : draw + 1].clone().requires_grad_()
            outputs = in_turn(target, theta[:, :-1], x[row : row + 1])
            score = model.observe(theta, outputs).log_prob(y[draw, row : row + 1]).sum()
            (expected,) = torch.autograd.grad(score, theta)
            torch.testing.assert_close(found[draw, row], expected[0], rtol=1e-8, atol=1e-8)


# -- what does not depend on the weights is computed once --------------------------------------------------


class Counted(torch.autograd.Function):
    """Its input, while it counts the numbers that really pass: under vmap those of all draws."""

    seen = 0
    generate_vmap_rule = False

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        Counted.seen += x.numel()
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return slope

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor) -> tuple[Tensor, int | None]:
        Counted.seen += x.numel()
        return x.clone(), in_dims[0]


class Counting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = Counted.apply(x)  # type: ignore[no-untyped-call]
        return output


class Last(nn.Module):
    """The last step of what a recurrent layer gives."""

    def forward(self, x: tuple[Tensor, Tensor]) -> Tensor:
        return x[0][:, -1]


CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def in_front(kind: str) -> tuple[nn.Module, Tensor, int]:
    """A network that counts after its body, rows, and the body's numbers per row."""
    torch.manual_seed(0)
    if kind == "mlp":
        body, x, width = nn.Sequential(nn.Linear(4, 6), nn.Tanh()), torch.randn(9, 4), 6
    elif kind == "convnet":
        body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten())
        x, width = torch.randn(9, 1, 4, 4), 8
    elif kind in CELLS:
        body, x, width = nn.Sequential(CELLS[kind](2, 5, batch_first=True), Last()), torch.randn(9, 3, 2), 5
    else:
        layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        body, x, width = nn.Sequential(layer, nn.Flatten()), torch.randn(9, 3, 4), 12
    network = nn.Sequential()
    network.add_module("body", body)
    network.add_module("count", Counting())
    network.add_module("head", nn.Linear(width, 1))
    return network, x, width


@pytest.mark.parametrize("kind", ["mlp", "convnet", "encoder", *CELLS])
@pytest.mark.parametrize("learning", [True, False])
def test_what_stands_before_a_bayesian_head_is_computed_once_for_all_draws(kind: str, learning: bool) -> None:
    network, x, width = in_front(kind)
    seen = {}
    for globs in (["head.*"], ["*"]):
        target = Target(network, globs)
        weights = torch.randn(7, target.spec.size)
        with torch.set_grad_enabled(learning):
            target(weights, x)  # the first batch is looked at
            Counted.seen = 0
            target(weights, x)
        seen[tuple(globs)] = Counted.seen
    assert seen == {("head.*",): 9 * width, ("*",): 7 * 9 * width}


@pytest.mark.parametrize("kind", ["lstm", "encoder", "convnet"])
def test_what_stands_before_a_bayesian_head_is_trained_as_if_it_stood_alone(kind: str) -> None:
    network, x, _ = in_front(kind)
    target = Target(network.double(), ["head.*"])
    weights = torch.randn(7, target.spec.size, dtype=torch.float64)
    target(weights, x.double()).square().sum().backward()
    found = {name: p.grad for name, p in target.network.named_parameters() if p.requires_grad}
    target.zero_grad()
    in_turn_one = [
        torch.func.functional_call(target.network, target.spec.unflatten(row), (x.double(),))
        for row in weights
    ]
    torch.stack(in_turn_one).square().sum().backward()
    assert found
    for name, parameter in target.network.named_parameters():
        if name in found:
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-9, atol=1e-9)


def test_draws_are_split_where_they_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x, width = in_front("convnet")
    target = Target(network, ["head.*"])
    weights = torch.randn(7, target.spec.size)
    with torch.no_grad():
        whole = target(weights, x)
        widest = target.layers(x).widest
        monkeypatch.setattr("bayeshyper.models.target.HELD_NUMBERS", 3 * widest * len(x))
        Counted.seen = 0
        torch.testing.assert_close(target(weights, x), whole)
    assert Counted.seen == 3 * 9 * width  # 7 draws in chunks of 3
