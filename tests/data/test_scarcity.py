"""Few rows, and copies of rows: what is a copy, and what only looks alike."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeshyper.data import TableEncoder, copies, few_rows

RNG = np.random.default_rng(0)
SIZES, YEARS, LETTERS = RNG.normal(size=40), np.arange(40), np.resize(list("abcd"), 40)


def said(table: pd.DataFrame, targets: np.ndarray) -> str | None:
    return copies(table, TableEncoder().fit_transform(table), targets)


@pytest.mark.parametrize("times", [2, 10])
@pytest.mark.parametrize("kind", ["numbers", "a gap", "answers", "two answers", "labels"])
def test_copies_are_counted(kind: str, times: int) -> None:
    sizes = np.where(np.arange(40) < 3, np.nan, SIZES) if kind == "a gap" else SIZES
    column = LETTERS if "answers" in kind else sizes
    answers = {"answers": SIZES, "two answers": np.c_[SIZES, SIZES], "labels": LETTERS}.get(kind, YEARS)
    table = pd.DataFrame({"x": np.repeat(column, times), "letter": np.repeat(LETTERS, times)})
    sentence = said(table, np.repeat(answers, times, axis=0))
    assert sentence is not None
    assert sentence.startswith(f"The {40 * times} rows are 40, each {times}.0 times on average")


@pytest.mark.parametrize(
    ("table", "answers"),
    [
        (pd.DataFrame({"x": LETTERS}), LETTERS),
        (pd.DataFrame({"x": np.repeat(YEARS, 10)}), np.repeat(YEARS % 2, 10)),
        (pd.DataFrame({"x": np.repeat(YEARS, 10).astype(float)}), np.repeat(YEARS, 10)),
        (pd.DataFrame({"x": np.repeat(0.1 * (YEARS // 4), 10)}), np.repeat(LETTERS, 10)),
        (pd.DataFrame({"x": np.repeat(SIZES, 10)}), RNG.normal(size=400)),
        (pd.DataFrame({"x": np.r_[SIZES, SIZES[:19]]}), np.r_[SIZES, SIZES[:19]]),
    ],
    ids=["letters", "whole numbers", "whole floats", "tenths", "another answer each time", "few of them"],
)
def test_rows_that_agree_by_chance_are_no_copies(table: pd.DataFrame, answers: np.ndarray) -> None:
    assert said(table, answers) is None


def test_nine_rows_are_few() -> None:
    assert few_rows(9) is not None
    assert few_rows(10) is None
