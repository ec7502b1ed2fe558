"""A warning points at the user's line, whoever stands between it and what warns."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyro
import pytest
import torch
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.parallel import Parallel, delayed

from bayeshyper import DataWarning, ExtrapolationWarning
from bayeshyper.data import read_table
from bayeshyper.errors import warn
from tests import fits

FAR = np.array([[1e6, 0.0], [-1e6, 0.0]])


@pytest.fixture(scope="module")
def model() -> fits.Estimator:
    return fits.fitted(fits.regressor())


def lines(seen: pytest.WarningsRecorder) -> set[str]:
    assert len(seen) > 0
    return {warning.filename for warning in seen}


WAYS: dict[str, Callable[[Any], Any]] = {
    "score": lambda model: model.score(FAR, np.arange(2.0)),
    "a pipeline": lambda model: make_pipeline(StandardScaler(), model).fit(*fits.table()).predict(FAR),
    "folds": lambda model: cross_val_predict(model, np.vstack([fits.table()[0], FAR]), np.arange(42.0), cv=2),
    "a search": lambda model: GridSearchCV(model, {"n_draws": [20]}, cv=2).fit(
        np.vstack([fits.table()[0], FAR]), np.arange(42.0)
    ),
    "joblib": lambda model: Parallel(n_jobs=1)([delayed(model.predict)(FAR)]),
    "pandas": lambda model: pd.DataFrame(FAR).pipe(model.predict),
    "numpy": lambda model: np.apply_over_axes(lambda rows, axis: model.predict(rows), FAR, [0]),
    "pyro": lambda model: pyro.poutine.trace(model.predict).get_trace(FAR),
    "torch": lambda model: torch.no_grad()(model.predict)(FAR),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_users_line_that_is_named(way: str, model: fits.Estimator) -> None:
    with pytest.warns(ExtrapolationWarning) as seen:
        WAYS[way](model)
    assert lines(seen) == {__file__}


def code(module: str) -> dict[str, Any]:
    """A module that warns, of another name, in a file of that name."""
    found = {"__name__": module, "warn": warn, "DataWarning": DataWarning}
    exec(compile("def warns(*_):\n    warn(DataWarning, 'so')", f"{module}.py", "exec"), found)
    return found


def test_what_a_user_wrote_for_scikit_learn_to_call_is_the_users() -> None:
    theirs = FunctionTransformer(code("their_package.steps")["warns"])
    with pytest.warns(DataWarning) as seen:
        theirs.fit_transform(FAR)
    assert lines(seen) == {"their_package.steps.py"}
    with pytest.warns(DataWarning) as seen:
        code("sklearn_of_theirs")["warns"]()
    assert lines(seen) == {"sklearn_of_theirs.py"}


def test_where_no_line_is_the_users_it_is_the_outermost() -> None:
    inside = code("sklearn.worker")
    exec(compile("def work(done):\n    warns()\n    done.set()", "worker.py", "exec"), inside)

    def wait_for_a_worker() -> bool:
        done = threading.Event()
        _thread.start_new_thread(inside["work"], (done,))  # which begins a stack of its own
        return done.wait(60)

    with pytest.warns(DataWarning) as seen:
        assert wait_for_a_worker()
    assert lines(seen) == {"worker.py"}


def test_a_table_says_it_at_the_line_that_fits_or_reads_it(tmp_path: Path) -> None:
    X, y = fits.table()
    (tmp_path / "one.csv").write_text("39,Private,77516\n50,Private,83311\n")
    with pytest.warns(DataWarning, match="fewer rows") as fitting:
        fits.regressor().fit(X[:, [0] * 50], y)
    with pytest.warns(DataWarning, match="holds numbers") as reading:
        pd.Series([tmp_path / "one.csv"]).map(read_table)
    assert lines(fitting) == lines(reading) == {__file__}
