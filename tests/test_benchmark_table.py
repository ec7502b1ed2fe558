"""The benchmark's tables and its plot: ranks by hand, chains left out and said so, older files read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.test_uci_harness import JOB, imported

# Ranks by hand: on two splits of one data set and one of another. `a` and `b` tie once.
SCORES = {
    "one": pd.DataFrame({"a": [3.0, 2.0], "b": [2.0, 2.0], "c": [1.0, 0.0]}),  # a 1, 1.5; b 2, 1.5; c 3, 3
    "two": pd.DataFrame({"a": [1.0], "b": [5.0], "c": [3.0]}),  # a 3; b 1; c 2
    "lacks c": pd.DataFrame({"a": [1.0], "b": [5.0], "c": [np.nan]}),
}


def row(data: str, split: int, method: str, score: float, **more: Any) -> dict[str, Any]:
    job = {"data": data, "protocol": "standard", "split": split, "method": method, "settings": "", "seed": 0}
    return {**job, "log_likelihood": score, "rmse": 1.0, "fit_seconds": 2.0, "versions": "none", **more}


def results(path: Path, *rows: dict[str, Any]) -> Path:
    for one in rows:
        imported("results").append(path, one)
    return path


def table(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    status = imported("table").main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert status == 0, said.err
    return said.out


def test_ranks_by_hand() -> None:
    ranking = imported("ranks").rank(SCORES)
    assert ranking.data == ("one", "two")
    assert ranking.blocks == 3
    # a: (1.25 + 3)/2, b: (1.75 + 1)/2, c: (3 + 2)/2.
    assert dict(ranking.mean) == {"b": 1.375, "a": 2.125, "c": 2.5}
    assert list(ranking.mean.index) == ["b", "a", "c"]
    assert dict(imported("ranks").rank(SCORES, higher_is_better=False).mean) == {
        "c": 1.5,
        "a": 1.875,
        "b": 2.625,
    }
    blocks = np.array([[3.0, 2.0, 1.0], [2.0, 2.0, 0.0], [1.0, 5.0, 3.0]])
    assert ranking.p_value == pytest.approx(stats.friedmanchisquare(*blocks.T).pvalue)
    # The variance of a mean over data sets of means over splits: N = 2²/(1/2 + 1/1).
    assert ranking.difference == pytest.approx(imported("ranks").critical_difference(3, 4 / 1.5))
    assert ranking.data_difference == pytest.approx(imported("ranks").critical_difference(3, 2))


@pytest.mark.parametrize(("methods", "quantile"), [(2, 1.960), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_those_of_demsars_table(methods: int, quantile: float) -> None:
    expected = quantile * np.sqrt(methods * (methods + 1) / (6 * 14))
    assert imported("ranks").critical_difference(methods, 14) == pytest.approx(expected, rel=3e-4)


def test_groups_are_the_longest_runs_within_the_difference() -> None:
    mean = pd.Series({"a": 1.0, "b": 1.5, "c": 2.4, "d": 2.5, "e": 4.0})
    groups = imported("ranks").Ranking(mean, 10, ("x",), 1.0, 2.0, 0.01).groups()
    assert groups == [("a", "b"), ("b", "d")]


def test_the_plot_is_drawn_and_names_what_it_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    names = ("good", "fair", "bad", "worst")
    made = [
        row("line", split, name, -2.0 * place + 0.1 * rng.normal())
        for split in range(12)
        for place, name in enumerate(names)
    ]
    plot = tmp_path / "ranks.svg"
    with_text = {"svg.fonttype": "none"}
    import matplotlib

    with matplotlib.rc_context(with_text):
        table(capsys, results(tmp_path / "r.csv", *made), "--plot", plot)
    drawn = plot.read_text(encoding="utf-8")
    assert all(f"{name}" in drawn for name in names)
    assert "12 splits of 1 data set (line)" in drawn
    assert "Nemenyi" in drawn
    assert imported("table").main([str(tmp_path / "r.csv"), "--methods", "good", "--plot", str(plot)]) == 2
    assert "nothing to rank" in capsys.readouterr().err


def test_chains_that_disagree_are_left_out_and_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results(
        tmp_path / "r.csv",
        *(row("line", split, "other", -1.0) for split in range(3)),
        *(row("line", split, "nuts", -0.5, rhat=rhat) for split, rhat in enumerate((1.01, 1.3, 1.02))),
    )
    said = table(capsys, path, "--metrics", "log_likelihood")
    assert "nuts on line" in said
    assert "at most 1.300" in said
    assert "left out: split 1." in said
    assert "| line | 2 |" in said
    assert "none is left out" in table(capsys, path, "--max-rhat", 1.5)
    assert "R̂" not in table(capsys, path, "--methods", "other")


def test_differences_ratios_and_the_floor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = []
    for split, (ours, floor, seconds) in enumerate([(-1.0, -2.0, 4.0), (-2.5, -2.0, 16.0)]):
        made += [row("line", split, "ours", ours, fit_seconds=seconds), row("line", split, "gaussian", floor)]
    path = results(tmp_path / "r.csv", *made)
    said = table(capsys, path, "--reference", "gaussian", "--metrics", "log_likelihood", "fit_seconds")
    assert "Difference to gaussian, split by split:\n\n| data | splits | ours |" in said
    assert "| line | 2 | +0.25 ± 0.75 |" in said
    assert "| line | 2 | −0.500 (1 of 2) |" in said
    assert "| line | 2 | 4.0 |" in said  # √(4/2 · 16/2)
    assert imported("table").main([str(path), "--reference", "theirs"]) == 2
    assert "no standard results of 'theirs'" in capsys.readouterr().err


def test_files_of_earlier_versions_are_read_and_gain_their_columns(tmp_path: Path) -> None:
    module = imported("results")
    path = results(tmp_path / "r.csv", row("line", 0, "a", -1.23456789012345678))
    whole = path.read_text()
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.drop(columns="rhat").to_csv(path, index=False, lineterminator="\n")
    old = path.read_text()
    assert "rhat" not in old
    assert module.read(path)["rhat"].isna().all()
    assert path.read_text() == old  # reading changes nothing
    assert {job.method for job in module.finished(path)} == {"a"}
    assert path.read_text() == whole
    path.write_text(old.replace("rmse", "mse"))
    with pytest.raises(imported("results").DataError, match="other columns"):
        module.finished(path)
    assert "mse" in path.read_text()


def test_rows_of_several_files_go_to_parquet_and_later_ones_win(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = results(tmp_path / "1.csv", row("line", 0, "a", -1.0), row("line", 0, "b", -1.0))
    second = results(tmp_path / "2.csv", row("line", 0, "a", -3.0, rhat=1.01))
    table(capsys, first, second, "--parquet", tmp_path / "r.parquet")
    rows = pd.read_parquet(tmp_path / "r.parquet").set_index("method")
    assert list(rows.index) == ["b", "a"]
    assert rows.at["a", "log_likelihood"] == -3.0
    assert set(JOB) - {"method"} <= set(rows.columns)
    assert rows["rhat"].dtype == np.float64


def test_the_results_in_the_repository_are_read() -> None:
    path = Path(imported("results").__file__).parent / "results" / "uci.csv"
    assert len(imported("results").read(path)) > 0
