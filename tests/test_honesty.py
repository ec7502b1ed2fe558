"""Warnings: each planted fault gives exactly its own, with the number in it, and a healthy fit gives none."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kendalltau
from typer.testing import CliRunner

import bayeshyper
from bayeshyper import (
    BayeshyperWarning,
    ClassImbalanceWarning,
    CollapseWarning,
    DuplicateRowsWarning,
    ExtrapolationWarning,
    FewRowsWarning,
    HyperClassifier,
    HyperRegressor,
    MissingValuesWarning,
    NotConvergedWarning,
)
from bayeshyper.cli import app
from bayeshyper.data import BUNDLED, load_bundled
from bayeshyper.diagnostics import ClassPredictive, NormalPredictive, SpreadScaling, collapse, evaluate
from bayeshyper.errors import ApproximationWarning, DataWarning
from bayeshyper.inference.improvement import CHANCE

SMALL = {"warm_start.natural_steps": 10, "warm_start.steps": 40, "optimizer.steps": 10}

pytestmark = pytest.mark.filterwarnings("error::bayeshyper.errors.BayeshyperWarning")


def numbers(seed: int = 0, rows: int = 120) -> tuple[pd.DataFrame, pd.Series]:
    """Two columns that nearly agree, and a target that is their sum, with noise."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(70.0, 12.0, rows)
    X = pd.DataFrame({"weight": weight, "height": 100 + weight + rng.normal(0.0, 1.0, rows)})
    return X, pd.Series(X["weight"] + X["height"] + rng.normal(0.0, 2.0, rows), name="size")


@pytest.fixture(scope="module")
def model() -> HyperRegressor:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return HyperRegressor(settings=SMALL, random_state=0).fit(*numbers())


def only(seen: Any, kind: type[Warning]) -> str:
    """The sentence of the one warning there was, which points at this file."""
    (one,) = seen
    assert one.category is kind
    assert one.filename == __file__
    return str(one.message)


# -- a fit that did not converge ------------------------------------------------------------------------


def test_a_fit_that_was_still_learning_says_by_how_much() -> None:
    X, y = numbers()
    with pytest.warns(BayeshyperWarning) as seen:
        fitted = HyperRegressor(inference="bayes", settings={"optimizer.steps": 30}, random_state=0).fit(
            X, 3 * y
        )
    values = fitted.history_.log_likelihood
    gain = np.mean(values[-2:]) - np.mean(values[-6:-4])
    said = only(seen, NotConvergedWarning)
    assert f"still rising, by {gain:.2f} nats per row" in said
    assert "Raise optimizer.steps" in said


def test_a_fit_of_a_handful_of_steps_has_not_converged() -> None:
    with pytest.warns(BayeshyperWarning) as seen:
        HyperRegressor(inference="bayes", settings={"optimizer.steps": 4}).fit(*numbers())
    assert "it took 6 steps in all" in only(seen, NotConvergedWarning)


# -- a posterior that collapsed -------------------------------------------------------------------------


def test_a_posterior_without_width_is_told_of_once() -> None:
    cold = {**SMALL, "kl.temperature": 1e-8, "optimizer.steps": 1}
    fitted = HyperRegressor(settings=cold, random_state=0).fit(*numbers())
    with torch.no_grad():
        fitted._guide.hypernetwork.log_output_noise.fill_(-20.0)
        for parameter in fitted._guide.hypernetwork.head.parameters():
            parameter.zero_()
    with pytest.warns(BayeshyperWarning) as seen:
        fitted.audit()
    widest = max(collapse(fitted._guide.hypernetwork).spread.values())
    assert f"spread at most {widest:.1g} times as wide as their prior" in only(seen, CollapseWarning)
    fitted.audit()  # not again


# -- rows far from those fitted -------------------------------------------------------------------------


def test_a_row_outside_the_range_names_its_column(model: HyperRegressor, tmp_path: Path) -> None:
    X, _ = numbers()
    far = X.iloc[:3].copy()
    far.loc[1, "weight"] = 800.0
    with pytest.warns(BayeshyperWarning) as seen:
        model.predict(far)
    beyond = (800.0 - X["weight"].max()) / np.ptp(X["weight"])
    said = only(seen, ExtrapolationWarning)
    assert said.startswith("1 of 3 rows lies far")
    assert f"in row 2 'weight' lies {beyond:.1f} times the fitted rows' whole range beyond it" in said
    model.save(tmp_path / "m.bayeshyper")
    with pytest.warns(ExtrapolationWarning) as again:
        bayeshyper.load(tmp_path / "m.bayeshyper").predict(far)
    assert str(again[0].message) == said


def test_what_arviz_gets_of_far_rows_warns_too(model: HyperRegressor) -> None:
    X, y = numbers(seed=1, rows=60)
    with pytest.warns(BayeshyperWarning) as seen:
        model.to_arviz(3 * X, 3 * y)
    assert only(seen, ExtrapolationWarning).startswith("60 of 60 rows lie far")


def test_a_combination_that_never_was_is_far_where_no_column_is(model: HyperRegressor) -> None:
    X, _ = numbers()
    far = pd.DataFrame({"weight": [X["weight"].min()], "height": [X["height"].max()]})
    with pytest.warns(BayeshyperWarning) as seen:
        model.predict(far)
    assert "combines its columns as no fitted row did" in only(seen, ExtrapolationWarning)


def test_rows_like_those_fitted_and_a_second_table_that_is_meant_to_be_far_do_not_warn(
    model: HyperRegressor,
) -> None:
    X, y = numbers(seed=1)
    model.predict(X, return_std=True)
    model.evaluate(X, y, unfamiliar=10 * X)


def test_a_report_tells_of_far_rows_once(model: HyperRegressor, tmp_path: Path) -> None:
    X, y = numbers(seed=1, rows=60)
    with pytest.warns(BayeshyperWarning) as seen:
        model.report(3 * X, 3 * y, tmp_path / "report", repair=False)
    said = only(seen, ExtrapolationWarning)
    assert said.startswith("60 of 60 rows lie far")
    assert (
        json.loads((tmp_path / "report" / "metrics.json").read_text())["about"]["far from the fitted rows"]
        == said
    )


def test_a_report_tells_of_what_fitting_has_not_seen_once(tmp_path: Path) -> None:
    X, y = numbers(rows=60)
    X["kind"] = ["a", "b"] * 30
    fitted = HyperRegressor(settings=SMALL, random_state=0).fit(X, y)
    with pytest.warns(DataWarning, match="holds 'c', unseen") as seen:
        fitted.report(X.assign(kind="c"), y, tmp_path / "report", repair=False)
    assert len(seen) == 1


# -- rows that tell less than their number --------------------------------------------------------------


def line(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three columns, their line, and as much noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 3))
    return X, X @ [1.0, 2.0, -1.0] + rng.normal(size=rows)


def test_copies_of_rows_are_told_of() -> None:
    X, y = line(30, 0)
    with pytest.warns(BayeshyperWarning) as seen:
        HyperRegressor(settings=SMALL, random_state=0).fit(np.repeat(X, 4, axis=0), np.repeat(y, 4))
    assert only(seen, DuplicateRowsWarning).startswith("The 120 rows are 30, each 4.0 times")


def test_a_fit_of_nine_rows_is_told_of() -> None:
    with pytest.warns(BayeshyperWarning) as seen:
        HyperRegressor(settings=SMALL, random_state=0).fit(*line(9, 0))
    assert only(seen, FewRowsWarning).startswith("9 rows are too few")


@pytest.mark.parametrize("matters", [True, False])
def test_gaps_in_a_column_that_matters_are_told_of(matters: bool) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    y = 3.0 * X[:, 0 if matters else 1] + 0.2 * rng.normal(size=200)
    X[:20, 0] = np.nan
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        HyperRegressor(random_state=0).fit(X, y)
    if matters:
        assert only(seen, MissingValuesWarning).startswith("Of 20 fitted rows with missing values ")
    else:
        assert not seen


@pytest.mark.long
def test_what_few_rows_and_copies_cost() -> None:
    """The shares of new rows within 90 % that the page of warnings tells of, to their standard errors."""
    tables = {"2": (2, 1), "5": (5, 1), "8": (8, 1), "12": (12, 1), "10 times": (30, 10), "100": (100, 1)}
    held = {}
    for name, (rows, times) in tables.items():
        shares = []
        for seed in range(8):
            X, y = (np.repeat(part, times, axis=0) for part in line(rows, seed))
            new_X, new_y = line(1000, 1000 + seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", BayeshyperWarning)
                low, high = HyperRegressor(random_state=seed).fit(X, y).predictive(new_X).interval(0.9).T
            shares.append(((low <= new_y) & (new_y <= high)).mean())
        held[name] = float(np.mean(shares))
    print(held)
    assert held["2"] < 0.65
    assert held["5"] < 0.8
    assert held["10 times"] < 0.6
    assert held["12"] > 0.83
    assert held["100"] > 0.86


# -- few rows to calibrate by, and classes with next to none --------------------------------------------


def test_a_repair_and_a_judgement_of_few_rows_say_how_little_they_tell() -> None:
    forecast, y = NormalPredictive(np.zeros(20), 1.0), np.random.default_rng(0).normal(size=20)
    for judge in (SpreadScaling.fit, evaluate):
        with pytest.warns(BayeshyperWarning) as seen:
            judge(forecast, y)
        assert "20 rows" in only(seen, FewRowsWarning)
        assert "from 68\u00a0% to 99\u00a0%" in str(seen[0].message)


def test_few_rows_held_out_by_a_recipe_are_told_of() -> None:
    settings = {**SMALL, "calibration.least": 5, "calibration.holdout": 0.01}
    with pytest.warns(BayeshyperWarning) as seen:
        HyperRegressor(settings=settings, random_state=0).fit(*numbers())
    assert "5 rows held out to choose temperature and noise" in only(seen, FewRowsWarning)


@pytest.mark.parametrize(("rare", "said"), [(4, r"'bad' \(4\)"), (12, r"'good' in 96\.0 % of 300 rows")])
def test_a_rare_class_is_named_with_its_rows(rare: int, said: str) -> None:
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 2)), columns=["a", "b"])
    y = np.where(np.arange(300) < rare, "bad", "good")
    settings = {**SMALL, "warm_start.natural_steps": 40}
    with pytest.warns(BayeshyperWarning, match=said) as seen:
        HyperClassifier(settings=settings, random_state=0).fit(X, y)
    only(seen, ClassImbalanceWarning)


# -- filters, and the command line ----------------------------------------------------------------------


def test_every_warning_is_heard_or_not_by_its_name_or_its_kind() -> None:
    kinds = {
        DataWarning: [ClassImbalanceWarning, ExtrapolationWarning, FewRowsWarning],
        ApproximationWarning: [CollapseWarning, NotConvergedWarning],
    }
    for kind, named in kinds.items():
        assert issubclass(kind, BayeshyperWarning)
        for one in named:
            assert issubclass(one, kind)
            assert getattr(bayeshyper, one.__name__) is one


def test_a_filter_silences_one_class(model: HyperRegressor) -> None:
    far = numbers()[0] * 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ExtrapolationWarning)
        model.predict(far)


@pytest.mark.parametrize(
    ("option", "code", "said"),
    [
        ("", 0, "Warning: 120 of 120 rows lie far"),
        ("ignore::bayeshyper.ExtrapolationWarning", 0, ""),
        ("i::bayeshyper.errors.DataWarning", 0, ""),
        ("error::bayeshyper.BayeshyperWarning", 2, "Error: 120 of 120 rows lie far"),
    ],
)
def test_the_command_line_says_it_in_one_sentence_and_pythons_filters_hold(
    model: HyperRegressor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, code: int, said: str
) -> None:
    model.save(tmp_path / "m.bayeshyper")
    (10 * numbers()[0]).to_csv(tmp_path / "far.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "warnoptions", [option] if option else [])
    with warnings.catch_warnings():
        warnings.simplefilter("default", BayeshyperWarning)
        result = CliRunner().invoke(app, ["predict", "m.bayeshyper", "far.csv"])
    assert result.exit_code == code
    assert result.stderr.startswith(said)
    assert result.stderr.count("\n") == bool(said)


# -- healthy fits ---------------------------------------------------------------------------------------


def fit_default(X: Any, y: Any, seed: int) -> HyperRegressor | HyperClassifier:
    kind = HyperRegressor if np.issubdtype(np.asarray(y).dtype, np.floating) else HyperClassifier
    return kind(random_state=seed, verbose=False).fit(X, y)


def healthy(name: str, seed: int, tmp_path: Path) -> None:
    """Fit nine tenths of a bundled set, predict and report on the last."""
    X, y = load_bundled(name)
    order = np.random.default_rng(seed).permutation(len(X))
    train, test = np.sort(order[: -max(len(X) // 10, 40)]), np.sort(order[-max(len(X) // 10, 40) :])
    fitted = fit_default(X.iloc[train], y.iloc[train], seed)
    fitted.audit()
    fitted.predict(X.iloc[test])
    fitted.report(X.iloc[test], y.iloc[test], tmp_path / name)


def test_a_healthy_fit_of_a_bundled_set_gives_no_warning(tmp_path: Path) -> None:
    healthy("iris", 0, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", BUNDLED)
def test_no_healthy_fit_of_a_bundled_set_gives_a_warning(name: str, tmp_path: Path) -> None:
    healthy(name, 0, tmp_path)


def small_tables(seed: int) -> dict[str, tuple[Any, Any]]:
    """Regressions and classifications of 80 to 150 rows: smooth, linear, an interaction, or only noise."""
    rng = np.random.default_rng(seed)
    wave, five = rng.uniform(-2, 2, (80, 1)), rng.normal(size=(120, 5))
    three, two, four = rng.normal(size=(150, 3)), rng.normal(size=(120, 2)), rng.normal(size=(150, 4))
    group = rng.integers(0, 3, 90)
    return {
        "sine": (wave, np.sin(2 * wave[:, 0]) + 0.1 * rng.normal(size=80)),
        "linear": (five, five @ [1, 2, 0, -1, 0.5] + rng.normal(size=120)),
        "interaction": (three, three[:, 0] * three[:, 1] + np.abs(three[:, 2]) + 0.2 * rng.normal(size=150)),
        "noise": (three, rng.normal(size=150)),
        "exclusive or": (two, (two[:, 0] * two[:, 1] > 0).astype(int)),
        "logistic": (four, (four @ [1, -1, 0.5, 0] + rng.logistic(size=150) > 0).astype(int)),
        "three groups": (rng.normal(size=(90, 2)) + np.array([[0, 0], [3, 0], [0, 3]])[group], group),
    }


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_small_healthy_fits_give_no_warning(seed: int) -> None:
    """35 fits with default settings, and as many new tables of the same kind predicted."""
    fresh = small_tables(seed + 100)
    for name, (X, y) in small_tables(seed).items():
        fitted = fit_default(X, y, seed)
        fitted.audit()
        fitted.predict(fresh[name][0])
        values = fitted.history_.log_likelihood
        order = kendalltau(np.arange(6), values[-6:], alternative="greater")
        # Noise raises some by 0.06, and 0.05 is told of; but what rises in order rises by less than 0.02.
        assert order.pvalue > CHANCE or np.mean(values[-2:]) - np.mean(values[-6:-4]) < 0.02, name


def test_probabilities_of_few_rows_are_told_of_too() -> None:
    with pytest.warns(FewRowsWarning, match="12 rows to judge calibration by"):
        evaluate(ClassPredictive(np.full((12, 2), 0.5)), np.arange(12) % 2)
