"""Leave-one-out and predictive checks: ArviZ's own numbers, in either major, and what cannot be asked.

All of it is run with ArviZ 0.23 here, and with 1.x where Python is 3.12 or later (constraints.txt).
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

from bayeshyper import HyperClassifier, HyperRegressor
from bayeshyper.diagnostics.arviz import compare, loo, loo_pit, majors, ppc
from bayeshyper.errors import DataError

SETTINGS = {"optimizer.steps": 60, "target.hidden": [4], "hypernetwork.noise_dim": 2}


@pytest.fixture(scope="module")
def data() -> Any:
    """A regression of 40 rows, with prior draws."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    y = 100.0 + 30.0 * x[:, 0] + 5.0 * rng.normal(size=40)
    model = HyperRegressor(settings=SETTINGS, n_members=2, n_draws=200, random_state=0).fit(x, y)
    return model.to_arviz(x, y, prior_draws=50)


@pytest.fixture(scope="module")
def classes() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    y = np.array(["ash", "birch"])[(x[:, 0] > 0).astype(int)]
    return HyperClassifier(settings=SETTINGS, n_draws=100, random_state=0).fit(x, y).to_arviz(x, y)


@pytest.fixture(scope="module")
def columns() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    y = x @ rng.normal(size=(2, 2)) + 0.1 * rng.normal(size=(30, 2))
    settings = {**SETTINGS, "likelihood.family": "multivariate-gaussian"}
    return HyperRegressor(settings=settings, n_draws=100, random_state=0).fit(x, y).to_arviz(x, y)


def gaussian(mean: float, *, rows: int = 30, draws: int = 2000) -> Any:
    """Exact draws of the mean μ ~ N(ȳ, 1/N) of y ~ N(μ, 1), shifted by ``mean``: LOO is known."""
    rng = np.random.default_rng(3)
    y = rng.normal(size=rows)
    mu = y.mean() + mean + rng.normal(size=(1, draws, 1)) / np.sqrt(rows)
    groups = {
        "posterior": {"mu": mu[..., 0]},
        "posterior_predictive": {"y": mu + rng.normal(size=(1, draws, rows))},
        "log_likelihood": {"y": stats.norm.logpdf(y, mu)},
        "observed_data": {"y": y},
    }
    return majors.from_groups(groups, {"row": np.arange(rows)}, {"y": ["row"]}, {})


def with_values(data: Any, group: str, change: Any) -> Any:
    changed = copy.deepcopy(data)
    change(changed[group]["y"].values)
    return changed


def elpd(result: Any) -> float:
    return float(result.elpd_loo if hasattr(result, "elpd_loo") else result.elpd)


def test_leave_one_out_of_a_gaussian_mean_is_the_exact_one() -> None:
    data = gaussian(0.0)
    y, n = np.asarray(data["observed_data"]["y"]), 30
    others = (y.sum() - y) / (n - 1)
    exact = stats.norm.logpdf(y, others, np.sqrt(1 + 1 / (n - 1)))
    result = loo(data)
    # The effective number of parameters is about 1; its Monte Carlo error at 2000 draws is of order 0.03.
    assert elpd(result) == pytest.approx(exact.sum(), abs=0.15)
    assert np.asarray(result.pareto_k).shape == (30,)
    assert np.asarray(result.pareto_k).max() < 0.7


def test_the_pit_of_a_gaussian_mean_is_the_exact_one() -> None:
    data = gaussian(0.0)
    y, n = np.asarray(data["observed_data"]["y"]), 30
    others = (y.sum() - y) / (n - 1)
    exact = stats.norm.cdf(y, others, np.sqrt(1 + 1 / (n - 1)))
    np.testing.assert_allclose(loo_pit(data), exact, atol=4 * np.sqrt(0.25 / 2000) + 0.02)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pandas, in ArviZ 0.23
def test_the_better_model_comes_first() -> None:
    table = compare({"shifted": gaussian(1.0), "right": gaussian(0.0)})
    assert list(table.index) == ["right", "shifted"]


def test_what_comes_back_is_arvizs_own(data: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so short a fit may well have a high Pareto k
        assert elpd(loo(data)) == elpd(majors.library.loo(data))


def test_the_correction_needs_a_recent_arviz() -> None:
    data = gaussian(0.3)  # the posterior's mean is 0.3 off: log p and log q say so
    y = np.asarray(data["observed_data"]["y"])
    mu = np.asarray(data["posterior"]["mu"]).reshape(-1)
    log_p = stats.norm.logpdf(mu, y.mean(), 1 / np.sqrt(30))
    log_q = stats.norm.logpdf(mu, y.mean() + 0.3, 1 / np.sqrt(30))
    if majors.MAJOR < 1:
        with pytest.raises(DataError, match=r"install ArviZ 1\.0"):
            loo(data, log_p=log_p, log_q=log_q)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        corrected, plain, exact = loo(data, log_p=log_p, log_q=log_q), loo(data), loo(gaussian(0.0))
    assert abs(elpd(corrected) - elpd(exact)) < 0.5 * abs(elpd(plain) - elpd(exact))


def test_stock_functions_open_it(data: Any, classes: Any, columns: Any) -> None:
    az = majors.library
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in (data, classes, columns):
            assert len(az.summary(each, var_names=["f"])) > 0
            az.loo(each)
        az.plot_trace(data, var_names=["log_scale"])
        az.plot_forest(data, var_names=["f"])
        az.plot_loo_pit(data, **({"y": "y"} if majors.MAJOR < 1 else {}))
        plot_ppc = az.plot_ppc if majors.MAJOR < 1 else az.plot_ppc_dist
        for each in (data, columns):
            plot_ppc(each)
        plot_ppc(data, group="prior" if majors.MAJOR < 1 else "prior_predictive")
    plt.close("all")


def test_the_prior_and_the_inputs_are_there(data: Any, columns: Any) -> None:
    assert data["prior"]["f"].shape == data["prior_predictive"]["y"].shape == (1, 50, 40)
    assert data["constant_data"]["x"].shape == (40, 2)
    # Wider than what was learned from 40 rows.
    assert (
        np.asarray(data["prior"]["f"]).std((0, 1)).mean()
        > np.asarray(data["posterior"]["f"]).std((0, 1)).mean()
    )
    assert columns["posterior_predictive"]["y"].shape == (1, 100, 30, 2)
    assert columns["log_likelihood"]["y"].shape == (1, 100, 30)


def test_predictive_checks_are_shares_of_replications(data: Any) -> None:
    drawn = np.asarray(data["posterior_predictive"]["y"]).reshape(-1, 40)
    y = np.asarray(data["observed_data"]["y"])
    checks = ppc(data)
    assert list(checks) == ["mean", "std", "min", "max"]
    assert checks["max"].p_value == (drawn.max(1) > y.max()).mean()
    assert checks["std"].observed == y.std()
    assert checks["mean"].n_replications == 200
    own = ppc(data, {"first": lambda targets: targets[0]})["first"]
    assert own.replicated == pytest.approx(drawn[:, 0].mean())


def test_a_planted_misfit_has_an_extreme_p_value(data: Any) -> None:
    def enlarge(values: Any) -> None:
        values += 1000.0

    assert ppc(with_values(data, "observed_data", enlarge))["mean"].p_value == 0.0
    assert ppc(with_values(data, "posterior_predictive", enlarge))["mean"].p_value == 1.0


def test_classes_are_counted(classes: Any) -> None:
    checks = ppc(classes)
    assert list(checks) == ["share of class 0", "share of class 1"]
    assert checks["share of class 0"].observed + checks["share of class 1"].observed == pytest.approx(1.0)
    assert 0.0 < checks["share of class 1"].p_value < 1.0


def test_ties_count_half(classes: Any) -> None:
    assert ppc(classes, {"rows": len})["rows"].p_value == 0.5


def test_what_cannot_be_asked_is_refused(data: Any, classes: Any, columns: Any) -> None:
    def spoil(values: Any) -> None:
        values[0, 3, 7] = np.nan

    with pytest.raises(DataError, match=r"of 1 rows is NaN or infinite in some draw, the first in row 7"):
        loo(with_values(data, "log_likelihood", spoil))
    with pytest.raises(DataError, match=r"Expected what model\.to_arviz.* got int without y in a group log"):
        loo(3)
    with pytest.raises(DataError, match=r"Expected what model\.to_arviz.*without y in a group observed_data"):
        ppc({})
    with pytest.raises(DataError, match="at least 25"):
        loo(data.isel(draw=slice(0, 10)) if majors.MAJOR < 1 else gaussian(0.0, draws=20))
    with pytest.raises(DataError, match="got one of them"):
        loo(data, log_p=np.zeros(200))
    with pytest.raises(DataError, match="got classes"):
        loo_pit(classes)
    with pytest.raises(DataError, match="2 columns"):
        loo_pit(columns)
    with pytest.raises(DataError, match="two or more"):
        compare({"one": data})
    with pytest.raises(DataError, match="different rows"):
        compare({"one": data, "other": gaussian(0.0)})
    with pytest.raises(DataError, match="Got 1 row"):
        compare({"one": gaussian(0.0, rows=1), "other": gaussian(0.0, rows=1)})
    with pytest.raises(DataError, match="NaN or infinite on these targets"):
        ppc(data, {"odd": lambda targets: np.nan})
    with pytest.raises(DataError, match="one replication"):
        ppc(gaussian(0.0, draws=1))
