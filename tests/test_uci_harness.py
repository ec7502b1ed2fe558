"""The benchmark: rows are right, no finished fit is run twice, and a killed run goes on."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

BENCHMARKS = Path(__file__).parents[1] / "examples" / "benchmarks"
ROWS, SPLITS, METHODS = 60, 2, ("mean-field", "gaussian")
JOB = ["data", "protocol", "split", "method", "settings", "seed"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in the shape of a UCI folder, its target in units far from 1."""
    home = tmp_path_factory.mktemp("uci") / "line"
    home.mkdir()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 2))
    y = 500.0 + 100.0 * x[:, 0] + 20.0 * rng.normal(size=ROWS)
    np.savetxt(home / "data.txt.gz", np.column_stack([x, y]))
    index = {"index_features": np.array([0, 1]), "index_target": np.array([2])}
    for split in range(SPLITS):
        order = rng.permutation(ROWS)
        index |= {f"index_train_{split}": order[6:], f"index_test_{split}": order[:6]}
    np.savez(home / "splits.npz", **index)
    np.savez(home / "gap_splits.npz", **{name: index[name] for name in index if not name.endswith("_1")})
    return home.parent


def command(script: str, *arguments: object) -> list[str]:
    return [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]


def benchmark(folder: Path, out: Path, *more: object) -> list[str]:
    quick = ("--set", "optimizer.steps=50", "--methods", *METHODS)
    return command("uci.py", "--folder", folder, "--data", "line", "--out", out, *quick, *more)


def call(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parents[1])}
    return subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=300)


def succeed(arguments: list[str]) -> str:
    result = call(arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a whole run."""
    out = tmp_path_factory.mktemp("results") / "results.csv"
    succeed(benchmark(folder, out, "--audit"))
    return out


def test_one_row_per_fit_with_scores_costs_and_audit(finished: Path) -> None:
    rows = pd.read_csv(finished, keep_default_na=False, na_values=[""]).set_index(["method", "split"])
    assert sorted(rows.index) == [(method, split) for method in sorted(METHODS) for split in range(SPLITS)]
    assert set(rows["protocol"]) == {"standard"}
    assert (rows["rows_fitted"] == ROWS - 6).all()
    assert (rows[["fit_seconds", "fit_cpu_seconds", "crps", "rmse"]] > 0).all(axis=None)
    assert rows[["coverage_50", "coverage_90"]].stack().between(0, 1).all()
    assert rows["versions"].str.contains("torch").all()
    ours, gaussian = rows.loc["mean-field"], rows.loc["gaussian"]
    assert (ours["steps"] == 50).all()
    assert (ours["elbo_lower"] == ours["elbo_upper"]).all()  # a mean-field entropy is exact
    assert gaussian[["steps", "elbo_lower", "settings"]].isna().all(axis=None)
    assert (ours["rmse"] < 0.7 * gaussian["rmse"]).all()


def test_scores_are_in_the_units_of_the_target(folder: Path, finished: Path) -> None:
    """The Gaussian's scores, by hand."""
    table = np.loadtxt(folder / "line" / "data.txt.gz")
    rows = pd.read_csv(finished).query("method == 'gaussian'").set_index("split")
    with np.load(folder / "line" / "splits.npz") as index:
        for split in range(SPLITS):
            train, test = (table[index[f"index_{part}_{split}"], 2] for part in ("train", "test"))
            law = stats.norm(train.mean(), train.std())
            assert rows.at[split, "log_likelihood"] == pytest.approx(law.logpdf(test).mean(), rel=1e-6)
            assert rows.at[split, "rmse"] == pytest.approx(
                np.sqrt(np.mean((test - train.mean()) ** 2)), rel=1e-6
            )
            inside = np.abs(test - train.mean()) <= law.std() * stats.norm.ppf(0.95)
            assert rows.at[split, "coverage_90"] == pytest.approx(inside.mean())


def test_only_what_is_missing_is_run(
    folder: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, *lines = finished.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("line,standard,1,mean-field")]
    assert len(kept) == len(lines) - 1
    out = tmp_path / "results.csv"
    # A row cut short, as a full disk leaves it, counts as missing.
    out.write_text("\n".join([header, *kept]) + "\n" + lines[0][:40])
    said = succeed(benchmark(folder, out))
    assert "4 fits, of which 3 are in" in said
    assert "[1/1] line, standard split 1, mean-field optimizer.steps=50" in said
    again = out.read_text().splitlines()
    assert again[:-1] == [header, *kept]
    before, after = (pd.read_csv(path).set_index(JOB).sort_index() for path in (finished, out))
    scores = ["log_likelihood", "rmse", "crps"]
    pd.testing.assert_frame_equal(before[scores], after[scores], check_exact=True)  # the seed decides
    assert imported("uci").main(benchmark(folder, out)[2:]) == 0
    assert "4 fits, of which 4 are in" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="kills with a signal")
def test_a_killed_run_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.csv"
    slow = ["--seeds", "0", "1", "2"]
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parents[1])}
    log = tmp_path / "log.txt"
    with log.open("w") as said:
        running = subprocess.Popen(benchmark(folder, out, *slow), env=environment, stdout=said, stderr=said)
    deadline = time.monotonic() + 200
    while (
        not (out.exists() and out.stat().st_size) and running.poll() is None and time.monotonic() < deadline
    ):
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert out.exists(), log.read_text()
    written = out.read_text()
    rows = len(written.splitlines()) - 1
    assert 1 <= rows < 12, "expected the run to be killed half way"
    assert f"12 fits, of which {rows} are in" in succeed(benchmark(folder, out, *slow))
    assert out.read_text().startswith(written)
    assert len(pd.read_csv(out).drop_duplicates(JOB)) == 12


def test_gap_splits_and_random_splits_stand_apart(folder: Path, tmp_path: Path) -> None:
    uci = imported("uci")
    gap = ["--gap", "--methods", "deep-ensemble", "gaussian"]
    bundled = ["--data", "sklearn:diabetes", "--splits", "0,2", "--methods", "gaussian"]
    rows = []
    for more in (gap, bundled):
        options = uci.parser().parse_args(benchmark(folder, tmp_path, *more)[2:])
        rows += [uci.run(job, options.folder, audited=False) for job in uci.plan(options)]
    made = [(row["data"], row["protocol"], row["split"], row["method"], row["settings"]) for row in rows]
    assert made == [
        ("line", "gap", 0, "deep-ensemble", ""),
        ("line", "gap", 0, "gaussian", ""),
        ("sklearn:diabetes", "random", 0, "gaussian", ""),
        ("sklearn:diabetes", "random", 2, "gaussian", ""),
    ]
    assert [row["rows_scored"] for row in rows] == [6, 6, 44, 44]
    assert rows[2]["log_likelihood"] != rows[3]["log_likelihood"]
    assert rows[0]["log_likelihood"] > rows[1]["log_likelihood"] + 0.3  # the target is nearly a line


def test_the_table_says_what_the_rows_say(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pd.read_csv(finished)
    wide = rows.pivot(index="split", columns="method", values="log_likelihood")[list(METHODS)]
    said = succeed(command("table.py", finished))
    section = said.split("## ")[1].splitlines()
    assert section[0].startswith("Test log likelihood")
    of_line = [text for text in section if text.startswith("| line")]  # the third has no errors to read
    mean, difference = (read_line(text) for text in of_line[:2])
    gap = wide["gaussian"] - wide["mean-field"]
    for found, expected in [(mean[0], wide["mean-field"]), (mean[1], wide["gaussian"]), (difference[0], gap)]:
        error = expected.std(ddof=1) / np.sqrt(SPLITS)
        assert found[1] == pytest.approx(error, rel=0.06)  # two digits
        assert found[0] == pytest.approx(expected.mean(), abs=0.06 * error)
    assert "ELBO ≥" in said
    table = imported("table")
    assert table.main([str(finished), "--methods", "gaussian", "--metrics", "rmse"]) == 0
    only = capsys.readouterr().out
    assert only.count("## ") == 1  # its own section: nothing of this method was audited
    assert "mean-field" not in only


def read_line(text: str) -> list[tuple[float, float]]:
    """The cells ``mean ± error`` of a table's row, after the data set and the number of splits."""
    cells = text.replace("−", "-").strip("| ").split(" | ")[2:]
    return [(float(mean), float(error)) for mean, error in (cell.split(" ± ") for cell in cells)]


def test_a_split_that_one_method_lacks_is_left_out_of_the_table(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = finished.read_text().splitlines()
    out = tmp_path / "results.csv"
    out.write_text("\n".join(line for line in lines if ",1,gaussian" not in line) + "\n")
    assert imported("table").main([str(out), "--metrics", "rmse"]) == 0
    assert "| line | 1 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--data", "lime"], "There is no data set 'lime'"),
        (["--splits", "0-7"], "Got --splits 0-7, but line has 2: 0-1."),
        (["--splits", "first"], "expected something like 0-4"),
        (["--methods", "mean-feeld"], "the nearest is mean-field"),
        (["--set", "optimizer.steps"], "expected key=value"),
        (["--data", "sklearn:iris"], "is a class, expected a number"),
        (["--data", "sklearn:diabetes", "--gap"], "There are no gap splits"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], sentence: str
) -> None:
    uci = imported("uci")
    out = tmp_path / "results.csv"
    arguments = benchmark(folder, out, *more)[2:]
    assert uci.main(arguments) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert not out.exists()


def test_hidden_units_follow_the_protocol_but_not_for_a_network_of_ones_own(tmp_path: Path) -> None:
    problems, methods, interface = imported("problems"), imported("methods"), imported("interface")
    names = ["power-plant", "protein-tertiary-structure", "openml:year"]
    made = [problems.Problem(name, "standard", None, None, []) for name in names]
    assert [problem.hidden for problem in made] == [(50,), (100,), (100,)]
    deep = tmp_path / "deep.toml"
    deep.write_text('[target]\nnetwork = "mlp"\nhidden = [5, 5]\n')
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 2)), rng.normal(size=30)
    setup = interface.Setup((100,), {"optimizer.steps": 2})
    # Weights, and the noise scale: 2·100 + 100 + 100 + 1 + 1, and 2·5 + 5 + 5·5 + 5 + 5 + 1 + 1.
    for method, size in (("bayeshyper", 402), (str(deep), 52)):
        fit = methods.find(method)(X, y, 0, setup)
        assert fit.predictive.__self__.sample_weights(1).weights.shape == (1, size)


def imported(name: str) -> Any:
    """A module of the benchmark, which finds its neighbours as it does when run as a script."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))
