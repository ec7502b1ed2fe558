"""R̂ across restarts: one for those that agree, large for one that stands apart, and ArviZ's own number."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bayeshyper.diagnostics import convergence
from bayeshyper.diagnostics.arviz.majors import library
from bayeshyper.errors import DataError


def draws(members: int, seed: int = 0, *, count: int = 200, rows: int = 7) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(members, count, rows))


def test_restarts_that_agree_have_an_rhat_of_one() -> None:
    found = convergence(draws(4, count=1000))
    assert found.rhat_max is not None
    assert found.ess_median is not None
    assert abs(found.rhat_max - 1.0) < 0.01
    assert found.ess_median == pytest.approx(4000, rel=0.15)
    assert "agree" in found.sentence
    assert "over-confident" not in found.sentence


def test_the_same_draws_twice_are_no_more_than_once() -> None:
    once = draws(1, count=1000)
    found = convergence(np.concatenate([once, once]))
    assert found.rhat_max is not None
    assert found.rhat_max < 1.01


def test_a_restart_that_stands_apart_is_found_with_its_row() -> None:
    values = draws(3)
    values[2, :, 4] += 5.0
    found = convergence(values)
    assert found.rhat_max is not None
    assert found.ess_min is not None
    assert found.rhat_max > 1.5
    assert found.worst_rows[0] == 4
    assert found.share_above_1_05 == pytest.approx(1 / 7)
    assert found.ess_min < 20  # of 600
    assert "over-confident" in found.sentence


def test_the_numbers_are_arvizs() -> None:
    values = draws(3, seed=1)
    values[0, :, 0] += 0.4
    found = convergence(values)
    each = [float(library.rhat(values[:, :, row])) for row in range(7)]
    sizes = [float(library.ess(values[:, :, row])) for row in range(7)]
    assert found.rhat_max == pytest.approx(max(each), abs=1e-10)
    assert found.rhat_median == pytest.approx(float(np.median(each)), abs=1e-10)
    assert found.ess_min == pytest.approx(min(sizes), rel=1e-10)
    assert list(found.worst_rows) == np.argsort(each)[::-1][:5].tolist()


def test_outputs_of_a_row_belong_to_it() -> None:
    values = np.random.default_rng(0).normal(size=(2, 100, 4, 3))
    values[1, :, 2, 1] += 4.0
    assert convergence(values).worst_rows[0] == 2


def test_many_rows_are_thinned_evenly() -> None:
    values = draws(2, count=40, rows=5000)
    values[1, :, -1] += 100.0  # the last row is always looked at
    found = convergence(values)
    assert found.n_compared == 1000
    assert found.worst_rows[0] == 4999


def test_constant_functions_agree_or_do_not() -> None:
    values = draws(2)
    values[:, :, 1] = 3.0
    agree = convergence(values)
    assert agree.rhat_max is not None
    assert agree.rhat_max < 1.2
    values[1, :, 1] = 4.0
    differ = convergence(values)
    assert (differ.rhat_max, differ.worst_rows[0]) == (math.inf, 1)
    assert differ.to_dict()["rhat_max"] is None


@pytest.mark.parametrize(("shape", "reason"), [((1, 50, 3), "one restart"), ((2, 3, 3), "3 draws")])
def test_what_cannot_be_compared_has_no_number_and_a_reason(shape: tuple[int, ...], reason: str) -> None:
    found = convergence(np.random.default_rng(0).normal(size=shape))
    assert found.rhat_max is None
    assert found.ess_min is None
    assert found.reason is not None
    assert reason in found.reason
    assert reason in json.dumps(found.to_dict())


def test_draws_that_never_differ_have_no_number() -> None:
    found = convergence(np.zeros((2, 50, 3)))
    assert (found.rhat_max, found.ess_min) == (None, None)
    assert "no draw differs from another" in found.sentence


@pytest.mark.parametrize("shape", [(5, 3), (0, 5, 3), (2, 5, 0)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="must have shape"):
        convergence(np.zeros(shape))


def test_values_that_are_not_finite_are_refused() -> None:
    values = draws(2)
    values[0, 3, 2] = math.nan
    with pytest.raises(DataError, match="1 function values are NaN"):
        convergence(values)
