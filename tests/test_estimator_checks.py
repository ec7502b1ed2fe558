"""scikit-learn's own estimator checks: about 170 fits."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from bayeshyper import HyperClassifier, HyperRegressor
from bayeshyper.baselines import BaselineClassifier, BaselineRegressor


# The checks' tables are tiny, and are meant to be.
@pytest.mark.filterwarnings("ignore::bayeshyper.DataWarning")
@parametrize_with_checks([HyperRegressor(verbose=False), HyperClassifier(verbose=False)])
def test_scikit_learn_check(estimator: Any, check: Any) -> None:
    check(estimator)


SHORT = {"optimizer.steps": 300}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::bayeshyper.DataWarning")
@parametrize_with_checks(
    [
        BaselineRegressor("map", settings=SHORT, verbose=False),
        BaselineClassifier("map", settings=SHORT, verbose=False),
    ]
)
def test_scikit_learn_check_of_a_baseline(estimator: Any, check: Any) -> None:
    check(estimator)
