"""A stack of Linears by batched products: the same numbers as by ``vmap``, and only where it is one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from bayeshyper.models import MLP, Conditional, Target
from bayeshyper.models.networks import ACTIVATIONS

X = torch.linspace(-1, 2, 18, dtype=torch.float64).reshape(6, 3)


def reused_activation() -> nn.Module:
    act = nn.Tanh()
    return nn.Sequential(nn.Linear(3, 4), act, nn.Linear(4, 4), act, nn.Linear(4, 2))


STACKS: dict[str, Callable[[], nn.Module]] = {
    **{name: lambda name=name: MLP(3, 2, hidden=(5, 4), activation=name) for name in ACTIVATIONS},
    "linear model": lambda: MLP(3, 1, hidden=()),
    "Linear": lambda: nn.Linear(3, 2),
    "nested": lambda: nn.Sequential(nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True)), MLP(4, 2)),
    "reused activation": reused_activation,
    "no bias": lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 2, bias=False)),
}


def pair(kind: Callable[[], nn.Module]) -> tuple[Target, Target]:
    """The same network run as a stack, and by ``vmap``."""
    torch.manual_seed(0)
    stack = Target(kind().double())
    vmapped = Target(stack.network)
    assert stack.stack is not None
    vmapped.stack = None
    return stack, vmapped


def value_and_gradients(output: Tensor, *inputs: Tensor) -> list[Tensor]:
    return [output, *torch.autograd.grad(output.square().sum(), inputs)]


@pytest.mark.parametrize("kind", STACKS.values(), ids=STACKS)
def test_sampled_weights_give_the_same_numbers_as_vmap(kind: Callable[[], nn.Module]) -> None:
    targets = pair(kind)
    weights = torch.randn(5, targets[0].spec.size, dtype=torch.float64, requires_grad=True)
    ours, theirs = (value_and_gradients(target(weights, X), weights) for target in targets)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("groups", "draws"), [(1, 1), (1, 4), (3, 1), (3, 2)])
@pytest.mark.parametrize("kind", STACKS.values(), ids=STACKS)
def test_sampled_outputs_take_the_same_noise_to_the_same_numbers(
    kind: Callable[[], nn.Module], groups: int, draws: int
) -> None:
    targets = pair(kind)
    size = targets[0].spec.size
    mean = torch.randn(groups, draws, size + 1, dtype=torch.float64, requires_grad=True)  # and a latent
    scale = torch.rand(groups, 1, size + 1, dtype=torch.float64, requires_grad=True)
    results = []
    for target in targets:
        law = Conditional(mean, scale, torch.Generator().manual_seed(1))
        output = target.forward_local(mean.detach()[..., :size].flatten(0, 1), law, X)
        results.append(value_and_gradients(output, mean, scale))
    torch.testing.assert_close(results[0], results[1], rtol=1e-11, atol=1e-11)


class Residual(MLP):
    """A subclass may do anything in its forward."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x[:, :2]


def hooked(register: str) -> nn.Module:
    network = MLP(3, 2)
    getattr(network.layers, register)(lambda *_: None)
    return network


def patched() -> nn.Module:
    network = nn.Sequential(nn.Linear(3, 2))
    network.forward = lambda x: x[:, :2]  # type: ignore[method-assign]
    return network


def tied() -> nn.Module:
    network = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    network[2].weight = network[0].weight
    return network


def repeated() -> nn.Module:
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.Tanh(), layer)


OTHERS: dict[str, Callable[[], nn.Module]] = {
    "subclass": lambda: Residual(3, 2),
    "hook": lambda: hooked("register_forward_hook"),
    "pre-hook": lambda: hooked("register_forward_pre_hook"),
    "own forward": patched,
    "tied": tied,
    "repeated": repeated,
    "normalised": lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)),
    "mixes columns": lambda: nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=0)),
    "activation first": lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2)),
    "weight norm": lambda: nn.Sequential(weight_norm(nn.Linear(3, 2))),
}


@pytest.mark.parametrize("kind", OTHERS.values(), ids=OTHERS)
def test_any_other_network_is_none(kind: Callable[[], nn.Module]) -> None:
    assert Target(kind()).stack is None


def test_a_network_that_is_sampled_in_part_is_none() -> None:
    assert Target(MLP(3, 2), bayesian=["layers.2.*"]).stack is None


def test_rows_with_more_dimensions_are_left_to_vmap() -> None:
    target = Target(MLP(3, 2).double())
    weights, x = torch.randn(4, target.spec.size, dtype=torch.float64), X.reshape(2, 3, 3)
    torch.testing.assert_close(target(weights, x).flatten(1, 2), target(weights, X), rtol=1e-11, atol=1e-11)
