"""Guides against targets: what is in the file is not fitted again, and the table is made of all of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.test_uci_harness import imported

contest = imported("contest")


@dataclass(frozen=True)
class Row:
    posterior: str
    guide: str
    elbo: float


def fits(job: tuple[str, str]) -> list[Row]:
    if job == ("b", "wide"):
        raise RuntimeError("cut off")
    return [Row(*job, float(seed)) for seed in range(2)]


def others(job: tuple[str, str]) -> list[Row]:
    return [Row(*job, 7.0)]


def lines(rows: pd.DataFrame) -> list[str]:
    return [f"{row.posterior} {row.guide} {row.elbo:g}" for row in rows.itertuples()]


def test_a_run_that_was_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    options = contest.parser("About.", ["a", "b"], ["thin", "wide"], 10, out).parse_args([])
    with pytest.raises(RuntimeError, match="cut off"):
        contest.run(options, fits, lines)
    assert list(contest.remaining(["a", "b"], ["thin", "wide"], out)) == [("b", "wide")]
    contest.run(options, others, lines)
    table = ["a thin 0", "a thin 1", "a wide 0", "a wide 1", "b thin 0", "b thin 1", "b wide 7"]
    assert out.with_suffix(".md").read_text().splitlines() == table


def test_the_table_alone_fits_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rows.csv"
    pd.DataFrame([Row("a", "thin", 1.0)]).to_csv(out, index=False)
    parser = contest.parser("About.", ["a"], ["thin", "wide"], 10, out)
    contest.run(parser.parse_args(["--table"]), fits, lines)
    assert capsys.readouterr().out == "a thin 1\n"
