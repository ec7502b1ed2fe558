"""Some of the rows: the same numbers as the whole prediction has there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bayeshyper.models import Categorical, Likelihood, Poisson
from bayeshyper.prediction import PredictiveDistribution
from tests.prediction.helpers import REGRESSION, case

CHOSEN = pytest.mark.parametrize("index", [[3, 0, -1], slice(1, 4), np.arange(5) > 2, 2], ids=str)


@CHOSEN
@pytest.mark.parametrize("likelihood", [*REGRESSION.values(), Poisson()], ids=[*REGRESSION, "poisson"])
def test_some_rows_of_a_regression(likelihood: Likelihood, index: Any) -> None:
    made = case(likelihood)
    whole = made.predictive
    if likelihood.support.discrete:  # counts are not standardised
        whole = PredictiveDistribution(made.model, made.weights, made.x)
    some, rows, y = whole.rows(index), np.atleast_1d(np.arange(5)[index]), np.arange(5.0)
    assert some.n_rows == len(rows)
    assert some.discrete == whole.discrete
    np.testing.assert_allclose(some.mean, whole.mean[rows], rtol=1e-13)
    np.testing.assert_allclose(some.cdf(y[rows]), whole.cdf(y)[rows], rtol=1e-13)
    np.testing.assert_allclose(some.log_prob(y[rows]), whole.log_prob(y)[rows], rtol=1e-12)
    np.testing.assert_allclose(some.interval(0.9), whole.interval(0.9)[rows], rtol=1e-11)


@CHOSEN
def test_some_rows_of_a_classification(index: Any) -> None:
    whole = case(Categorical(3)).predictive
    whole.classes = np.array(["a", "b", "c"])
    some = whole.rows(index)
    np.testing.assert_allclose(some.probs, np.atleast_2d(whole.probs[index]), rtol=1e-13)
    assert some.classes is whole.classes
