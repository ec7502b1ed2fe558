"""What is trained in float32 and what is judged in float64 are the same function, within rounding.

Training is in float32; Gram matrices, log-determinants and everything after the fit are in float64.
Tolerances are counted in roundings of float32, 1.2e-7 of all that is summed: 200 of them, for the sums over
rows of inputs and over units, and what exponentials and logarithms make of those.
"""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bayeshyper import HyperRegressor
from bayeshyper.hypernets import WeightDraw
from bayeshyper.inference import ENTROPIES
from bayeshyper.models import (
    LIKELIHOODS,
    MLP,
    PRIORS,
    BayesianModel,
    FanInPrior,
    Likelihood,
    Target,
    TargetFacts,
)
from tests.inference.toys import small_problem

ROUNDINGS = 200 * torch.finfo(torch.float32).eps
FACTS = {
    "multivariate-gaussian": TargetFacts(n_columns=3),
    "bernoulli": TargetFacts(n_classes=2),
    "categorical": TargetFacts(n_classes=4),
    "ordinal": TargetFacts(n_classes=4),
}
DRAWS, ROWS = 5, 40


def made(likelihood: Likelihood) -> tuple[BayesianModel, Tensor, Tensor, Tensor]:
    """A model in float32, weights of it, and rows with targets that it draws itself."""
    torch.manual_seed(0)
    model = BayesianModel(
        Target(MLP(3, likelihood.n_outputs, hidden=(20,))), FanInPrior(), likelihood, num_data=ROWS
    )
    weights, x = model.prior().sample(torch.Size((DRAWS,))), torch.randn(ROWS, 3)
    return model, weights, x, model.predictive(weights[0], x).sample()


@pytest.mark.parametrize("family", LIKELIHOODS)
def test_log_likelihoods_agree(family: str) -> None:
    likelihood = LIKELIHOODS[family].for_target(FACTS.get(family, TargetFacts()))
    model, weights, x, y = made(likelihood)
    single = model.log_likelihood(weights, x, y)
    double = copy.deepcopy(model).double().log_likelihood(weights.double(), x.double(), y.double())
    assert single.dtype == torch.float32
    assert double.dtype == torch.float64
    # Squares of a residual over a small scale, and logarithms of factorials, are what is summed.
    summed = 1.0 + double.abs() + y.double().abs().reshape(ROWS, -1).sum(-1).square()
    assert bool(((single - double).abs() <= ROUNDINGS * summed.max() * DRAWS).all())


@pytest.mark.parametrize("name", PRIORS)
def test_log_priors_agree(name: str) -> None:
    torch.manual_seed(0)
    model = BayesianModel(
        Target(MLP(3, 1, hidden=(20,))), PRIORS[name](), LIKELIHOODS["gaussian"](), num_data=ROWS
    )
    weights = model.prior().sample(torch.Size((DRAWS,)))
    single = model.prior().log_prob(weights)
    double = copy.deepcopy(model).double().prior().log_prob(weights.double())
    assert bool(((single - double).abs() <= ROUNDINGS * (model.spec.size + double.abs())).all())


# The semi-implicit one draws noise of its own, in the type of the posterior.
@pytest.mark.parametrize("name", [name for name in ENTROPIES if name != "semi-implicit"])
def test_entropies_agree(name: str) -> None:
    torch.manual_seed(0)
    _, guide, _, _ = small_problem(members=2)
    entropy = ENTROPIES[name](guide.hypernetwork).eval()
    draw = guide.hypernetwork.draw(DRAWS, generator=torch.Generator().manual_seed(1))
    doubled = {
        field.name: value.double() if isinstance(value := getattr(draw, field.name), Tensor) else value
        for field in fields(WeightDraw)
    }
    found: list[Any] = []
    for net, estimator, given in (
        (guide.hypernetwork, entropy, draw),
        (copy.deepcopy(guide.hypernetwork).double(), copy.deepcopy(entropy).double(), WeightDraw(**doubled)),
    ):
        with torch.no_grad():
            generator = torch.Generator().manual_seed(2)
            found.append(estimator(net, replace(given, generator=generator)))
    single, double = found
    assert single.dtype == torch.float32
    assert double.dtype == torch.float64
    assert bool(((single - double).abs() <= ROUNDINGS * (guide.hypernetwork.size + double.abs())).all())


def table() -> tuple[Any, Any]:
    """Numbers of float32, which float64 has too."""
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)).numpy()
    return x, x[:, 0] ** 2


SETTINGS = {"optimizer.steps": 20, "warm_start.steps": 5, "warm_start.natural_steps": 5}


def test_the_type_of_a_table_changes_no_prediction() -> None:
    x, y = table()
    single = HyperRegressor(settings=SETTINGS, random_state=0).fit(x, y).predict(x)
    double = HyperRegressor(settings=SETTINGS, random_state=0).fit(x.astype("float64"), y.astype("float64"))
    assert single.dtype == "float64"
    assert single.tolist() == double.predict(x.astype("float64")).tolist()


def test_a_default_type_of_float64_is_no_obstacle() -> None:
    x, y = table()
    torch.set_default_dtype(torch.float64)
    model = HyperRegressor(settings=SETTINGS, random_state=0).fit(x, y)
    assert {parameter.dtype for parameter in model._guide.parameters()} == {torch.float32}
    assert ((model.predict(x) - y) ** 2).mean() < y.var()
    assert model.audit().elbo_lower < model.audit().elbo_upper + 1.0
