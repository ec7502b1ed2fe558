"""The baselines behind the estimators' interface: every method, every kind of target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp
from sklearn.base import clone
from torch import nn

from bayeshyper.baselines import BaselineClassifier, BaselineRegressor
from bayeshyper.errors import DataError, RecipeError
from bayeshyper.prediction import PredictiveDistribution

METHODS = ["map", "deep-ensemble", "mc-dropout", "laplace"]
QUICK = {"optimizer.steps": 40}
RNG = np.random.default_rng(0)
X = pd.DataFrame({"a": RNG.normal(size=80), "b": RNG.normal(size=80), "c": RNG.choice(["u", "v"], size=80)})
SIGNAL = np.sin(2 * X["a"]) + 0.5 * (X["c"] == "u")
NUMBERS = (SIGNAL + 0.1 * RNG.normal(size=80)).rename("y")
TARGETS: dict[str, Any] = {
    "gaussian": NUMBERS,
    "heteroscedastic": NUMBERS,
    "student-t": NUMBERS,
    "mixture": NUMBERS,
    "poisson": RNG.poisson(np.exp(SIGNAL)),
    "negative-binomial": RNG.poisson(np.exp(SIGNAL)),
    "beta": 1 / (1 + np.exp(-NUMBERS)),
    "multivariate-gaussian": np.stack([NUMBERS, -NUMBERS], axis=1) + 0.1 * RNG.normal(size=(80, 2)),
    "bernoulli": NUMBERS > 0,
    "categorical": pd.cut(NUMBERS, 3, labels=["low", "middle", "high"]).astype(str),
    "ordinal": pd.cut(NUMBERS, 3, labels=["low", "middle", "high"]),
}
CLASSES = ("bernoulli", "categorical", "ordinal")


def quick(method: str, likelihood: str = "gaussian", **options: Any) -> Any:
    kind = BaselineClassifier if likelihood in CLASSES else BaselineRegressor
    settings = {**QUICK, "likelihood.family": likelihood}
    return kind(method, settings=settings, n_draws=20, random_state=0, verbose=False, **options)


@pytest.mark.parametrize("likelihood", TARGETS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_does_every_likelihood(method: str, likelihood: str) -> None:
    y = TARGETS[likelihood]
    model = quick(method, likelihood).fit(X, y)
    predictive = model.predictive(X)
    assert predictive.n_draws == {"map": 1, "deep-ensemble": 5}.get(method, 20)
    assert np.isfinite(model.log_prob(X, y)).all()
    assert len(model.predict(X)) == 80
    assert np.isfinite(model.score(X, y))


@pytest.mark.parametrize("likelihood", ["gaussian", "categorical"])
@pytest.mark.parametrize("method", METHODS)
def test_a_report_says_what_it_is(method: str, likelihood: str, tmp_path: Path) -> None:
    model = quick(method, likelihood).fit(X, TARGETS[likelihood])
    model.report(X, TARGETS[likelihood], tmp_path / "report")
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["audit"] is None
    about = metrics["about"]
    assert about["method"] == {
        "map": "MAP", "deep-ensemble": "deep ensemble", "mc-dropout": "MC dropout", "laplace": "Laplace"
    }[method]  # fmt: skip
    assert ("each stopped by 8 rows of its own" in about["posterior"]) == (method == "deep-ensemble")
    assert model.history_.objective == (
        "log likelihood" if method == "deep-ensemble" else "log joint density"
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_decides_everything(method: str) -> None:
    first, again = (quick(method).fit(X, NUMBERS).predict(X) for _ in range(2))
    other = quick(method).set_params(random_state=1).fit(X, NUMBERS).predict(X)
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.parametrize("method", METHODS)
def test_training_leaves_torchs_random_state_alone(method: str) -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    quick(method).fit(X, NUMBERS)
    assert torch.equal(before, torch.random.get_rng_state())


def test_scikit_learn_clones_it() -> None:
    model = quick("mc-dropout", dropout=0.2, n_members=3)
    assert clone(model).get_params() == model.get_params()


def test_an_ensembles_density_is_the_mean_of_its_members() -> None:
    model = quick("deep-ensemble", n_members=3).fit(X, NUMBERS)
    x = torch.from_numpy(model.encoder_.transform(X))
    each = [
        PredictiveDistribution(model._model64, one, x, **model._units()).log_prob(NUMBERS)
        for one in model._draws.split(1)
    ]
    np.testing.assert_allclose(model.log_prob(X, NUMBERS), logsumexp(each, axis=0) - np.log(3), rtol=1e-12)


def test_an_ensembles_first_member_is_an_ensemble_of_one() -> None:
    one, three = (quick("deep-ensemble", n_members=n).fit(X, NUMBERS) for n in (1, 3))
    torch.testing.assert_close(one._draws[0], three._draws[0], atol=1e-4, rtol=0)


def test_laplace_predicts_around_the_network_it_was_trained_to() -> None:
    model = quick("laplace").set_params(n_draws=4000).fit(X, NUMBERS)
    predictive, x = model.predictive(X), torch.from_numpy(model.encoder_.transform(X))
    target = model._model64.target
    center = target.target(target.at.unsqueeze(0), x)[0, :, 0].numpy()
    away = predictive.mean - (model._scaler.mean + model._scaler.scale * center)
    assert (np.abs(away) < 5 * predictive.epistemic / 4000**0.5).all()


@pytest.mark.filterwarnings("ignore::bayeshyper.errors.ExtrapolationWarning")  # on purpose
def test_uncertainty_of_laplace_grows_away_from_the_data() -> None:
    model = quick("laplace").fit(X, NUMBERS)
    far = X.assign(a=20.0)
    assert model.predictive(far).epistemic.mean() > 3 * model.predictive(X).epistemic.mean()


def test_a_network_of_ones_own() -> None:
    class Wave(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = nn.Linear(3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sin(self.line(x))

    table = X.assign(c=NUMBERS)
    for method in ("map", "deep-ensemble", "laplace"):
        model = quick(method, network=Wave()).fit(table, NUMBERS)
        assert np.isfinite(model.log_prob(table, NUMBERS)).all()
    with pytest.raises(RecipeError, match="Got a Wave for MC dropout"):
        quick("mc-dropout", network=Wave()).fit(table, NUMBERS)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "bagging"}, "Got the method 'bagging', expected one of map, deep-ensemble"),
        ({"dropout": 1.0}, "Got dropout = 1.0, expected a share"),
        ({"settings": {"optimizer.stepz": 3}}, "the nearest is optimizer.steps"),
        ({"settings": {"optimizer.steps": -1}}, "steps"),
        ({"settings": {"target.bayesian": ["layers.2.*"]}}, "weights to train that are not Bayesian"),
        ({"settings": {"prior.family": "horseshoe"}, "method": "laplace"}, "for Laplace, expected a Normal"),
        ({"settings": {"likelihood.family": "categorical"}}, "is not for regression"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_done_is_said(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        BaselineRegressor(verbose=False).set_params(**options).fit(X, NUMBERS)


def test_a_target_that_the_likelihood_does_not_allow_is_refused() -> None:
    with pytest.raises(DataError, match="expected whole numbers of 0 or more"):
        quick("map", "poisson").fit(X, NUMBERS)
