"""Gradients of single rows: the same by the stack, by ``vmap``, and by autograd one row at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from bayeshyper.models import (
    MLP,
    BayesianModel,
    Bernoulli,
    Categorical,
    FanInPrior,
    Gaussian,
    HeteroscedasticGaussian,
    HierarchicalPrior,
    Latent,
    Likelihood,
    StudentT,
    Target,
    row_gradients,
)

DRAWS, ROWS, FEATURES = 3, 6, 3
# Float64 carries 16 digits; some hundred sums and products of numbers of size 1 lose a few of them.
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


class Checked(Likelihood):
    """The ten lines of the documentation: a distribution of torch's own, its argument checks on."""

    task = "regression"
    latents: ClassVar[Mapping[str, Latent]] = {"log_scale": Latent(loc=-1.5, scale=1.0)}

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        return torch.distributions.Laplace(outputs[..., 0], latents["log_scale"].exp())


LIKELIHOODS: dict[str, Callable[[], Likelihood]] = {
    "gaussian": Gaussian,
    "student-t": StudentT,
    "heteroscedastic": HeteroscedasticGaussian,
    "bernoulli": Bernoulli,
    "categorical": lambda: Categorical(3),
    "the documentation's": Checked,
}


def mlp(
    *hidden: int, bias: bool = True, act: Callable[[], nn.Module] = nn.Tanh
) -> Callable[[int], nn.Module]:
    """A maker of networks with these hidden layers, by their number of outputs."""

    def make(outputs: int) -> nn.Module:
        widths = [FEATURES, *hidden]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out, bias=bias), act()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], outputs, bias=bias))

    return make


STACKS: dict[str, Callable[[int], nn.Module]] = {
    "0 hidden": mlp(),
    "1 hidden": mlp(4),
    "2 hidden": mlp(4, 5),
    "0 hidden, no bias": mlp(bias=False),
    "1 hidden, no bias": mlp(4, bias=False),
    "2 hidden, no bias": mlp(4, 5, bias=False),
    "the library's": lambda outputs: MLP(FEATURES, outputs, hidden=(4, 5)),
    "relu in place": mlp(4, 5, act=lambda: nn.ReLU(inplace=True)),
    "elu in place": mlp(4, 5, act=lambda: nn.ELU(inplace=True)),
    "in place but for the first": lambda outputs: nn.Sequential(
        nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5), nn.SiLU(inplace=True), nn.Linear(5, outputs)
    ),
}
OTHERS: dict[str, Callable[[int], nn.Module]] = {
    "normalised": lambda outputs: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, outputs)),
    "convolved": lambda outputs: nn.Sequential(
        nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4, outputs)
    ),
}


def problem(
    network: Callable[[int], nn.Module], likelihood: Likelihood
) -> tuple[BayesianModel, Tensor, Tensor, Tensor]:
    """A model in float64, weights, rows, and targets of the model's own for every weight vector."""
    torch.manual_seed(0)
    target = Target(network(likelihood.n_outputs))
    model = BayesianModel(target, FanInPrior(), likelihood, num_data=ROWS).double()
    weights = 0.7 * torch.randn(DRAWS, model.spec.size, dtype=torch.float64)
    x = torch.randn(ROWS, FEATURES, dtype=torch.float64)
    with torch.no_grad():
        y = model.predictive(weights, x).sample()
    return model, weights, x, y


def one_by_one(model: BayesianModel, weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """What is meant: the gradient of one number at a time, by plain autograd."""
    result = torch.empty(len(weights), len(x), weights.shape[1], dtype=weights.dtype)
    for s, theta in enumerate(weights):
        for n in range(len(x)):
            leaf = theta.clone().unsqueeze(0).requires_grad_()
            log_likelihood = model.log_likelihood(leaf, x[n : n + 1], y[s, n : n + 1])
            (gradient,) = torch.autograd.grad(log_likelihood.sum(), leaf)
            result[s, n] = gradient[0]
    return result


@pytest.mark.parametrize("likelihood", LIKELIHOODS.values(), ids=LIKELIHOODS)
@pytest.mark.parametrize("network", STACKS.values(), ids=STACKS)
def test_a_stacks_row_gradients_are_those_of_autograd(
    network: Callable[[int], nn.Module], likelihood: Callable[[], Likelihood]
) -> None:
    model, weights, x, y = problem(network, likelihood())
    assert model.target.stack is not None
    ours = row_gradients(model, weights, x, y)
    torch.testing.assert_close(ours, one_by_one(model, weights, x, y), **CLOSE)
    assert bool((ours != 0).any(-1).all())  # no row says nothing, no row is left out


def test_what_the_prior_alone_depends_on_has_no_gradient() -> None:
    """Its latents stand at the end of the weight vector, and the data do not see them."""
    torch.manual_seed(0)
    model = BayesianModel(Target(mlp(4)(1)), HierarchicalPrior(), Gaussian(), num_data=ROWS).double()
    weights, x = torch.randn(DRAWS, model.spec.size).double(), torch.randn(ROWS, FEATURES).double()
    y = torch.randn(DRAWS, ROWS).double()
    garbage = [torch.full((DRAWS, ROWS, model.spec.size), 7.0).double() for _ in range(8)]
    del garbage  # what an uninitialised result would be made of
    ours = row_gradients(model, weights, x, y)
    torch.testing.assert_close(ours, one_by_one(model, weights, x, y), **CLOSE)
    assert len(model.prior_latents) > 0


@pytest.mark.parametrize("likelihood", LIKELIHOODS.values(), ids=LIKELIHOODS)
@pytest.mark.parametrize("network", STACKS.values(), ids=STACKS)
def test_the_stack_and_vmap_agree(
    network: Callable[[int], nn.Module], likelihood: Callable[[], Likelihood]
) -> None:
    model, weights, x, y = problem(network, likelihood())
    ours = row_gradients(model, weights, x, y)
    model.target.stack = None
    torch.testing.assert_close(row_gradients(model, weights, x, y), ours, **CLOSE)


@pytest.mark.parametrize("likelihood", LIKELIHOODS.values(), ids=LIKELIHOODS)
@pytest.mark.parametrize("network", OTHERS.values(), ids=OTHERS)
def test_any_other_networks_row_gradients_are_those_of_autograd(
    network: Callable[[int], nn.Module], likelihood: Callable[[], Likelihood]
) -> None:
    model, weights, x, y = problem(network, likelihood())
    assert model.target.stack is None
    ours = row_gradients(model, weights, x, y)
    torch.testing.assert_close(ours, one_by_one(model, weights, x, y), **CLOSE)


class Recurrent(nn.Module):
    """torch's fused GRU, which vmap has no rule for."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.gru = nn.GRU(1, 3, batch_first=True)
        self.last = nn.Linear(3, outputs)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.gru(x.unsqueeze(-1))
        return self.last(states[:, -1])


def test_a_network_that_vmap_cannot_run_has_row_gradients_too() -> None:
    model, weights, x, y = problem(Recurrent, Gaussian())
    ours = row_gradients(model, weights, x, y)
    torch.testing.assert_close(ours, one_by_one(model, weights, x, y), **CLOSE)


def test_weights_that_are_not_sampled_have_no_column() -> None:
    torch.manual_seed(0)
    target = Target(mlp(4)(1), bayesian=["2.*"])
    model = BayesianModel(target, FanInPrior(), Gaussian(), num_data=ROWS).double()
    weights = torch.randn(DRAWS, model.spec.size, dtype=torch.float64)
    x = torch.randn(ROWS, FEATURES, dtype=torch.float64)
    y = torch.randn(DRAWS, ROWS, dtype=torch.float64)
    ours = row_gradients(model, weights, x, y)
    assert ours.shape == (DRAWS, ROWS, 4 + 1 + 1)
    torch.testing.assert_close(ours, one_by_one(model, weights, x, y), **CLOSE)


def test_rows_of_more_dimensions_have_row_gradients_too() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    model = BayesianModel(Target(network), FanInPrior(), Categorical(2), num_data=4).double()
    weights = torch.randn(DRAWS, model.spec.size, dtype=torch.float64)
    x, y = torch.randn(4, 1, 3, 3, dtype=torch.float64), torch.randint(2, (DRAWS, 4))
    torch.testing.assert_close(row_gradients(model, weights, x, y), one_by_one(model, weights, x, y), **CLOSE)


@pytest.mark.parametrize("enabled", [True, False])
def test_no_graph_is_left_and_nothing_given_is_changed(enabled: bool) -> None:
    model, weights, x, y = problem(mlp(4), Gaussian())
    weights.requires_grad_()
    before = [weights.detach().clone(), x.clone(), y.clone()]
    with torch.set_grad_enabled(enabled):
        result = row_gradients(model, weights, x, y)
    assert not result.requires_grad
    assert weights.grad is None
    assert all(torch.equal(a, b) for a, b in zip(before, (weights, x, y), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())


class Noisy(nn.Linear):
    """A network with a random number of its own in every call."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 0.1 * torch.randn(len(x), 1, dtype=x.dtype)


def test_a_network_that_draws_random_numbers_draws_them_for_every_row() -> None:
    torch.manual_seed(0)
    model = BayesianModel(Target(Noisy(3, 1)), FanInPrior(), Gaussian(), num_data=ROWS).double()
    weights = torch.randn(1, model.spec.size, dtype=torch.float64).expand(2, -1)
    x = torch.ones(ROWS, FEATURES, dtype=torch.float64)
    ours = row_gradients(model, weights, x, torch.zeros(2, ROWS, dtype=torch.float64))
    assert len(ours[..., 0].unique()) == 2 * ROWS  # the rows and weights are all alike
