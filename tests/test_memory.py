"""Asking for too much is refused before any of it is made; what is asked of many rows stays under a bound."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayeshyper import HyperRegressor, RecipeError, TooLarge
from bayeshyper.baselines import BaselineRegressor
from tests import fits

BILLION = 10**9


@pytest.fixture(scope="module")
def model() -> fits.Estimator:
    return fits.fitted(fits.regressor())


ASKED: list[tuple[Callable[[Any], Any], str]] = [
    (lambda model: model.sample_weights(BILLION), "draw fewer"),
    (lambda model: model.predictive(fits.table()[0]).sample(BILLION), "fewer draws"),
    (lambda _: fits.fitted(fits.regressor().set_params(n_draws=BILLION)), "n_draws"),
    (lambda _: fits.fitted(fits.dropout(0).set_params(n_draws=BILLION)), "n_draws"),
    (lambda _: fits.fitted(fits.laplace(0).set_params(n_draws=BILLION)), "n_draws"),
    (lambda _: fits.fitted(BaselineRegressor(n_members=BILLION, settings=fits.STEPS)), "n_members"),
]


@pytest.mark.parametrize(("ask", "advice"), ASKED)
def test_too_much_is_refused_with_the_estimate_and_nothing_allocated(
    model: fits.Estimator, ask: Callable[[Any], Any], advice: str
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match=rf"[\d,.]+ GB, expected no more than .* GB .*{advice}"):
            ask(model)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()


def test_too_many_members_are_refused_before_they_are_made() -> None:
    with pytest.raises(RecipeError, match=r"too large a hypernetwork.*GB"):
        fits.fitted(HyperRegressor("mlp", "bayes", n_members=10**7, settings=fits.STEPS))


def test_every_draw_of_too_many_rows_is_refused(model: fits.Estimator) -> None:
    X, _ = fits.table()
    rows = model.predictive(X).rows(np.zeros(20, dtype=int))
    rows._rows.n_rows = BILLION  # a table as long as that is itself too large for a test
    for ask in (rows.functions, lambda: rows.log_likelihood(np.zeros(BILLION))):
        with pytest.raises(TooLarge, match="20 draws for each of 1,000,000,000 rows"):
            ask()


PEAK = """
import resource, sys
import numpy as np, torch
from tests import fits
X, y = fits.table()
model = fits.regressor().set_params(n_draws=int(sys.argv[2])).fit(X, y)
rows = np.resize(X, (int(sys.argv[1]), 2))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
says = model.predictive(rows)
says.mean, says.log_prob(np.resize(y, len(rows)))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.long
@pytest.mark.parametrize(("rows", "draws"), [(10**4, 500), (10**6, 50), (10**2, 50_000)])
def test_a_prediction_takes_bounded_memory_beside_its_rows(rows: int, draws: int) -> None:
    """128 MB, and 200 bytes for each row of the table and of the answers."""
    answer = subprocess.run(
        [sys.executable, "-c", PEAK, str(rows), str(draws)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert float(answer.stdout) < 128 + 200 * rows / 2**20
