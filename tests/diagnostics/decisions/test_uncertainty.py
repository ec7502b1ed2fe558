"""The two parts of uncertainty: they add up, and are those of our predictions as of plain arrays."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from bayeshyper.diagnostics import (
    ClassPredictive,
    NormalPredictive,
    SamplePredictive,
    UncertaintySplit,
    uncertainty_split,
)
from bayeshyper.errors import DataError
from bayeshyper.models import Categorical, Gaussian
from tests.prediction.helpers import case

RNG = np.random.default_rng(6)


def test_our_predictions_are_split_as_their_draws_are() -> None:
    made = case(Gaussian())
    means, stds = np.broadcast_arrays(made.mixed.mean(), made.mixed.std())
    ours, plain = uncertainty_split(made.predictive), UncertaintySplit.from_moments(means, stds)
    for part in ("total", "aleatoric", "epistemic"):
        np.testing.assert_allclose(getattr(ours, part), getattr(plain, part), rtol=1e-10)
    np.testing.assert_allclose(ours.total, made.predictive.std**2, rtol=1e-12)


def test_our_classes_are_split_as_their_draws_are() -> None:
    made = case(Categorical(3))
    odds = np.exp(made.outputs)
    probs = odds / odds.sum(axis=-1, keepdims=True)
    ours, plain = uncertainty_split(made.predictive), UncertaintySplit.from_probabilities(probs)
    np.testing.assert_allclose(plain.total, stats.entropy(probs.mean(axis=0), axis=1), atol=1e-12)
    for part in ("total", "aleatoric", "epistemic"):
        np.testing.assert_allclose(getattr(ours, part), getattr(plain, part), atol=1e-10)


def test_the_parts_add_up_and_draws_that_agree_know_the_weights() -> None:
    probs = RNG.dirichlet(np.ones(4), size=(20, 30))
    split = UncertaintySplit.from_probabilities(probs)
    np.testing.assert_allclose(split.total, split.aleatoric + split.epistemic, atol=1e-12)
    assert (split.epistemic <= np.log(20)).all()
    agreed = UncertaintySplit.from_probabilities(np.repeat(probs[:1], 5, axis=0))
    np.testing.assert_allclose(agreed.epistemic, 0.0, atol=1e-12)
    assert UncertaintySplit.from_moments(np.ones((3, 2)), np.ones((3, 2))).epistemic.tolist() == [0.0, 0.0]


def test_the_share_is_that_of_all_rows_together() -> None:
    split = UncertaintySplit("variance", np.array([4.0, 1.0]), np.array([1.0, 1.0]), np.array([3.0, 0.0]))
    share = split.epistemic_share()
    assert share.value == pytest.approx(0.6)
    assert 0.0 <= share.lower <= 0.6 <= share.upper <= 0.75
    record = split.to_dict()
    assert record["epistemic_share"]["value"] == pytest.approx(0.6)
    json.dumps(record, allow_nan=False)
    certain = UncertaintySplit.from_moments(np.ones((2, 3)), np.zeros((2, 3))).epistemic_share()
    assert certain.value is None
    assert "certain" in certain.reason


@pytest.mark.parametrize(
    "predictive",
    [NormalPredictive([0.0], 1.0), SamplePredictive([[0.0], [1.0]]), ClassPredictive([[0.5, 0.5]])],
    ids=lambda p: type(p).__name__,
)
def test_one_distribution_per_row_cannot_be_split(predictive: object) -> None:
    with pytest.raises(DataError, match="cannot be told apart"):
        uncertainty_split(predictive)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: UncertaintySplit.from_probabilities([[[0.5, 0.5]]]), "at least two draws"),
        (lambda: UncertaintySplit.from_probabilities([[[0.5, 0.6]]] * 2), "sum to one"),
        (lambda: UncertaintySplit.from_moments([[0.0], [1.0]], [[1.0], [-1.0]]), "negative"),
        (lambda: UncertaintySplit.from_moments([[0.0]], [[1.0]]), "at least two"),
        (lambda: UncertaintySplit.from_moments([[0.0], [np.inf]], [[1.0], [1.0]]), "infinite"),
    ],
)
def test_what_cannot_be_split_is_said(make: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        make()
