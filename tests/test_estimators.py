"""From a table to a file and back: what a fitted estimator says, and that its file says the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import bayeshyper
from bayeshyper import HyperClassifier, HyperRegressor, ModelFileError
from bayeshyper.errors import RecipeError

QUICK = {"optimizer.steps": 20}


def table(rows: int = 60) -> tuple[pd.DataFrame, pd.Series]:
    """Numbers with gaps, a category with gaps, and a target that depends on both."""
    rng = np.random.default_rng(0)
    size, colour = rng.normal(size=rows), rng.choice(["red", "blue"], size=rows)
    y = pd.Series(10 * size + 5 * (colour == "red") + rng.normal(size=rows), name="price")
    X = pd.DataFrame({"size": size, "colour": colour})
    X.loc[::7, "size"], X.loc[3::11, "colour"] = np.nan, None
    return X, y


@pytest.mark.parametrize("members", [1, 2])
def test_a_regressors_file_predicts_the_same_bits(tmp_path: Path, members: int) -> None:
    X, y = table()
    model = HyperRegressor(settings=QUICK, n_members=members, random_state=0).fit(X, y)
    audit = model.audit()
    model.save(tmp_path / "m.bayeshyper")
    loaded: Any = bayeshyper.load(tmp_path / "m.bayeshyper")
    assert isinstance(loaded, HyperRegressor)
    for ours, theirs in zip(
        model.predict(X, return_std=True), loaded.predict(X, return_std=True), strict=True
    ):
        assert np.array_equal(ours, theirs)
    assert np.array_equal(model.log_prob(X, y), loaded.log_prob(X, y))
    assert (loaded.audit(), loaded.target_name_) == (audit, "price")


def test_a_classifiers_file_predicts_the_same_bits_and_labels(tmp_path: Path) -> None:
    X, y = table()
    labels = np.where(y > y.median(), "dear", "cheap")
    model = HyperClassifier(settings=QUICK, random_state=0).fit(X, labels)
    model.save(tmp_path / "m.bayeshyper")
    loaded = HyperClassifier.load(tmp_path / "m.bayeshyper")
    assert np.array_equal(model.predict_proba(X), loaded.predict_proba(X))
    assert loaded.predict(X).tolist() == model.predict(X).tolist()


def test_a_network_of_ones_own_is_asked_for_and_used(tmp_path: Path) -> None:
    X, y = table()
    network = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1))
    before = [parameter.clone() for parameter in network.parameters()]
    model = HyperRegressor(network=network, settings=QUICK, random_state=0).fit(X, y)
    assert all(
        np.array_equal(a.detach(), b.detach()) for a, b in zip(before, network.parameters(), strict=True)
    )
    model.save(tmp_path / "m.bayeshyper")
    with pytest.raises(ModelFileError, match="network of your own"):
        bayeshyper.load(tmp_path / "m.bayeshyper")
    other = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1))
    loaded = HyperRegressor.load(tmp_path / "m.bayeshyper", network=other)
    assert np.array_equal(model.predict(X), loaded.predict(X))


def test_an_audit_that_was_not_kept_is_missed_by_name(tmp_path: Path) -> None:
    X, y = table()
    HyperRegressor(settings=QUICK, random_state=0).fit(X, y).save(tmp_path / "m.bayeshyper")
    with pytest.raises(ModelFileError, match="without its audit"):
        HyperRegressor.load(tmp_path / "m.bayeshyper").audit()


def test_the_wrong_estimator_for_a_file_is_named(tmp_path: Path) -> None:
    X, y = table()
    HyperRegressor(settings=QUICK, random_state=0).fit(X, y).save(tmp_path / "m.bayeshyper")
    with pytest.raises(ModelFileError, match="holds a HyperRegressor, expected a HyperClassifier"):
        HyperClassifier.load(tmp_path / "m.bayeshyper")


# -- where the default's start is not for the model ---------------------------------------------------------


def scores(model: HyperRegressor, rows: int) -> tuple[float, int]:
    """The log density of a small table's rows under its fit, and the fit's steps."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 3))
    y = np.sin(X[:, 0]) + X[:, 1] + 0.3 * rng.normal(size=rows)
    model.fit(X, y)
    return float(model.log_prob(X, y).mean()), model.history_.steps[-1]


@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        (20, {}),  # too few to hold any out
        (60, {"target.hidden": [300]}),  # too many weights
        (60, {"target.bayesian": ["layers.2.*"]}),  # some are trained, and are not Bayesian
    ],
)
def test_the_default_hands_over_to_the_posterior_itself(rows: int, settings: dict[str, object]) -> None:
    default = HyperRegressor(settings=settings, random_state=0, verbose=False)
    itself = HyperRegressor(inference="bayes", settings=settings, random_state=0, verbose=False)
    assert scores(default, rows) == scores(itself, rows)


def test_the_default_keeps_its_own_start_where_that_is_for_the_model() -> None:
    model = HyperRegressor(random_state=0, verbose=False)
    scores(model, 60)
    assert model.history_.start["rows"] > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"calibration.most": -5},
        {"calibration.least": 0},
        {"warm_start.natural_limit": -1},
        {"kl.temperature": float("inf")},
    ],
)
def test_a_start_that_makes_no_sense_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=next(iter(settings))):
        scores(HyperRegressor(settings=settings, verbose=False), 60)


@pytest.mark.parametrize("inference", [None, "bayes"])
def test_a_fit_moves_nobodys_random_numbers(inference: str | None) -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    scores(HyperRegressor(inference=inference, settings=QUICK, random_state=0, verbose=False), 60)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()
