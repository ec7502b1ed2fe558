"""What ArviZ gets from a fitted model, and that ArviZ can work with it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

with warnings.catch_warnings():  # arviz 0.23 announces 1.0 on import
    warnings.simplefilter("ignore", FutureWarning)
    import arviz

from bayeshyper import HyperClassifier, HyperRegressor
from bayeshyper.diagnostics import to_arviz

SETTINGS = {
    "optimizer.steps": 60,
    "target.hidden": [4],
    "hypernetwork.noise_dim": 2,
    "hypernetwork.hidden": [4],
}


@pytest.fixture(scope="module")
def regressor() -> tuple[HyperRegressor, Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    y = 100.0 + 30.0 * x[:, 0] + 5.0 * rng.normal(size=40)
    return HyperRegressor(settings=SETTINGS, n_members=3, n_draws=90, random_state=0).fit(x, y), x, y


@pytest.fixture(scope="module")
def classifier() -> tuple[HyperClassifier, Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(45, 2))
    y = np.array(["ash", "birch", "cedar"])[(x[:, 0] > 0).astype(int) + (x[:, 0] > 1)]
    return HyperClassifier(settings=SETTINGS, n_members=1, n_draws=60, random_state=0).fit(x, y), x, y


def group(data: Any, name: str, variable: str) -> np.ndarray[Any, Any]:
    """A variable's values, ``(chains, draws, …)``."""
    return np.asarray(data[name][variable])


GROUPS = ("posterior", "posterior_predictive", "log_likelihood", "observed_data")


def test_groups_and_shapes_of_a_regression_with_the_restarts_as_chains(regressor: Any) -> None:
    model, x, y = regressor
    data = model.to_arviz(x, y)
    assert set(GROUPS) <= set(data.groups()) if callable(data.groups) else set(data.children)
    assert group(data, "posterior", "f").shape == (3, 30, 40)
    assert group(data, "posterior", "log_scale").shape == (3, 30)
    assert set(data["posterior"].data_vars) == {"f", "log_scale"}  # no weights unless asked for
    assert group(data, "posterior_predictive", "y").shape == (3, 30, 40)
    assert group(data, "log_likelihood", "y").shape == (3, 30, 40)
    np.testing.assert_array_equal(np.asarray(data["observed_data"]["y"]), y)
    assert data["posterior"]["f"].dims == ("chain", "draw", "row")


def test_groups_and_shapes_of_a_classification(classifier: Any) -> None:
    model, x, y = classifier
    data = model.to_arviz(x, y)
    assert group(data, "posterior", "f").shape == (1, 60, 45, 3)
    assert group(data, "log_likelihood", "y").shape == (1, 60, 45)
    observed, drawn = np.asarray(data["observed_data"]["y"]), group(data, "posterior_predictive", "y")
    np.testing.assert_array_equal(model.classes_[observed.astype(int)], y)
    assert set(np.unique(drawn)) <= {0, 1, 2}
    # The drawn classes have the predicted frequencies.
    frequency = np.stack([(drawn[0] == c).mean(0) for c in range(3)], axis=1)
    probability = model.predict_proba(x)
    deviation = np.abs(frequency - probability) / np.sqrt(probability * (1 - probability) / 60 + 1e-3)
    assert deviation.max() < 5


@pytest.mark.parametrize("which", ["regressor", "classifier"])
def test_the_log_likelihood_averages_to_the_predictive_density(
    which: str, request: pytest.FixtureRequest
) -> None:
    model, x, y = request.getfixturevalue(which)
    values = group(model.to_arviz(x, y), "log_likelihood", "y")
    values = values.reshape(-1, values.shape[-1])
    # In the target's own units: the constant of the standardisation is in it.
    np.testing.assert_allclose(
        np.logaddexp.reduce(values, axis=0) - np.log(len(values)), model.log_prob(x, y), rtol=1e-9, atol=1e-9
    )


def test_functions_average_to_the_prediction_in_the_targets_units(regressor: Any) -> None:
    model, x, y = regressor
    data = model.to_arviz(x, y)
    functions = group(data, "posterior", "f")
    np.testing.assert_allclose(functions.mean((0, 1)), model.predict(x), rtol=1e-9)
    drawn = group(data, "posterior_predictive", "y")
    _, std = model.predict(x, return_std=True)
    score = (drawn.mean((0, 1)) - model.predict(x)) / (std / np.sqrt(90))
    assert np.abs(score).max() < 5


def test_the_chains_are_the_members(regressor: Any) -> None:
    model, x, y = regressor
    data = model.to_arviz(x, y, var_names=("layers.0.weight",))
    weights = group(data, "posterior", "layers.0.weight")
    assert weights.shape == (3, 30, 4, 2)
    # Restarts start far apart, and the draws of one lie close together, around their member's mean.
    means = model._guide.hypernetwork.mean.detach().numpy()[:, :8]
    flat = weights.reshape(3, 30, 8)
    centers = flat.mean(1)
    distance = np.linalg.norm(centers[:, None] - means[None], axis=-1)
    np.testing.assert_array_equal(distance.argmin(1), [0, 1, 2])


def test_arviz_works_with_it(regressor: Any) -> None:
    model, x, y = regressor
    data = model.to_arviz(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # so short a fit may well have a high Pareto k
        loo = arviz.loo(data)
        waic = arviz.waic(data) if hasattr(arviz, "waic") else None
    # Out of sample it can only be worse than in sample, and by about the number of parameters at most.
    total = model.log_prob(x, y).sum()
    elpd = float(loo.elpd_loo if hasattr(loo, "elpd_loo") else loo.elpd)
    assert total - 40 < elpd < total
    assert waic is None or abs(float(waic.elpd_waic) - elpd) < 20
    summary = arviz.summary(data, var_names=["log_scale"])
    assert list(summary.index) == ["log_scale"]
    np.testing.assert_allclose(
        float(summary["mean"].iloc[0]), group(data, "posterior", "log_scale").mean(), atol=1e-2
    )
    assert "r_hat" in summary.columns


def test_pit_values_and_intervals_come_out_of_arviz(regressor: Any) -> None:
    model, x, y = regressor
    data = model.to_arviz(x, y)
    interval = np.asarray(arviz.hdi(data, 0.9, group="posterior_predictive")["y"])
    assert interval.shape == (40, 2)
    assert ((interval[:, 0] < y) & (y < interval[:, 1])).mean() > 0.7


def test_the_same_seed_gives_the_same_predictive_draws(regressor: Any) -> None:
    model, x, y = regressor
    first, same, other = (group(model.to_arviz(x, y, seed=s), "posterior_predictive", "y") for s in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_it_says_where_it_comes_from(regressor: Any) -> None:
    model, x, y = regressor
    attrs = model.to_arviz(x, y).attrs
    assert attrs["inference_library"] == "bayeshyper"
    assert attrs["sample_kind"] == "variational"


def test_what_does_not_fit_is_refused(regressor: Any) -> None:
    model, x, y = regressor
    with pytest.raises(KeyError, match=r"layers\.9"):
        model.to_arviz(x, y, var_names=("layers.9.weight",))
    with pytest.raises(ValueError, match="expected a multiple of 4"):
        to_arviz(model.predictive(x), y, model.sample_weights(90), chains=4)
