"""Counts, shares, ordered classes, several peaks and several columns, from a table to a file and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import special, stats

import bayeshyper
from bayeshyper import DataError, HyperClassifier, HyperRegressor
from bayeshyper.errors import RecipeError

Array = NDArray[np.float64]
QUICK = {
    "target.hidden": [10],
    "members": 1,
    "warm_start.steps": 100,
    "warm_start.natural_steps": 30,
    "optimizer.steps": 20,
}
# A fit knows the noise from 50 rows held out, to one part in √(2 · 50): what a 90 % interval holds then has a
# standard deviation of 4 % (measured over seeds, as it has for the Gaussian).
LEAST, MOST = 0.8, 0.98


def table(rows: int, seed: int = 0) -> tuple[Array, Array]:
    """Features, and the function that the targets follow."""
    X = np.random.default_rng(seed).uniform(-2, 2, (rows, 2))
    return X, np.sin(2 * X[:, 0]) + 0.5 * X[:, 1]


def drawn(family: str, f: Array, seed: int = 1) -> Array:
    """Targets that a likelihood describes."""
    rng = np.random.default_rng(seed)
    if family == "poisson":
        return rng.poisson(3 * np.exp(f)).astype(float)
    if family == "large poisson":
        return rng.poisson(300 * np.exp(f)).astype(float)
    if family == "negative-binomial":
        return rng.poisson(300 * np.exp(f) * rng.gamma(4.0, 0.25, size=len(f))).astype(float)
    if family == "beta":
        mean = special.expit(f)
        return rng.beta(10 * mean, 10 * (1 - mean))
    if family == "mixture":
        return f + rng.choice([-1.5, 1.5], size=len(f)) + 0.3 * rng.normal(size=len(f))
    return f + 0.3 * rng.normal(size=len(f))


def constant(family: str, y: Array, y_test: Array) -> float:
    """The mean log score of one distribution for all rows, the best of its family."""
    if "poisson" in family:
        return float(stats.poisson(y.mean()).logpmf(y_test).mean())
    if family == "negative-binomial":
        shape = y.mean() ** 2 / (y.var() - y.mean())
        return float(stats.nbinom(shape, shape / (shape + y.mean())).logpmf(y_test).mean())
    if family == "beta":
        return float(stats.beta(*stats.beta.fit(y, floc=0, fscale=1)).logpdf(y_test).mean())
    return float(stats.gaussian_kde(y).logpdf(y_test).mean())


def right(family: str, f: Array, y: Array) -> float:
    """The mean log score of what made the targets."""
    if "poisson" in family:
        return float(stats.poisson((300 if "large" in family else 3) * np.exp(f)).logpmf(y).mean())
    if family == "negative-binomial":
        return float(stats.nbinom(4, 4 / (4 + 300 * np.exp(f))).logpmf(y).mean())
    if family == "beta":
        return float(stats.beta(10 * special.expit(f), 10 * special.expit(-f)).logpdf(y).mean())
    peaks = [stats.norm(f + shift, 0.3).pdf(y) for shift in (-1.5, 1.5)]
    return float(np.log(np.mean(peaks, axis=0)).mean())


@pytest.mark.parametrize("family", ["poisson", "large poisson", "negative-binomial", "beta", "mixture"])
def test_the_default_recipe_learns_it(family: str) -> None:
    """Most of what there is to know, with intervals that hold their share."""
    (X, f), (X_test, f_test) = table(500), table(500, seed=5)
    y, y_test = drawn(family, f), drawn(family, f_test, seed=6)
    model = HyperRegressor(settings={"likelihood.family": family.split()[-1]}, random_state=0, verbose=False)
    score = model.fit(X, y).log_prob(X_test, y_test).mean()
    worst, best = constant(family, y, y_test), right(family, f_test, y_test)
    assert worst + 0.8 * (best - worst) < score < best + 0.05
    assert model.history_.start["rows"] > 0  # the default's own start
    low, high = model.predictive(X_test).interval(0.9).T
    assert LEAST < np.mean((low <= y_test) & (y_test <= high)) < MOST


@pytest.mark.parametrize("inference", ["svi", "bayes"])
def test_the_noise_of_counts_is_inferred(inference: str) -> None:
    X, f = table(500)
    y = drawn("negative-binomial", f)
    settings = {
        "likelihood.family": "negative-binomial",
        **({} if inference == "svi" else {"optimizer.steps": 400}),
    }
    model = HyperRegressor(inference=inference, settings=settings, random_state=0, verbose=False).fit(X, y)
    found = np.exp(model.sample_weights(200)["log_scale"].numpy())
    assert 0.4 < found.mean() < 0.65  # 0.5 made the data


@pytest.mark.parametrize("family", ["poisson", "negative-binomial", "beta", "mixture", "student-t"])
def test_everything_that_a_regressor_does(family: str, tmp_path: Path) -> None:
    X, f = table(80)
    y = drawn(family, f)
    settings = {**QUICK, "likelihood.family": family}
    model = HyperRegressor(settings=settings, n_draws=100, random_state=0, verbose=False).fit(X, y)
    mean, std = model.predict(X, return_std=True)
    quantiles = model.predict_quantiles(X, [0.05, 0.5, 0.95])
    assert (mean.shape, std.shape, quantiles.shape) == ((80,), (80,), (80, 3))
    assert (np.diff(quantiles, axis=1) >= 0).all()
    page = model.report(X, y, tmp_path / "report")
    scores = json.loads((tmp_path / "report" / "metrics.json").read_text())["evaluation"]["scores"]
    assert scores["log_score"]["value"] == pytest.approx(model.log_prob(X, y).mean())
    assert ("at an end of it" in page.read_text()) == (family in ("poisson", "negative-binomial"))
    idata = model.to_arviz(X, y)
    assert idata.posterior_predictive["y"].shape[-1] == 80
    assert np.array_equal(idata.observed_data["y"], y)
    model.save(tmp_path / "m.bayeshyper")
    loaded: Any = bayeshyper.load(tmp_path / "m.bayeshyper")
    assert np.array_equal(loaded.predict_quantiles(X, [0.05, 0.5, 0.95]), quantiles)
    assert np.array_equal(loaded.log_prob(X, y), model.log_prob(X, y))
    assert loaded.audit() == model.audit()


# -- classes in an order ------------------------------------------------------------------------------------


def grades(f: Array, seed: int = 1) -> NDArray[np.intp]:
    """Of a hidden quantity with logistic noise, five grades from 1."""
    hidden = 3 * f + np.random.default_rng(seed).logistic(size=len(f))
    return 1 + np.digitize(hidden, [-3.0, -1.0, 1.0, 3.0])


def test_ordered_classes_are_learned() -> None:
    (X, f), (X_test, f_test) = table(400), table(500, seed=5)
    y, y_test = grades(f), grades(f_test, seed=6)
    model = HyperClassifier(settings={"likelihood.family": "ordinal"}, random_state=0, verbose=False).fit(
        X, y
    )
    below = special.expit(np.array([-3.0, -1.0, 1.0, 3.0]) - 3 * f_test[:, None])
    probs = np.diff(np.concatenate([0 * below[:, :1], below, 1 + 0 * below[:, :1]], axis=1), axis=1)
    best = np.log(probs[np.arange(500), y_test - 1]).mean()
    counts = np.bincount(y)[1:] / len(y)
    worst = np.log(counts[y_test - 1]).mean()
    score = model.log_prob(X_test, y_test).mean()
    assert worst + 0.8 * (best - worst) < score < best + 0.05
    assert model.predict_proba(X_test).shape == (500, 5)
    assert model.classes_.tolist() == [1, 2, 3, 4, 5]


def test_an_ordered_categorical_says_the_order(tmp_path: Path) -> None:
    X, f = table(120)
    names = np.array(["low", "mid", "high"])
    labels = names[np.digitize(f, [-0.5, 0.5])]
    settings = {**QUICK, "likelihood.family": "ordinal"}
    y = pd.Series(pd.Categorical(labels, ["low", "mid", "never", "high"], ordered=True))
    model = HyperClassifier(settings=settings, random_state=0, verbose=False).fit(X, y)
    assert model.classes_.tolist() == ["low", "mid", "high"]
    assert np.mean(model.predict(X) == labels) > 0.7
    numbers = HyperClassifier(settings=settings, random_state=0, verbose=False)
    numbers.fit(X, np.digitize(f, [-0.5, 0.5]))
    assert np.array_equal(numbers.predict_proba(X), model.predict_proba(X))
    model.save(tmp_path / "m.bayeshyper")
    assert np.array_equal(
        HyperClassifier.load(tmp_path / "m.bayeshyper").predict_proba(X), model.predict_proba(X)
    )
    with pytest.raises(DataError, match=r"classes in no order, 'high', 'low', 'mid', .*ordered=True"):
        HyperClassifier(settings=settings, verbose=False).fit(X, labels)


# -- several columns ----------------------------------------------------------------------------------------


def pairs(f: Array, seed: int = 1, noise: float = 1.0) -> Array:
    """Two columns in very different units, whose errors go together."""
    rng = np.random.default_rng(seed)
    errors = noise * rng.multivariate_normal([0, 0], [[0.09, 0.072], [0.072, 0.09]], len(f))
    return (np.stack([f, -f], axis=1) + errors) * np.array([1.0, 1000.0]) + np.array([5.0, -2e4])


def test_two_columns_are_learned_together() -> None:
    (X, f), (X_test, f_test) = table(400), table(500, seed=5)
    Y, Y_test = pairs(f), pairs(f_test, seed=6)
    model = HyperRegressor(random_state=0, verbose=False).fit(X, Y)
    score = model.log_prob(X_test, Y_test).mean()
    errors = Y_test - pairs(f_test, noise=0.0)
    covariance = np.array([[0.09, 72.0], [72.0, 0.09e6]])
    best = stats.multivariate_normal([0, 0], covariance).logpdf(errors).mean()
    alone = stats.multivariate_normal([0, 0], np.diag(np.diag(covariance))).logpdf(errors).mean()
    # nearer to the truth than what knows the function, and takes the columns for independent
    assert alone < score < best + 0.05
    predictive = model.predictive(X_test)
    interval = predictive.interval(0.9)
    assert (predictive.mean.shape, predictive.std.shape, interval.shape) == (
        (500, 2),
        (500, 2),
        (500, 2, 2),
    )
    held = ((interval[..., 0] <= Y_test) & (Y_test <= interval[..., 1])).mean(0)
    assert ((held > LEAST) & (held < MOST)).all()
    residuals = predictive.sample(2000) - predictive.mean
    together = np.mean([np.corrcoef(residuals[:, row].T)[0, 1] for row in range(50)])
    assert together == pytest.approx(0.8, abs=0.1)
    assert model.score(X_test, Y_test) > 0.8


def test_a_column_is_predicted_and_judged_alone(tmp_path: Path) -> None:
    X, f = table(80)
    Y = pairs(f)
    model = HyperRegressor(settings=QUICK, random_state=0, verbose=False).fit(X, Y)
    both = model.predictive(X)
    for index in (0, 1):
        one, y = both.column(index), Y[:, index]
        np.testing.assert_allclose(one.mean, both.mean[:, index], rtol=1e-12)
        np.testing.assert_allclose(one.std, both.std[:, index], rtol=1e-12)
        np.testing.assert_allclose(one.cdf(y), both.cdf(Y)[:, index], rtol=1e-12)
        np.testing.assert_allclose(one.quantiles([0.1, 0.9]), both.quantiles([0.1, 0.9])[:, index], rtol=1e-9)
        # the density is the distribution function's slope, in the column's own unit
        step = 1e-4 * one.std
        slope = (one.cdf(y + step) - one.cdf(y - step)) / (2 * step)
        np.testing.assert_allclose(np.exp(one.log_prob(y)), slope, rtol=1e-4)
        drawn = one.sample(4000)
        errors = one.std / np.sqrt(4000)
        assert (np.abs(drawn.mean(0) - one.mean) < 5 * errors).all()
    model.report(X, Y, tmp_path / "report", column=1)
    scores = json.loads((tmp_path / "report" / "metrics.json").read_text())["evaluation"]["scores"]
    assert scores["log_score"]["value"] == pytest.approx(both.column(1).log_prob(Y[:, 1]).mean())
    with pytest.raises(DataError, match=r"prediction of 2 columns, expected one; .*column=0"):
        model.report(X, Y, tmp_path / "other")
    for index in (-1, 2):
        with pytest.raises(ValueError, match=f"Got the column {index}, expected one of 2"):
            both.column(index)
    idata = model.to_arviz(X, Y)
    assert idata.posterior_predictive["y"].shape[-2:] == (80, 2)
    assert idata.log_likelihood["y"].shape[-1] == 80


def test_columns_are_scored_and_saved_as_they_are(tmp_path: Path) -> None:
    X, f = table(80)
    Y = pd.DataFrame(pairs(f), columns=["one", "other"])
    model = HyperRegressor(settings=QUICK, random_state=0, verbose=False).fit(X, Y)
    model.save(tmp_path / "m.bayeshyper")
    loaded = HyperRegressor.load(tmp_path / "m.bayeshyper")
    assert np.array_equal(loaded.log_prob(X, Y), model.log_prob(X, Y))
    assert np.array_equal(loaded.predict(X), model.predict(X))
    swapped = HyperRegressor(settings=QUICK, random_state=0, verbose=False).fit(X, Y * [1.0, 1e-3])
    np.testing.assert_allclose(
        swapped.log_prob(X, Y * [1.0, 1e-3]) + np.log(1e-3), model.log_prob(X, Y), atol=1e-3
    )


# -- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "bad", "sentence"),
    [
        ("poisson", -1.0, r"Got the target -1 in row 8 .*whole numbers of 0 or more .*Poisson"),
        ("negative-binomial", 2.5, r"Got the target 2.5 in row 8 .*whole numbers of 0 or more"),
        ("beta", 1.0, r"Got the target 1 in row 8 .*strictly between 0 and 1 .*Beta"),
    ],
)
def test_a_target_outside_the_support_is_named(family: str, bad: float, sentence: str) -> None:
    X, f = table(40)
    y = drawn(family, f)
    model = HyperRegressor(settings={**QUICK, "likelihood.family": family}, random_state=0, verbose=False)
    wrong = y.copy()
    wrong[7] = bad
    with pytest.raises(DataError, match=sentence):
        model.fit(X, wrong)
    model.fit(X, y)
    with pytest.raises(DataError, match=sentence):
        model.log_prob(X, wrong)


def test_a_target_that_is_nothing_but_outside_is_named_too() -> None:
    X, f = table(40)
    for family in ("poisson", "beta"):
        with pytest.raises(DataError, match=r"Got the target -.* in row 1 "):
            HyperRegressor(settings={"likelihood.family": family}, verbose=False).fit(X, -1.0 - f**2)


@pytest.mark.parametrize("family", ["gaussian", "poisson", "heteroscedastic"])
def test_several_columns_need_a_likelihood_for_them(family: str) -> None:
    X, f = table(40)
    with pytest.raises(RecipeError, match=rf"'{family}' is for a single number per row, .* 2 columns; use"):
        HyperRegressor(settings={"likelihood.family": family}, verbose=False).fit(X, pairs(f))


def test_a_likelihood_for_another_task_is_refused() -> None:
    X, f = table(40)
    with pytest.raises(RecipeError, match=r"'ordinal' is not for regression; choose one of .*poisson"):
        HyperRegressor(settings={"likelihood.family": "ordinal"}, verbose=False).fit(X, f)
    with pytest.raises(RecipeError, match=r"'poisson' is not for classification; choose one of .*ordinal"):
        HyperClassifier(settings={"likelihood.family": "poisson"}, verbose=False).fit(X, f > 0)
