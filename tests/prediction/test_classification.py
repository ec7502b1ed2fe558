from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, softmax

from bayeshyper.errors import DataError
from bayeshyper.models import Bernoulli, Categorical, Likelihood
from bayeshyper.prediction import PredictiveDistribution, draws
from tests.prediction.helpers import Case, case

Array = NDArray[np.float64]
CASES = pytest.mark.parametrize("likelihood", [Bernoulli(), Categorical(2), Categorical(4)], ids=repr)


def each_draws_probabilities(c: Case) -> Array:
    """``(S, N, C)``, by SciPy."""
    if c.outputs.shape[-1] > 1:
        result: Array = softmax(c.outputs, axis=-1)
        return result
    one = expit(c.outputs[..., 0])
    return np.stack([1 - one, one], axis=-1)


@CASES
def test_probabilities_are_the_draws_mean_and_sum_to_one(likelihood: Likelihood) -> None:
    c = case(likelihood, spread=3.0)
    np.testing.assert_allclose(c.predictive.probs, each_draws_probabilities(c).mean(0), rtol=1e-12)
    np.testing.assert_allclose(c.predictive.probs.sum(1), 1.0, rtol=0, atol=1e-14)
    assert (c.predictive.probs >= 0).all()


@CASES
def test_entropies_are_scipys(likelihood: Likelihood) -> None:
    c = case(likelihood, spread=3.0)
    probs = each_draws_probabilities(c)
    np.testing.assert_allclose(c.predictive.entropy, stats.entropy(probs.mean(0), axis=-1), rtol=1e-12)
    np.testing.assert_allclose(
        c.predictive.aleatoric_entropy, stats.entropy(probs, axis=-1).mean(0), rtol=1e-11
    )


@CASES
@pytest.mark.parametrize("spread", [0.0, 1e-9, 1.0, 300.0])
def test_entropy_is_aleatoric_plus_mutual_information(likelihood: Likelihood, spread: float) -> None:
    """Up to 300, where most draws are sure of a class (p = 0 or 1 to the bit) and disagree about which."""
    c = case(likelihood, draws=20, spread=spread)
    p = c.predictive
    np.testing.assert_allclose(p.entropy, p.aleatoric_entropy + p.mutual_information, rtol=0, atol=1e-13)
    assert (p.mutual_information >= 0).all()
    assert (p.entropy <= np.log(p.probs.shape[1]) + 1e-14).all()


def test_draws_that_agree_tell_nothing_and_draws_that_differ_do() -> None:
    c = case(Categorical(3))
    same = PredictiveDistribution(c.model, c.weights[:1].expand(9, -1), c.x)
    np.testing.assert_allclose(same.mutual_information, 0.0, atol=1e-14)
    assert (c.predictive.mutual_information > 1e-3).all()


@CASES
def test_the_log_probability_is_that_of_the_label(likelihood: Likelihood) -> None:
    c = case(likelihood, spread=3.0)
    for label in range(c.predictive.probs.shape[1]):
        np.testing.assert_allclose(
            c.predictive.log_prob(np.full(5, label)), np.log(c.predictive.probs[:, label]), rtol=1e-11
        )


@CASES
def test_each_draws_own_log_likelihood(likelihood: Likelihood) -> None:
    c = case(likelihood)
    y = np.arange(5) % 2
    expected = np.log(each_draws_probabilities(c)[:, np.arange(5), y])
    np.testing.assert_allclose(c.predictive.log_likelihood(y), expected, rtol=1e-11)


def labelled(likelihood: Likelihood, classes: NDArray[np.generic], **options: int) -> PredictiveDistribution:
    c = case(likelihood, **options)
    return PredictiveDistribution(c.model, c.weights, c.x, classes=classes)


def test_labels_stand_for_their_columns() -> None:
    classes = np.array(["ant", "bee", "cat"])
    p = labelled(Categorical(3), classes)
    y = np.array(["cat", "ant", "bee", "cat", "ant"])
    columns = [2, 0, 1, 2, 0]
    assert p.encode(y).tolist() == columns
    np.testing.assert_allclose(p.log_prob(y), np.log(p.probs[np.arange(5), columns]), rtol=1e-12)
    assert list(p.classes) == ["ant", "bee", "cat"]


@pytest.mark.parametrize("classes", [np.array([False, True]), np.array([3, 7]), np.array([0.5, 1.5])])
def test_two_labels_of_any_kind_do_for_one_logit(classes: NDArray[np.generic]) -> None:
    p = labelled(Bernoulli(), classes)
    np.testing.assert_allclose(p.log_prob(np.repeat(classes[1], 5)), np.log(p.probs[:, 1]), rtol=1e-11)
    np.testing.assert_allclose(p.log_prob(np.repeat(classes[0], 5)), np.log(p.probs[:, 0]), rtol=1e-11)


def test_an_unknown_label_is_named() -> None:
    p = labelled(Categorical(3), np.array(["ant", "bee", "cat"]))
    with pytest.raises(DataError, match="Got the class 'dog', expected one of 'ant', 'bee', 'cat'"):
        p.log_prob(["ant", "dog", "bee", "cat", "ant"])
    with pytest.raises(DataError, match=r"expected \(5,\): one per row"):
        p.log_prob(["ant"])


def test_without_labels_classes_are_numbered() -> None:
    p = case(Categorical(3)).predictive
    assert p.classes is None
    assert set(p.sample(50).ravel()) <= {0, 1, 2}
    with pytest.raises(DataError, match="Got the class 3, expected one of 0, 1, 2"):
        p.log_prob([0, 1, 2, 3, 0])


def test_certain_draws_have_no_entropy_and_no_nan() -> None:
    c = case(Categorical(3))
    p = PredictiveDistribution(c.model, 1e5 * c.weights[:1], c.x)
    assert p.entropy.tolist() == [0.0] * 5
    assert p.mutual_information.tolist() == [0.0] * 5
    assert np.isfinite(p.log_prob(np.zeros(5, dtype=int))).all()


@CASES
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, likelihood: Likelihood) -> None:
    c, y = case(likelihood, rows=9, spread=3.0), np.arange(9) % 2
    names = ("probs", "entropy", "mutual_information", "aleatoric_entropy")
    expected = {name: getattr(c.predictive, name) for name in names} | {"log": c.predictive.log_prob(y)}
    monkeypatch.setattr(draws, "CHUNK_NUMBERS", 1)
    chunked = PredictiveDistribution(c.model, c.weights, c.x)
    actual = {name: getattr(chunked, name) for name in names} | {"log": chunked.log_prob(y)}
    for name, values in expected.items():
        np.testing.assert_allclose(actual[name], values, rtol=1e-12, atol=1e-13, err_msg=name)


@CASES
def test_a_rows_numbers_do_not_depend_on_the_rows_beside_it(likelihood: Likelihood) -> None:
    c = case(likelihood, rows=9, spread=3.0)
    for row in range(9):
        alone = PredictiveDistribution(c.model, c.weights, c.x[[row]])
        np.testing.assert_allclose(alone.probs[0], c.predictive.probs[row], rtol=1e-12, atol=1e-14)


def test_functions_are_the_logits() -> None:
    one, many = case(Bernoulli()), case(Categorical(3))
    np.testing.assert_allclose(one.predictive.functions(), one.outputs[..., 0], rtol=1e-12)
    np.testing.assert_allclose(many.predictive.functions(), many.outputs, rtol=1e-12)


def test_no_rows_give_empty_answers() -> None:
    c = case(Categorical(3))
    none = PredictiveDistribution(c.model, c.weights, c.x[:0])
    assert none.probs.shape == (0, 3)
    assert none.entropy.shape == none.log_prob([]).shape == (0,)
    assert none.sample(2).shape == (2, 0)


def test_the_order_of_the_draws_does_not_matter() -> None:
    c = case(Categorical(3))
    flipped = PredictiveDistribution(c.model, torch.flip(c.weights, [0]), c.x)
    np.testing.assert_allclose(flipped.probs, c.predictive.probs, rtol=1e-12)


@pytest.mark.parametrize("name", ["mean", "std", "aleatoric", "epistemic"])
def test_what_belongs_to_regression_is_said(name: str) -> None:
    with pytest.raises(AttributeError, match=r"belong to regression; .* is for classification"):
        getattr(case(Bernoulli()).predictive, name)


def test_what_belongs_to_regression_is_said_when_called() -> None:
    p = case(Bernoulli()).predictive
    for call in (lambda: p.cdf(np.zeros(5)), lambda: p.quantiles(0.5), lambda: p.interval(0.9)):
        with pytest.raises(AttributeError, match=r"belong to regression; .* is for classification"):
            call()
