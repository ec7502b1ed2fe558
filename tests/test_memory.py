"""Asking for too much is refused before any of it is made; what is asked of many rows stays under a bound."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyro
import pyro.distributions as dist
import pytest
import torch

from bayeshyper import AutoHypernetwork, HyperRegressor, RecipeError, TooLarge, memory
from bayeshyper.baselines import BaselineRegressor
from bayeshyper.diagnostics import (
    ClassPredictive,
    NormalPredictive,
    Predictive,
    QuantileRecalibration,
    SamplePredictive,
    audit,
    collapse,
    psis,
)
from bayeshyper.memory import free_memory
from bayeshyper.models import MLP
from bayeshyper.models.networks import MODEL_BYTES
from tests import fits

BILLION = 10**9
MEAN = np.zeros(100)


@pytest.fixture(scope="module")
def model() -> fits.Estimator:
    return fits.fitted(fits.regressor())


def of(check: Callable[..., Any], model: Any, **asked: int) -> Any:
    return check(model._model, model._guide.hypernetwork, torch.zeros(4, 2), torch.zeros(4), **asked)


def guide(members: int = 1) -> AutoHypernetwork:
    """Of fifty latents."""
    return AutoHypernetwork(
        lambda: pyro.sample("x", dist.Normal(0.0, 1.0).expand([50]).to_event(1)),
        search=False,
        members=members,
    )


def recalibrated() -> Predictive:
    return QuantileRecalibration.fit(NormalPredictive(MEAN, MEAN + 1.0), MEAN)(
        NormalPredictive(MEAN, MEAN + 1.0)
    )


ASKED: list[tuple[Callable[[Any], Any], str]] = [
    (lambda model: model.sample_weights(BILLION), "draw fewer"),
    (lambda model: model.predictive(fits.table()[0]).sample(BILLION), "fewer draws"),
    (lambda model: model.to_arviz(*fits.table(), prior_draws=BILLION), "prior_draws"),
    (lambda _: NormalPredictive(MEAN, MEAN + 1.0).sample(BILLION), "fewer draws"),
    (lambda _: SamplePredictive(np.zeros((3, 100))).sample(BILLION), "fewer draws"),
    (lambda _: ClassPredictive(np.full((100, 2), 0.5)).sample(BILLION), "fewer draws"),
    (lambda _: recalibrated().sample(BILLION), "fewer draws"),
    (lambda model: of(audit, model, draws=BILLION), "fewer"),
    (lambda model: of(audit, model, draws=2, inner=BILLION), "inner"),
    (lambda model: of(psis, model, draws=BILLION), "fewer"),
    (lambda model: collapse(model._guide.hypernetwork, draws=BILLION), "fewer"),
    (lambda _: guide().sample_posterior(BILLION), "fewer"),
    (lambda _: guide().to_arviz(draws=BILLION), "fewer"),
    (lambda _: guide().audit(draws=BILLION), "fewer"),
    (lambda _: guide().importance(BILLION), "fewer"),
    (lambda _: guide().log_density({"x": torch.zeros(1, 50)}, inner=BILLION), "inner"),
    (lambda _: guide(members=BILLION), "fewer"),
    (lambda _: fits.fitted(fits.regressor().set_params(n_draws=BILLION)), "n_draws"),
    (lambda _: fits.fitted(HyperRegressor(settings={**fits.STEPS, "particles": BILLION})), "particles"),
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


def test_a_negative_number_of_prior_draws_is_refused(model: fits.Estimator) -> None:
    with pytest.raises(ValueError, match="prior_draws = -1, expected 0 or more"):
        model.to_arviz(*fits.table(), prior_draws=-1)


def test_too_many_members_are_refused_before_they_are_made() -> None:
    with pytest.raises(RecipeError, match=r"too large a hypernetwork.*GB"):
        fits.fitted(HyperRegressor("mlp", "bayes", n_members=10**7, settings=fits.STEPS))


@pytest.mark.parametrize("hidden", [[BILLION], [10**6, 10**6], [10**30]])
@pytest.mark.parametrize("kind", [HyperRegressor, BaselineRegressor])
def test_a_network_too_large_is_refused_before_it_is_made(kind: type[Any], hidden: list[int]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RecipeError, match=r"[\d,]+ weights of a network take.* GB.*layers") as refused:
            fits.fitted(kind(settings={"target.hidden": hidden}))
        assert isinstance(refused.value.__cause__, TooLarge)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()


def test_the_network_in_the_estimate_is_the_one_that_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    count = sum(parameter.numel() for parameter in MLP(3, 2, hidden=(5, 7)).parameters())
    for free, fits_in in ((count * MODEL_BYTES, True), (count * MODEL_BYTES - 1, False)):
        monkeypatch.setattr(memory, "free_memory", lambda free=free: free)
        with (
            contextlib.nullcontext()
            if fits_in
            else pytest.raises(TooLarge, match=f"{count} weights of a network")
        ):
            MLP(3, 2, hidden=(5, 7))


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


def peak(script: str, *arguments: object) -> float:
    """The megabytes that a script says it took, in a process of its own."""
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    return float(answer.stdout)


@pytest.mark.long
@pytest.mark.parametrize(("rows", "draws"), [(10**4, 500), (10**6, 50), (10**2, 50_000)])
def test_a_prediction_takes_bounded_memory_beside_its_rows(rows: int, draws: int) -> None:
    """128 MB, and 200 bytes for each row of the table and of the answers."""
    assert peak(PEAK, rows, draws) < 128 + 200 * rows / 2**20


PEAK_OF_A_REPORT = """
import resource, sys
import numpy as np
from tests import fits
rows, columns, draws = map(int, sys.argv[1:4])
X = np.random.default_rng(0).normal(size=(400, columns))
model = fits.regressor().set_params(n_draws=draws).fit(X, X[:, 0])
X = np.resize(X, (rows, columns))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model.report(X, X[:, 0], sys.argv[4])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.long
@pytest.mark.parametrize(("rows", "columns", "draws"), [(50_000, 40, 500), (10**6, 2, 50)])
def test_a_report_takes_bounded_memory_however_many_rows_there_are(
    rows: int, columns: int, draws: int, tmp_path: Path
) -> None:
    """1 GB: of more than 50,000 rows, so many are judged."""
    assert peak(PEAK_OF_A_REPORT, rows, columns, draws, tmp_path / "report") < 1024


V2 = {
    "memory.max": "{}\n",
    "memory.current": "{}\n",
    "memory.stat": "anon 5\nactive_file {}\ninactive_file 7\n",
}
V1 = {
    "memory/memory.limit_in_bytes": "{}\n",
    "memory/memory.usage_in_bytes": "{}\n",
    "memory/memory.stat": "inactive_file 9\ntotal_active_file {}\ntotal_inactive_file 7\n",
}


@pytest.mark.parametrize("files", [V2, V1], ids=["v2", "v1"])
@pytest.mark.parametrize(
    ("allowed", "used", "cached", "free"),
    [(1000, 400, 100, 707), (1000, 2000, 0, 0), (2**63 - 4096, 400, 0, None), ("max", 400, 0, None)],
)
def test_what_a_container_allows_less_what_it_uses_is_all_that_is_free(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    allowed: object,
    used: int,
    cached: int,
    free: int | None,
) -> None:
    machine = psutil.virtual_memory()._replace(available=10**9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)
    assert free_memory(tmp_path) == 10**9
    for (name, content), value in zip(files.items(), (allowed, used, cached), strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content.format(value))
    assert free_memory(tmp_path) == (10**9 if free is None else free)


LIMITED = """
import resource
import psutil
from bayeshyper.memory import free_memory
mapped = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (mapped + 300 * 2**20, resource.RLIM_INFINITY))
print(free_memory() / 2**20)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is POSIX's")
def test_what_ulimit_allows_less_what_the_process_has_is_all_that_is_free() -> None:
    """Between the two looks, the process may map a little more."""
    assert 200 < peak(LIMITED) <= 300


def test_a_container_that_is_nearly_full_is_asked_for_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: fits.Estimator
) -> None:
    for name, value in {"memory.max": 3 * 10**6, "memory.current": 10**6, "memory.stat": ""}.items():
        (tmp_path / name).write_text(str(value))
    monkeypatch.setattr(memory.free_memory, "__defaults__", (tmp_path,))
    with pytest.raises(TooLarge, match=r"8\.\d MB, expected no more than the 2\.0 MB"):
        model.sample_weights(10**6 * 8 // memory.DRAW_BYTES // model._model.spec.size + 100)
