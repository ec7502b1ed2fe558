"""scikit-learn's own estimator checks: about 170 fits."""

from __future__ import annotations

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from bayeshyper import HyperClassifier, HyperRegressor


@parametrize_with_checks([HyperRegressor(verbose=False), HyperClassifier(verbose=False)])
def test_scikit_learn_check(estimator: Any, check: Any) -> None:
    check(estimator)
