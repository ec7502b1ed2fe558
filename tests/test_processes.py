"""Fits in threads and processes do not touch each other; an estimator survives every way of copying it."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict

from bayeshyper import AutoHypernetwork, HyperRegressor
from bayeshyper.errors import TrainingDiverged
from bayeshyper.threads import pyro_stack, seeded
from tests import fits
from tests.fits import Estimator, bits, fit_bits, fitted, table

ROOT = Path(__file__).parents[1]
Kind = Callable[[int], Estimator]


def at_once(*work: Callable[[], Any]) -> list[Any]:
    """What each function gives, run in a thread of its own; the first error is raised."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-3)  # in a short test, too, everybody is interrupted everywhere
    try:
        return joblib.Parallel(n_jobs=len(work), backend="threading")(joblib.delayed(each)() for each in work)
    finally:
        sys.setswitchinterval(interval)


# -- threads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", fits.KINDS)
def test_two_fits_in_threads_are_the_fits_alone(kind: Kind) -> None:
    alone = [fit_bits(kind(seed)) for seed in (0, 1)]
    assert alone[0] != alone[1]
    assert at_once(lambda: fit_bits(kind(0)), lambda: fit_bits(kind(1))) == alone


@pytest.mark.parametrize("module", [fits.own_network, fits.Spread])
def test_two_fits_of_one_users_module_leave_it_and_each_other_alone(module: Callable[[], Any]) -> None:
    network = module()
    before = pickle.dumps(network.state_dict())
    alone = [fit_bits(fits.regressor(seed, network=network)) for seed in (0, 1)]
    together = at_once(
        lambda: fit_bits(fits.regressor(0, network=network)),
        lambda: fit_bits(fits.regressor(1, network=network)),
    )
    assert together == alone
    assert pickle.dumps(network.state_dict()) == before


def test_one_fitted_model_predicts_in_two_threads_and_beside_a_fit() -> None:
    model = fitted(fits.regressor(network=fits.Spread()))
    expected = bits(model)
    assert at_once(lambda: bits(model), lambda: bits(model), lambda: fit_bits(fits.regressor(1))) == [
        expected,
        expected,
        fit_bits(fits.regressor(1)),
    ]


def autoguide(shift: float, lock: Any) -> list[float]:
    """Losses of stock SVI on a guide of ours; each step is seeded, for it takes the global generator."""

    def model(y: torch.Tensor) -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 10.0))
        with pyro.plate("rows", len(y)):
            pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    y = torch.linspace(-1, 1, 10) + shift
    guide = AutoHypernetwork(model, search=False)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
    losses = []
    for step in range(20):
        with lock, seeded(step):
            losses.append(float(svi.step(y)))
    return losses


def test_pyros_svi_in_threads_takes_turns_under_our_lock_beside_a_fit() -> None:
    alone = [autoguide(shift, pyro_stack) for shift in (0.0, 5.0)]
    together = at_once(
        lambda: autoguide(0.0, pyro_stack),
        lambda: autoguide(5.0, pyro_stack),
        lambda: fit_bits(fits.regressor()),
    )
    assert together == [*alone, fit_bits(fits.regressor())]
    assert len(pyro.get_param_store()) == 0


# -- processes ----------------------------------------------------------------------------------------------


def run_alone(code: str, **environment: str) -> str:
    """What code prints in a new process, whose idle threads sleep: a busy machine has other things to do."""
    path = os.pathsep.join(path for path in sys.path if path)
    answer = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],  # Python 3.12 warns of some forks
        env={**os.environ, "PYTHONPATH": path, "OMP_WAIT_POLICY": "passive", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


FORKED = """
import os, sys, threading
import torch
torch.set_num_threads(2)
from bayeshyper.models import Target
from bayeshyper.threads import pyro_stack, seeded
from tests import fits

model = fits.fitted(fits.regressor())
expected = fits.bits(model)
large = torch.linspace(0, 1, 400_000)
total = large.exp().sum()  # large enough for torch to start its pool of threads

# A thread that stays behind holds every lock while the process forks.
held, leave = threading.Event(), threading.Event()
def hold():
    with pyro_stack, seeded(0), model._model64.target._swapping:
        held.set()
        leave.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    same = bool(torch.isclose(large.exp().sum(), total)) and fits.fit_bits(fits.regressor()) == expected
    os._exit(0 if same and fits.bits(model) == expected else 1)
leave.set()
thread.join()
_, status = os.waitpid(child, 0)
assert torch.get_num_threads() == 2
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_fork_of_a_process_that_has_fitted_with_many_threads_fits_the_same() -> None:
    run_alone(FORKED)


THREADED = """
import hashlib
from tests import fits
first, again, start = (hashlib.sha256(fits.fit_bits(model)).hexdigest() for model in (
    fits.regressor(), fits.regressor(), fits.members(0)))
assert first == again
assert start == hashlib.sha256(fits.fit_bits(fits.members(0))).hexdigest()
print(first)
"""


@pytest.mark.long
def test_as_many_threads_of_torchs_give_the_same_bits() -> None:
    """With another number, the recipe bayes does too; the start of svi has sums that torch splits by it."""
    assert run_alone(THREADED, OMP_NUM_THREADS="1") == run_alone(THREADED, OMP_NUM_THREADS="2")


@pytest.mark.long  # each starts new processes, which import torch
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_new_process_fits_the_same(method: str) -> None:
    with multiprocessing.get_context(method).Pool(2) as pool:
        there = pool.map(fit_bits, [fits.regressor(0), fits.regressor(1)])
    assert there == [fit_bits(fits.regressor(0)), fit_bits(fits.regressor(1))]


@pytest.mark.long
@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_joblib_fits_and_predicts_the_same(backend: str) -> None:
    models = [fits.regressor(seed) for seed in (0, 1)]
    expected = [fit_bits(model) for model in models]
    parallel = joblib.Parallel(n_jobs=2, backend=backend)
    assert parallel(joblib.delayed(fit_bits)(model) for model in models) == expected
    there = parallel(joblib.delayed(fitted)(fits.regressor(seed)) for seed in (0, 1))
    assert [bits(model) for model in there] == expected  # fitted over there, pickled, predicting here


@pytest.mark.long
def test_scikit_learn_searches_and_cross_validates_the_same_in_two_processes() -> None:
    X, y = table()
    found = [
        GridSearchCV(fits.regressor(), {"n_draws": [10, 20]}, cv=2, n_jobs=jobs).fit(X, y) for jobs in (1, 2)
    ]
    assert found[0].best_params_ == found[1].best_params_
    assert (
        found[0].cv_results_["mean_test_score"].tobytes() == found[1].cv_results_["mean_test_score"].tobytes()
    )
    assert bits(found[0].best_estimator_) == bits(found[1].best_estimator_)
    predicted = [cross_val_predict(fits.regressor(), X, y, cv=2, n_jobs=jobs) for jobs in (1, 2)]
    assert predicted[0].tobytes() == predicted[1].tobytes()


# -- copies -------------------------------------------------------------------------------------------------

COPIES = [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]


@pytest.mark.parametrize("duplicate", COPIES, ids=["copy", "deepcopy", "pickle"])
@pytest.mark.parametrize("kind", [fits.regressor, fits.classifier, fits.laplace])
def test_a_copy_of_an_estimator_is_the_estimator(kind: Kind, duplicate: Callable[[Any], Any]) -> None:
    unfitted = duplicate(kind(0))
    with pytest.raises(NotFittedError):
        unfitted.predict(table()[0])
    model = fitted(kind(0))
    copied = duplicate(model)  # before it has ever predicted
    expected = bits(model)
    assert bits(copied) == bits(duplicate(model)) == bits(duplicate(copied)) == expected
    assert fit_bits(unfitted) == fit_bits(clone(model)) == expected
    fitted(copied.set_params(random_state=1))
    assert bits(copied) != expected
    assert bits(model) == expected  # shares nothing that a fit of the other changes


def test_a_clone_is_unfitted_and_takes_the_users_module_along_as_a_copy() -> None:
    model = fitted(fits.regressor(network=fits.own_network()))
    twin = clone(model)
    with pytest.raises(NotFittedError):
        twin.predict(table()[0])
    assert twin.network is not model.network
    assert fit_bits(twin) == bits(model)


# -- fits that do not end -----------------------------------------------------------------------------------


class Interrupting(torch.nn.Module):
    """Raises what it was told to in the n-th run, as a signal or a full memory would."""

    def __init__(self, error: BaseException, runs: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)
        self.error, self.left = error, [runs]

    def __deepcopy__(self, memo: Any) -> Interrupting:
        copied = Interrupting(self.error, 0)
        copied.left = self.left
        return copied

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left[0] -= 1
        if self.left[0] < 0:
            raise self.error
        output: torch.Tensor = self.linear(x)
        return output


ERRORS = [KeyboardInterrupt(), MemoryError(), SystemExit(1)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("runs", [0, 3, 30])
def test_an_interrupted_fit_leaves_an_estimator_as_it_was(error: BaseException, runs: int) -> None:
    X, y = table()
    wider = np.column_stack([X, X[:, 0]])
    for before in (fits.regressor(), fits.laplace(0)):
        with pytest.raises(type(error)):
            before.set_params(network=Interrupting(error, runs)).fit(wider, y)
        with pytest.raises(NotFittedError):
            before.predict(wider)
        fitted(before.set_params(network=None))
        expected, attributes = bits(before), dict(vars(before))
        with pytest.raises(type(error)):
            before.set_params(network=Interrupting(error, runs)).fit(wider, y)
        assert bits(before.set_params(network=None)) == expected
        assert vars(before) == attributes
        assert fit_bits(before) == expected


def test_a_fit_that_diverges_leaves_an_estimator_as_it_was() -> None:
    X, y = table()
    model = fitted(fits.regressor())
    expected = bits(model)
    diverging = {**fits.STEPS, "optimizer.learning_rate": 1e30}
    with pytest.raises(TrainingDiverged):
        model.set_params(settings=diverging).fit(X, y)
    assert bits(model) == expected
    fresh = HyperRegressor("mlp", "bayes", random_state=0, settings=diverging)
    with pytest.raises(TrainingDiverged):
        fresh.fit(X, y)
    with pytest.raises(NotFittedError):
        fresh.predict(X)


def test_a_refit_beside_a_prediction_predicts_as_before_until_it_is_done() -> None:
    model = fitted(fits.regressor())
    expected, seen = bits(model), []

    class Looking(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not seen:
                seen.append(None)
                thread = threading.Thread(target=lambda: seen.append(bits(model)))
                thread.start()
                thread.join()
            output: torch.Tensor = self.linear(x)
            return output

    X, y = table()
    model.set_params(network=Looking()).fit(10 * X, y)  # whose encoder is another
    assert seen == [None, expected]
    assert bits(model) != expected
