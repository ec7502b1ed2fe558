"""The command line, as a person uses it: from a table to predictions and a report, and what can go wrong."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from bayeshyper.baselines import BaselineRegressor
from bayeshyper.cli import app, contest
from bayeshyper.cli.output import filled_folder
from bayeshyper.estimators import HyperRegressor
from bayeshyper.inference.baselines import BASELINES

QUICK = ["--set", "optimizer.steps=30", "--set", "target.hidden=[8]", "--set", "hypernetwork.hidden=[8]"]
# Shown, as they are to a person; elsewhere in the tests they are errors.
pytestmark = pytest.mark.filterwarnings("default::bayeshyper.errors.BayeshyperWarning")

COMMANDS = ["fit", "predict", "sample", "report", "compare", "demo", "recipes", "docs"]

Run = Callable[..., Any]


def run(*arguments: object) -> Any:
    """Run one command in this process; a bug keeps its traceback."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def succeed(*arguments: object) -> str:
    """Run one command that must succeed, and return what it printed."""
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return str(result.stdout)


def refuse(*arguments: object) -> str:
    """Run one command that must be refused with one sentence, and return that."""
    result = run(*arguments)
    assert result.exit_code == 2, (result.exit_code, result.output)
    assert result.stdout == ""
    error = str(result.stderr)
    assert error.startswith("Error: ")
    assert error.endswith((".\n", "?\n"))
    assert error.count("\n") == 1, error
    return error


def houses(rows: int, seed: int) -> pd.DataFrame:
    """A table of houses with numbers, text and gaps."""
    rng = np.random.default_rng(seed)
    area = rng.uniform(40, 200, rows)
    town = rng.choice(["Aix", "Brno", "Cork"], rows)
    age = np.where(rng.random(rows) < 0.1, np.nan, rng.integers(0, 90, rows))
    price = 2.0 * area + 50 * (town == "Aix") - 0.3 * np.nan_to_num(age) + rng.normal(0, 10, rows)
    return pd.DataFrame({"area": area, "town": town, "age": age, "price": price.round(2)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tables, and a regressor and a classifier fitted to them on the command line."""
    folder = tmp_path_factory.mktemp("houses")
    train, test = houses(120, 0), houses(40, 1)
    for name, table in (("train", train), ("test", test)):
        table.to_csv(folder / f"{name}.csv", index=False)
        dear = np.where(table["price"] > 250, "=dear", "cheap")
        table.drop(columns="price").assign(kind=dear).to_parquet(folder / f"{name}-kind.parquet")
    succeed("fit", folder / "train.csv", "-t", "price", "-o", folder / "price.bayeshyper", *QUICK)
    succeed("fit", folder / "train-kind.parquet", "-t", "kind", "-o", folder / "kind.bayeshyper", *QUICK)
    return folder


# -- the journey ------------------------------------------------------------------------------------------


def test_a_regressor_predicts_with_mean_std_and_an_interval(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "predictions.csv"
    said = succeed("predict", folder / "price.bayeshyper", folder / "test.csv", "-o", output)
    assert str(output) in said
    assert "90" in said
    table = pd.read_csv(output)
    assert list(table.columns) == ["mean", "std", "lower", "upper"]
    assert len(table) == 40
    assert (table["std"] > 0).all()
    assert ((table["lower"] < table["mean"]) & (table["mean"] < table["upper"])).all()


def test_a_wider_level_gives_a_wider_interval_around_the_same_mean(folder: Path, tmp_path: Path) -> None:
    model, test = folder / "price.bayeshyper", folder / "test.csv"
    succeed("predict", model, test, "-o", tmp_path / "a.csv", "--level", 0.5)
    succeed("predict", model, test, "-o", tmp_path / "b.csv", "--level", 0.99)
    narrow, wide = pd.read_csv(tmp_path / "a.csv"), pd.read_csv(tmp_path / "b.csv")
    assert (narrow["mean"] == wide["mean"]).all()
    assert ((wide["lower"] < narrow["lower"]) & (narrow["upper"] < wide["upper"])).all()


def test_columns_are_found_by_name_and_rows_keep_their_order(folder: Path, tmp_path: Path) -> None:
    model, test = folder / "price.bayeshyper", pd.read_csv(folder / "test.csv")
    moved = test[["town", "price", "age", "area"]].assign(extra="x").iloc[::-1]
    moved.to_csv(tmp_path / "moved.csv", index=False)
    test.iloc[[7]].to_csv(tmp_path / "one.csv", index=False)
    succeed("predict", model, folder / "test.csv", "-o", tmp_path / "a.csv")
    succeed("predict", model, tmp_path / "moved.csv", "-o", tmp_path / "b.csv")
    succeed("predict", model, tmp_path / "one.csv", "-o", tmp_path / "c.csv")
    expected = pd.read_csv(tmp_path / "a.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "b.csv").iloc[::-1].reset_index(drop=True), expected)
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "c.csv"), expected.iloc[[7]].reset_index(drop=True), rtol=1e-9
    )


def test_the_output_is_written_in_the_format_of_its_ending(folder: Path, tmp_path: Path) -> None:
    model, test = folder / "price.bayeshyper", folder / "test.csv"
    for ending in ("csv", "tsv", "csv.gz", "parquet"):
        succeed("predict", model, test, "-o", tmp_path / f"p.{ending}")
    expected = pd.read_csv(tmp_path / "p.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "p.tsv", sep="\t"), expected)
    assert gzip.decompress((tmp_path / "p.csv.gz").read_bytes()) == (tmp_path / "p.csv").read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "p.parquet"), expected)


def test_a_classifier_predicts_one_probability_per_class(folder: Path, tmp_path: Path) -> None:
    for ending in ("csv", "parquet"):
        succeed(
            "predict",
            folder / "kind.bayeshyper",
            folder / "test-kind.parquet",
            "-o",
            tmp_path / f"p.{ending}",
        )
    table, text = pd.read_parquet(tmp_path / "p.parquet"), pd.read_csv(tmp_path / "p.csv")
    assert list(table.columns) == ["prediction", "probability_=dear", "probability_cheap"]
    np.testing.assert_allclose(table.iloc[:, 1:].sum(axis=1), 1.0)
    likeliest = table.iloc[:, 1:].idxmax(axis=1).str.removeprefix("probability_")
    assert (table["prediction"] == likeliest).all()
    # A spreadsheet would run "=dear" as a formula: in text it is escaped, and nothing else is.
    assert set(table["prediction"]) == {"=dear", "cheap"}
    assert set(text["prediction"]) == {"'=dear", "cheap"}


def test_a_sample_of_weights_can_be_read_by_others(folder: Path, tmp_path: Path) -> None:
    model, output = folder / "price.bayeshyper", tmp_path / "ensemble.safetensors"
    succeed("sample", model, "-n", 7, "-o", output)
    tensors = load_file(output)
    assert all(len(tensor) == 7 for tensor in tensors.values())
    succeed("sample", model, "-n", 7, "-o", tmp_path / "other.safetensors", "--seed", 1)
    other = load_file(tmp_path / "other.safetensors")
    assert not any(bool((tensors[name] == other[name]).all()) for name in tensors)


def test_a_report_finds_its_target_and_writes_every_file(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "report"
    said = succeed("report", folder / "price.bayeshyper", folder / "test.csv", "-o", output)
    assert str(output / "report.html") in said
    assert {"report.html", "report.md", "metrics.json"} <= {path.name for path in output.iterdir()}
    assert json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert list(output.glob("**/*.png"))
    assert sorted(path.name for path in tmp_path.joinpath("new").iterdir()) == ["report"]
    succeed("report", folder / "kind.bayeshyper", folder / "test-kind.parquet", "-o", output, "--force")


def test_compare_scores_every_model_on_the_same_rows(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "comparison"
    said = succeed("compare", folder / "train.csv", "-t", "price", "-o", output, *QUICK)
    others = ["mean field", "low rank", "MAP", "deep ensemble", "MC dropout", "Laplace"]
    for words in ("96 rows", "24", "hypernetwork", "nats per row", "CRPS", *others):
        assert words in said
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["model"] == "hypernetwork"
    assert metrics["audit"] is not None
    assert list(metrics["comparisons"]) == others
    assert metrics["about"]["split"].startswith("24 rows held out")
    page = (output / "report.html").read_text(encoding="utf-8")
    for label in others:
        gap = metrics["comparisons"][label]["differences"]["log_score_difference"]
        assert gap["lower"] <= gap["value"] <= gap["upper"]
        assert f"hypernetwork over {label}: {gap['value']:+.3f}" in said
        assert label in page


def test_what_every_model_meets_is_warned_of_once(tmp_path: Path) -> None:
    table = houses(60, 0).assign(name=[f"house {row}" for row in range(60)])
    table.loc[:29, "name"] = "a house"  # the rest are categories of one row each, some only held out
    table.to_csv(tmp_path / "houses.csv", index=False)
    models = ["--model", "laplace", "--model", "map", "--set", "optimizer.steps=20"]
    result = run("compare", tmp_path / "houses.csv", "-t", "price", "-o", tmp_path / "c", *models)
    assert result.exit_code == 0
    assert str(result.stderr).count("unseen when the model was fitted") == 1


def test_compare_may_have_a_baseline_first(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "c"
    models = ["--model", "laplace", "--model", "map", "--set", "optimizer.steps=20"]
    said = succeed("compare", folder / "train-kind.parquet", "-t", "kind", "-o", output, *models)
    assert "Laplace over MAP" in said
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["audit"] is None
    assert metrics["about"]["method"] == "Laplace"
    assert metrics["about"]["steps"] == "20 (kept: 20)"


def test_compare_leaves_out_what_cannot_be_fitted_and_says_why(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "c"
    options = ["--model", "laplace", "--model", "map", "--set", "prior.family=horseshoe"]
    steps = ["--set", "optimizer.steps=20"]
    result = run("compare", folder / "train.csv", "-t", "price", "-o", output, *options, *steps)
    assert result.exit_code == 0
    assert "Warning: laplace is left out: Got the prior" in result.stderr
    assert "Laplace over" not in result.stdout
    about = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["about"]
    assert about["without laplace"].startswith("Got the prior HorseshoePrior")


def test_compare_refuses_where_nothing_can_be_fitted(folder: Path, tmp_path: Path) -> None:
    options = ["--model", "laplace", "--model", "map", "--set", "target.bayesian=['layers.2.*']"]
    assert "not Bayesian" in refuse(
        "compare", folder / "train.csv", "-t", "price", "-o", tmp_path / "c", *options
    )
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("models", "said"),
    [(["map", "maap"], "No model recipe is called maap"), (["map", "map"], "Got --model map twice")],
)
def test_compare_reads_the_names_before_it_fits(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: list[str], said: str
) -> None:
    monkeypatch.setattr(BaselineRegressor, "fit", None)  # would raise a TypeError
    names = [argument for model in models for argument in ("--model", model)]
    assert said in refuse("compare", folder / "train.csv", "-t", "price", "-o", tmp_path / "c", *names)


def test_compare_takes_the_recipes_one_names(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "wide.toml").write_text("[target]\nhidden = [12]\n", encoding="utf-8")
    said = succeed(
        "compare", folder / "train-kind.parquet", "-t", "kind", "-o", tmp_path / "c", "--inference", "quick",
        "--model", "mean-field", "--model", tmp_path / "wide.toml", "--set", "optimizer.steps=20",
        "--test-fraction", 0.5,
    )  # fmt: skip
    assert "mean field over wide" in said
    assert "Accuracy" in said


def test_the_same_seed_gives_the_same_predictions(folder: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        model = tmp_path / f"{name}.bayeshyper"
        succeed("fit", folder / "train.csv", "-t", "price", "-o", model, "--seed", seed, *QUICK)
        succeed("predict", model, folder / "test.csv", "-o", tmp_path / f"{name}.csv")
    written = [(tmp_path / f"{name}.csv").read_bytes() for name in "abc"]
    assert written[0] == written[1] != written[2]


def test_without_names_outputs_go_where_one_looks_first(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    succeed("fit", folder / "train.csv", "--target", "price", *QUICK)
    succeed("predict", "train.bayeshyper", folder / "test.csv")
    succeed("sample", "train.bayeshyper", "-n", 2)
    succeed("report", "train.bayeshyper", folder / "test.csv")
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {"train.bayeshyper", "predictions.csv", "ensemble.safetensors", "report"}


def test_the_task_can_be_forced(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "train.csv")
    table.assign(stars=np.arange(len(table)) % 4).to_csv(tmp_path / "stars.csv", index=False)
    for task, column in (("auto", "prediction"), ("regression", "mean")):
        model = tmp_path / f"{task}.bayeshyper"
        succeed("fit", tmp_path / "stars.csv", "-t", "stars", "--task", task, "-o", model, *QUICK)
        succeed("predict", model, tmp_path / "stars.csv", "-o", tmp_path / f"{task}.csv")
        assert column in pd.read_csv(tmp_path / f"{task}.csv").columns


def test_a_likelihood_says_what_is_to_be_learned(tmp_path: Path) -> None:
    """Few whole numbers would be taken for classes."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 100)
    table = pd.DataFrame({"x": x, "visits": rng.poisson(np.exp(x))})
    table.to_csv(tmp_path / "visits.csv", index=False)
    model, out = tmp_path / "m.bayeshyper", tmp_path / "p.csv"
    likelihood = ("--set", "likelihood.family=poisson")
    succeed("fit", tmp_path / "visits.csv", "-t", "visits", *likelihood, *QUICK, "-o", model)
    succeed("predict", model, tmp_path / "visits.csv", "-o", out)
    assert (pd.read_csv(out)[["lower", "upper"]] % 1 == 0).all(axis=None)
    table.assign(visits=table["visits"] - 1).to_csv(tmp_path / "bad.csv", index=False)
    error = refuse("fit", tmp_path / "bad.csv", "-t", "visits", *likelihood, "-o", tmp_path / "n.bayeshyper")
    assert re.search(r"Got the target -1 in row \d+ .* expected whole numbers of 0 or more", error)


def test_data_that_teach_little_warn_in_one_line(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "train.csv").head(2)
    table.to_csv(tmp_path / "few.csv", index=False)
    result = run("fit", tmp_path / "few.csv", "-t", "price", "-o", tmp_path / "m", *QUICK)
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: ")
    assert ".py" not in result.stderr


@pytest.mark.long
def test_the_demo_fits_judges_and_reports_both_tasks(tmp_path: Path) -> None:
    said = succeed("demo", "-o", tmp_path / "demo")
    for words in ("hypernetwork", "mean field", "CRPS", "Accuracy", "nats per row"):
        assert words in said
    for report in (tmp_path / "demo", tmp_path / "demo" / "classification"):
        assert {"report.html", "report.md", "metrics.json"} <= {path.name for path in report.iterdir()}
    assert "not empty" in refuse("demo", "-o", tmp_path / "demo")


# -- bad input --------------------------------------------------------------------------------------------


def changed(column: str, value: Any, *, rows: slice = slice(None)) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A table with one column set to a value in some rows."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.copy()
        table.iloc[rows, table.columns.get_loc(column)] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda table: table.head(0), ["no rows"], id="empty table"),
        pytest.param(lambda table: table.head(1), ["1 sample"], id="one row"),
        pytest.param(lambda table: table.drop(columns="price"), ["'price'", "columns"], id="no target"),
        pytest.param(lambda table: table[["price"]], ["'price'", "only column"], id="nothing but the target"),
        pytest.param(
            changed("price", np.nan, rows=slice(3, 5)), ["'price'", "2 missing", "row 4"], id="gaps"
        ),
        pytest.param(changed("price", np.inf, rows=slice(3, 4)), ["'price'", "row 4"], id="infinite target"),
        pytest.param(changed("price", 7.5), ["'price'", "constant"], id="constant target"),
        pytest.param(changed("area", np.nan), ["'area'", "missing"], id="a column without a value"),
        pytest.param(changed("area", np.inf, rows=slice(3, 4)), ["'area'", "infin"], id="infinite feature"),
    ],
)
def test_a_table_that_cannot_be_learned_is_refused(
    folder: Path, tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], words: list[str]
) -> None:
    change(pd.read_csv(folder / "train.csv")).to_csv(tmp_path / "bad.csv", index=False)
    output = tmp_path / "kept.bayeshyper"
    output.write_text("precious")
    error = refuse(
        "fit", tmp_path / "bad.csv", "-t", "price", "-o", output, "--task", "regression", "--force"
    )
    assert all(word in error for word in words), error
    assert output.read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} == {"bad.csv", "kept.bayeshyper"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-t", "prise"], ["'prise'", "'price'"]),
        (["-t", "price", "--model", "mpl"], ["mpl", "mlp", "mean-field"]),
        (["-t", "price", "--inference", "absent.toml"], ["absent.toml"]),
        (["-t", "price", "--set", "noise_dims=8"], ["noise_dims", "hypernetwork.noise_dim"]),
        (["-t", "price", "--set", "optimizer.steps=many"], ["optimizer.steps", "'many'", "whole number"]),
        (["-t", "price", "--set", "optimizer.steps=-3"], ["optimizer.steps", "-3", "positive"]),
        (["-t", "price", "--set", "target.activation=wavy"], ["wavy", "relu"]),
        (["-t", "price", "--set", "hypernetwork.head=bold"], ["bold", "dense"]),
        (["-t", "price", "--set", "likelihood.family=bernoulli"], ["bernoulli", "gaussian"]),
        (["-t", "price", "--set", "steps"], ["'steps'", "key=value"]),
        (["-t", "town", "--task", "regression"], ["'town'", "numbers"]),
        (["-t", "price", "--task", "classification"], ["'price'", "classes"]),
    ],
)
def test_options_that_cannot_be_followed_are_refused(
    folder: Path, tmp_path: Path, options: list[str], words: list[str]
) -> None:
    error = refuse("fit", folder / "train.csv", "-o", tmp_path / "m.bayeshyper", *options)
    assert all(word in error for word in words), error
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    (tmp_path / "notes.docx").write_text("hello")
    for name in ("absent.csv", "image.csv", "notes.docx", "."):
        assert str(tmp_path) in refuse("fit", tmp_path / name, "-t", "y", "-o", tmp_path / "m.bayeshyper")


def test_a_table_that_lacks_a_column_is_refused_when_predicting(folder: Path, tmp_path: Path) -> None:
    pd.read_csv(folder / "test.csv").drop(columns="area").to_csv(tmp_path / "narrow.csv", index=False)
    error = refuse("predict", folder / "price.bayeshyper", tmp_path / "narrow.csv", "-o", tmp_path / "p.csv")
    assert "'area'" in error
    assert not (tmp_path / "p.csv").exists()


def test_numbers_written_as_text_are_said_once(tmp_path: Path) -> None:
    table = houses(40, 0).assign(area=lambda frame: frame["area"].where(frame.index % 4 > 0, other="n/k"))
    table.to_csv(tmp_path / "train.csv", index=False)
    result = run("fit", tmp_path / "train.csv", "-t", "price", "-o", tmp_path / "m", *QUICK)
    assert result.exit_code == 0
    assert result.stderr.count("Column 'area' is read as text with 31 labels for 40 rows") == 1
    assert "30 of 40 are numbers written as text" in result.stderr
    assert "leave empty what is none, as 'n/k'." in result.stderr


def test_a_new_category_is_predicted_with_a_warning(folder: Path, tmp_path: Path) -> None:
    table = changed("town", "Delft", rows=slice(0, 1))(pd.read_csv(folder / "test.csv"))
    table.to_csv(tmp_path / "new.csv", index=False)
    result = run("predict", folder / "price.bayeshyper", tmp_path / "new.csv", "-o", tmp_path / "p.csv")
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: ")
    assert "Delft" in result.stderr
    assert len(pd.read_csv(tmp_path / "p.csv")) == 40


@pytest.mark.parametrize("damage", ["absent", "truncated", "newer", "foreign", "a table"])
def test_a_file_that_is_no_model_is_refused(folder: Path, tmp_path: Path, damage: str) -> None:
    model = tmp_path / "m.bayeshyper"
    whole = (folder / "price.bayeshyper").read_bytes()
    if damage == "truncated":
        model.write_bytes(whole[: len(whole) // 2])
    elif damage == "newer":
        model.write_bytes(whole.replace(rb"\"version\": 2", rb"\"version\": 9", 1))
    elif damage == "foreign":
        model.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    elif damage == "a table":
        model.write_bytes((folder / "test.csv").read_bytes())
    for command in (
        ["predict", model, folder / "test.csv", "-o", tmp_path / "p.csv"],
        ["sample", model, "-o", tmp_path / "e.safetensors"],
        ["report", model, folder / "test.csv", "-o", tmp_path / "report"],
    ):
        error = refuse(*command)
        assert str(model) in error
        assert ("update" in error) == (damage == "newer")
    assert {path.name for path in tmp_path.iterdir()} <= {model.name}


def test_a_report_needs_the_target_with_a_value_in_every_row(folder: Path, tmp_path: Path) -> None:
    test = pd.read_csv(folder / "test.csv")
    test.drop(columns="price").to_csv(tmp_path / "blind.csv", index=False)
    changed("price", np.nan, rows=slice(2, 3))(test).to_csv(tmp_path / "gap.csv", index=False)
    for name in ("blind", "gap"):
        refuse("report", folder / "price.bayeshyper", tmp_path / f"{name}.csv", "-o", tmp_path / "report")
        assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("level", [0, 1, 1.5, -0.1, "nan"])
def test_a_level_that_is_no_probability_is_refused(folder: Path, tmp_path: Path, level: object) -> None:
    error = refuse(
        "predict",
        folder / "price.bayeshyper",
        folder / "test.csv",
        "-o",
        tmp_path / "p.csv",
        "--level",
        level,
    )
    assert "--level" in error


@pytest.mark.parametrize("fraction", [0, 1, 0.001, 0.999])
def test_a_split_without_two_rows_on_either_side_is_refused(
    folder: Path, tmp_path: Path, fraction: float
) -> None:
    refuse("compare", folder / "train.csv", "-t", "price", "-o", tmp_path / "c", "--test-fraction", fraction)


# -- outputs ----------------------------------------------------------------------------------------------


def outputs(folder: Path) -> dict[str, tuple[list[object], str]]:
    """Each command without its --output, and a name for that."""
    model, test = folder / "price.bayeshyper", folder / "test.csv"
    return {
        "fit": (["fit", folder / "train.csv", "-t", "price", *QUICK], "m.bayeshyper"),
        "predict": (["predict", model, test], "p.csv"),
        "sample": (["sample", model, "-n", 2], "e.safetensors"),
        "report": (["report", model, test], "report"),
    }


@pytest.mark.parametrize("command", ["fit", "predict", "sample", "report"])
def test_what_exists_is_replaced_only_by_force(folder: Path, tmp_path: Path, command: str) -> None:
    arguments, name = outputs(folder)[command]
    output = tmp_path / name
    kept = output / "notes.txt" if command == "report" else output
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("precious")
    assert "--force" in refuse(*arguments, "-o", output)
    assert kept.read_text() == "precious"
    succeed(*arguments, "-o", output, "--force")
    # A folder is written into: what else stands in it is nobody's to remove.
    assert (kept.read_bytes() == b"precious") == (command == "report")


LATE = {"fit": "audit", "predict": "predictive", "sample": "sample_weights"}


def meanwhile(monkeypatch: pytest.MonkeyPatch, command: str, event: Callable[[], object]) -> None:
    """Let something happen while a command is at work, after it looked at its output."""
    method = getattr(HyperRegressor, LATE[command])

    def work(*arguments: Any, **options: Any) -> Any:
        event()
        return method(*arguments, **options)

    monkeypatch.setattr(HyperRegressor, LATE[command], work)


@pytest.mark.parametrize("command", LATE)
def test_what_is_written_meanwhile_is_kept_and_so_is_the_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    arguments, name = outputs(folder)[command]
    output = tmp_path / name
    second, third = (output.with_name(f"{output.stem}-{number}{output.suffix}") for number in (2, 3))
    meanwhile(monkeypatch, command, lambda: output.write_text("precious"))
    for beside in (second, third):
        output.unlink(missing_ok=True)
        result = run(*arguments, "-o", output)
        assert result.exit_code == 0, result.stderr
        assert f"goes to {beside}" in result.stderr
        assert f"Wrote {beside}" in result.stdout
        assert output.read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} == {output.name, second.name, third.name}
    assert second.read_bytes() == third.read_bytes() or command == "fit"  # its history has the seconds
    assert f"Wrote {output}" in succeed(*arguments, "-o", output, "--force")
    assert output.read_bytes() != b"precious"


@pytest.mark.parametrize("command", LATE)
def test_a_folder_that_is_removed_meanwhile_is_made_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    arguments, name = outputs(folder)[command]
    output = tmp_path / "gone" / name
    output.parent.mkdir()
    meanwhile(monkeypatch, command, lambda: shutil.rmtree(output.parent))
    assert f"Wrote {output}" in succeed(*arguments, "-o", output)
    assert [path.name for path in output.parent.iterdir()] == [name]


@pytest.mark.parametrize("command", ["fit", "predict", "sample", "report"])
def test_a_link_is_what_it_leads_to(folder: Path, tmp_path: Path, command: str) -> None:
    arguments, name = outputs(folder)[command]
    link, target = tmp_path / name, tmp_path / "far" / name
    link.symlink_to(target)
    assert "leads to nothing" in refuse(*arguments, "-o", link)
    assert "leads to nothing" in refuse(*arguments, "-o", link, "--force")
    kept = target / "notes.txt" if command == "report" else target
    kept.parent.mkdir(parents=True)
    kept.write_text("precious")
    assert "--force" in refuse(*arguments, "-o", link)
    assert kept.read_text() == "precious"
    succeed(*arguments, "-o", link, "--force")
    assert link.readlink() == target
    written = target / "report.html" if command == "report" else target
    assert written.stat().st_size > len("precious")
    assert sorted(os.listdir(tmp_path)) == sorted(["far", name])
    assert os.listdir(target.parent) == [name]


@pytest.mark.parametrize("command", ["fit", "predict", "sample", "report"])
def test_a_name_that_is_too_long_is_refused_before_the_work(
    folder: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """255 letters have room in any file system of today; a fit's state has 28 more than its output."""
    arguments, name = outputs(folder)[command]
    longest = 255 - (len(".checkpoint.previous.damaged") if command == "fit" else 0)
    name = f"{'n' * (longest - len(name))}{name}"
    with monkeypatch.context() as patched:
        patched.setattr("bayeshyper.data.read_table", None)
        assert "too long: give a shorter --output" in refuse(*arguments, "-o", tmp_path / f"n{name}")
    succeed(*arguments, "-o", tmp_path / name)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("command", ["fit", "predict", "sample"])
def test_an_input_is_never_the_output(folder: Path, tmp_path: Path, command: str) -> None:
    arguments, _ = outputs(folder)[command]
    given = Path(str(arguments[1]))
    copy = tmp_path / f"{given.stem}{'.csv' if command == 'predict' else given.suffix}"
    copy.write_bytes(given.read_bytes())
    assert "input" in refuse(command, copy, *arguments[2:], "-o", copy, "--force")
    assert copy.read_bytes() == given.read_bytes()


@pytest.mark.parametrize("command", ["fit", "predict", "sample", "report"])
def test_an_output_that_cannot_be_is_refused_before_the_work(
    folder: Path, tmp_path: Path, command: str
) -> None:
    arguments, name = outputs(folder)[command]
    (tmp_path / "file").write_text("")
    refuse(*arguments, "-o", tmp_path / "file" / name)
    if command == "report":
        assert "file" in refuse(*arguments, "-o", tmp_path / "file")
    else:
        assert "no folder" in refuse(*arguments, "-o", tmp_path / "absent" / name)
        (tmp_path / name).mkdir()
        assert "folder" in refuse(*arguments, "-o", tmp_path / name)
    if command == "predict":
        assert ".parquet" in refuse(*arguments, "-o", tmp_path / "p.xlsx")


@pytest.mark.parametrize("command", ["fit", "predict", "sample"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    arguments, name = outputs(folder)[command]
    output = tmp_path / name
    output.write_text("precious")

    def full(source: object, destination: object) -> None:
        raise OSError(28, "No space left on device", str(destination))

    monkeypatch.setattr(os, "replace", full)
    assert "No space left on device" in refuse(*arguments, "-o", output, "--force")
    assert output.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [output]


def test_a_full_disk_is_told_with_the_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as raised, filled_folder(tmp_path / "report"):
        raise OSError(28, "No space left on device")
    assert raised.value.filename == str(tmp_path / "report")
    assert not list(tmp_path.iterdir())


def test_a_second_table_of_other_columns_is_named(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("wheels,doors\n4,5\n2,0\n")
    arguments, _ = outputs(folder)["report"]
    error = refuse(*arguments, "-o", tmp_path / "report", "--unfamiliar", other)
    assert f"{other}: The table lacks" in error


@pytest.mark.parametrize("command", ["fit", "compare", "demo"])
def test_an_interrupt_leaves_nothing_behind(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(HyperRegressor, "fit", interrupt)
    table = [] if command == "demo" else [folder / "train.csv", "-t", "price"]
    result = run(command, *table, "-o", tmp_path / "output")
    assert result.exit_code == 130
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("every", [0.1, 60])
def test_a_signal_in_the_audit_says_where_the_fit_is(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    status: int,
    every: float,
) -> None:
    def ended(_: object) -> None:
        signal.raise_signal(number)

    output, before = tmp_path / "m.bayeshyper", signal.getsignal(number)
    arguments = [*outputs(folder)["fit"][0], "-o", output, "--checkpoint-every", every]
    with monkeypatch.context() as patched:
        patched.setattr(HyperRegressor, "audit", ended)
        result = run(*arguments)
    assert (result.exit_code, result.stdout) == (status, "")
    state = tmp_path / "m.bayeshyper.checkpoint"
    assert state.exists() == (every < 1)
    goes_on = f"goes on from its state in {state}" if state.exists() else "starts anew"
    assert result.stderr.endswith(f"{output} may not hold this fit yet; the same command {goes_on}.\n")
    assert signal.getsignal(number) is before
    succeed(*arguments)
    assert os.listdir(tmp_path) == [output.name]


# -- help -------------------------------------------------------------------------------------------------


def test_help_needs_neither_torch_nor_pandas() -> None:
    probe = (
        "import sys, bayeshyper.cli\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'scipy', 'matplotlib', 'pyro'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_it_runs_as_a_module_and_a_mistake_exits_with_2(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "bayeshyper", "fit", tmp_path / "absent.csv", "-t", "y"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith("Error: There is no file at ")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str) -> None:
    said = succeed(command, "--help")
    assert command in said
    if command not in ("demo", "recipes", "docs"):
        assert re.search(rf"bayeshyper {command} \w+\.\w+", said)


def test_the_version_and_the_recipes_are_listed() -> None:
    assert re.fullmatch(r"bayeshyper \d+\.\d+\.\d+\n", succeed("--version"))
    said = succeed("recipes")
    assert all(
        name in said for name in ("--model", "--inference", "mlp", "mean-field", "low-rank", "svi", "quick")
    )


PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_printed_as_it_stands_into_a_pipe(page: Path) -> None:
    said, _, path = succeed("docs", page.stem).rstrip("\n").rpartition("\nThe page itself: ")
    assert said == page.read_text(encoding="utf-8")
    assert Path(path) == page


def test_the_pages_are_listed_with_their_titles() -> None:
    lines = succeed("docs").splitlines()
    assert [line.split()[0] for line in lines] == [page.stem for page in PAGES]
    assert any("Use it in your own Pyro model" in line for line in lines)
    assert "expected one of" in refuse("docs", "nonsense")


@pytest.mark.parametrize(
    "arguments", [["fit"], ["fit", "a.csv"], ["nonsense"], ["fit", "a.csv", "--nonsense"]]
)
def test_a_command_that_is_not_one_exits_with_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_compare_calls_the_baselines_by_their_own_names() -> None:
    assert {name: baseline.label for name, baseline in BASELINES.items()} == contest.BASELINES


def test_labels_are_read_as_they_were_fitted_whatever_else_a_file_holds(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).permutation(["01", "1", "A7"] * 40)
    sales = np.where(codes == "01", 5.0, 2.0) + 0.1 * np.random.default_rng(1).normal(size=120)
    table, both, alone = (tmp_path / name for name in ("shops.csv", "both.csv", "alone.csv"))
    table.write_text("code,sales\n" + "".join(f"{c},{s:.3f}\n" for c, s in zip(codes, sales, strict=True)))
    both.write_text("code\n01\n1\nA7\n")
    alone.write_text("code\n01\n1\n")
    model = tmp_path / "shops.bayeshyper"
    short = ("--inference", "bayes", "--set", "optimizer.steps=60")
    succeed("fit", table, "-t", "sales", "-o", model, *short)
    found = []
    for path in (both, alone):
        output = path.with_suffix(".out.csv")
        succeed("predict", model, path, "-o", output)
        found.append(pd.read_csv(output)["mean"].tolist()[:2])
    assert found[0] == found[1]
    assert found[0][0] > found[0][1] + 1.0
