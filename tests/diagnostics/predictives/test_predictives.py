"""Draws, normals and probabilities as predictions: SciPy's numbers, and the laws that all of them keep."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bayeshyper.diagnostics import ClassPredictive, NormalPredictive, SamplePredictive, evaluate
from bayeshyper.diagnostics.predictives.rowwise import crps_values
from bayeshyper.errors import DataError

RNG = np.random.default_rng(4)
MEAN, STD = RNG.normal(size=40), RNG.uniform(0.5, 2.0, size=40)
SAMPLES = MEAN + STD * RNG.normal(size=(99, 40))
PROBS = RNG.dirichlet(np.ones(3), size=40)
LABELS = np.array(["cat", "dog", "owl"])
LEVELS = np.array([0.01, 0.05, 0.333, 0.5, 0.9, 0.99])

NORMAL, DRAWS = NormalPredictive(MEAN, STD), SamplePredictive(SAMPLES)
COUNTS = SamplePredictive(RNG.poisson(4.0, size=(50, 40)), discrete=True)
CLASSES = ClassPredictive(PROBS, LABELS)


def test_a_normal_prediction_is_scipys() -> None:
    reference, y = stats.norm(MEAN, STD), RNG.normal(size=40)
    np.testing.assert_allclose(NORMAL.log_prob(y), reference.logpdf(y), rtol=0, atol=1e-12)
    np.testing.assert_allclose(NORMAL.cdf(y), reference.cdf(y), rtol=0, atol=1e-12)
    expected = stats.norm(MEAN[:, None], STD[:, None]).ppf(LEVELS)
    np.testing.assert_allclose(NORMAL.quantiles(LEVELS), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(NORMAL.interval(0.8).T, reference.interval(0.8), rtol=0, atol=1e-12)
    assert NORMAL.cdf(np.full(40, np.inf)).tolist() == [1.0] * 40
    drawn = NORMAL.sample(2000, seed=1)
    z = (drawn.mean(axis=0) - MEAN) / STD * np.sqrt(2000)
    assert stats.kstest(z, "norm").pvalue > 0.001


def test_the_quantiles_of_draws_are_numpys_weibull_ones() -> None:
    expected = np.quantile(SAMPLES, LEVELS, axis=0, method="weibull").T
    np.testing.assert_array_equal(DRAWS.quantiles(LEVELS), expected)
    np.testing.assert_allclose(DRAWS.mean, SAMPLES.mean(axis=0))
    np.testing.assert_allclose(DRAWS.std, SAMPLES.std(axis=0, ddof=1))


@pytest.mark.parametrize("predictive", [NORMAL, DRAWS], ids=["normal", "draws"])
def test_the_distribution_function_undoes_the_quantiles(predictive: Any) -> None:
    for column, level in zip(predictive.quantiles(LEVELS).T, LEVELS, strict=True):
        np.testing.assert_allclose(predictive.cdf(column), level, rtol=0, atol=1e-12)


def test_the_distribution_function_of_draws_rises_from_half_a_rank_to_half_a_rank() -> None:
    three = SamplePredictive(np.array([[1.0, 2.0, 4.0]]).T)
    wanted = {-np.inf: 0.125, 0.9: 0.125, 1.0: 0.25, 1.5: 0.375, 3.0: 0.625, 4.0: 0.75, 9.0: 0.875}
    for y, rank in wanted.items():
        assert three.cdf([y]).tolist() == [rank]
    tied = SamplePredictive(np.array([[1.0, 2.0, 2.0, 2.0, 5.0]]).T)
    assert tied.cdf([2.0]).tolist() == [0.5]
    constant = SamplePredictive(np.ones((9, 1)))
    assert [float(constant.cdf([y])[0]) for y in (0.0, 1.0, 2.0)] == [0.05, 0.5, 0.95]


def test_the_distribution_function_of_counts_is_the_share_of_draws_no_larger() -> None:
    y = RNG.poisson(4.0, size=40)
    np.testing.assert_allclose(COUNTS.cdf(y), (COUNTS.samples <= y).mean(axis=0))
    quantiles = COUNTS.quantiles(LEVELS)
    for column, level in zip(quantiles.T, LEVELS, strict=True):
        assert (COUNTS.cdf(column) >= level - 1e-12).all()
        assert (COUNTS.cdf(column - 1) < level).all()


@pytest.mark.parametrize("discrete", [False, True])
def test_the_randomised_pit_of_few_draws_is_uniform(discrete: bool) -> None:
    """Of 9 draws and of counts with many ties: the plain distribution function has 10 values at most."""
    rng = np.random.default_rng(0)
    truth = rng.poisson(3.0, size=(10, 20_000)) if discrete else rng.normal(size=(10, 20_000))
    pit = SamplePredictive(truth[1:], discrete=discrete).pit(truth[0], seed=1)
    assert stats.kstest(pit, "uniform").pvalue > 0.01
    np.testing.assert_array_equal(SamplePredictive(truth[1:]).pit(truth[0], seed=1), pit)


def test_the_intervals_of_few_draws_hold_their_level() -> None:
    """Of 19 draws the smallest and the largest bound 90 %; to four standard errors of 20,000 rows."""
    truth = np.random.default_rng(1).normal(size=(20, 20_000))
    low, high = SamplePredictive(truth[1:]).interval(0.9).T
    held = np.mean((low <= truth[0]) & (truth[0] <= high))
    assert abs(held - 0.9) < 4 * np.sqrt(0.09 / 20_000)


def test_the_crps_of_draws_is_that_of_all_of_them() -> None:
    """E|X - y| - ½ E|X - X'| over all pairs of different draws."""
    y, samples = RNG.normal(size=40), np.concatenate([SAMPLES] * 9)
    far = np.abs(samples - y).mean(axis=0)
    apart = np.abs(samples[:, None] - samples[None]).sum(axis=(0, 1)) / (len(samples) * (len(samples) - 1))
    found = evaluate(SamplePredictive(samples), y)
    np.testing.assert_allclose(found.rows["crps"], far - apart / 2.0, rtol=0, atol=1e-12)


def test_a_prediction_that_makes_draws_is_near_the_crps_of_its_own() -> None:
    """400 draws for each of 40 rows: twelve standard errors of their mean are below 0.05."""
    y = RNG.normal(size=40)
    drawn = SimpleNamespace(task="regression", n_rows=40, sample=NORMAL.sample)
    assert np.mean(crps_values(drawn, y)) == pytest.approx(NORMAL.crps(y).mean(), abs=0.05)


def test_chunks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    y = RNG.normal(size=40)
    whole = DRAWS.cdf(y), DRAWS.pit(y), DRAWS.quantiles(LEVELS)
    monkeypatch.setattr("bayeshyper.diagnostics.predictives.samples._CHUNK", 700)
    for before, after in zip(whole, (DRAWS.cdf(y), DRAWS.pit(y), DRAWS.quantiles(LEVELS)), strict=True):
        np.testing.assert_array_equal(before, after)


def test_draws_are_handed_out_evenly_and_together() -> None:
    np.testing.assert_array_equal(DRAWS.sample(99), SAMPLES)
    np.testing.assert_array_equal(DRAWS.sample(33), SAMPLES[::3])
    np.testing.assert_array_equal(np.unique(DRAWS.sample(198)[:, 0], return_counts=True)[1], np.full(99, 2))


def test_probabilities_score_the_label_that_happened() -> None:
    index = RNG.integers(3, size=40)
    np.testing.assert_allclose(CLASSES.log_prob(LABELS[index]), np.log(PROBS[np.arange(40), index]))
    np.testing.assert_array_equal(CLASSES.encode(LABELS[index]), index)
    assert ClassPredictive([[1.0, 0.0]]).log_prob([1]).tolist() == [-np.inf]
    drawn = CLASSES.sample(5000, seed=3)
    for k, label in enumerate(LABELS):
        z = ((drawn == label).mean(axis=0) - PROBS[:, k]) / np.sqrt(PROBS[:, k] * (1 - PROBS[:, k]) / 5000)
        assert np.abs(z).max() < 4.5


@pytest.mark.parametrize("predictive", [NORMAL, DRAWS, COUNTS, CLASSES], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("index", [[3, 0, -1], slice(5, 20, 2), np.arange(40) % 3 == 0], ids=type)
def test_some_of_the_rows_are_the_same_prediction(predictive: Any, index: Any) -> None:
    some = predictive.rows(index)
    rows = np.arange(40)[index]
    assert type(some) is type(predictive)
    assert some.n_rows == len(rows)
    if predictive.task == "classification":
        np.testing.assert_array_equal(some.probs, predictive.probs[rows])
        assert some.classes is predictive.classes
        return
    y = RNG.poisson(4.0, size=40)
    np.testing.assert_array_equal(some.cdf(y[rows]), predictive.cdf(y)[rows])
    np.testing.assert_array_equal(some.quantiles(LEVELS), predictive.quantiles(LEVELS)[rows])
    np.testing.assert_allclose(some.mean, predictive.mean[rows], rtol=1e-13)
    assert some.discrete == predictive.discrete


def test_normals_and_probabilities_can_be_evaluated() -> None:
    y = MEAN + STD * np.random.default_rng(2).normal(size=40)
    assert evaluate(NORMAL, y)["log_score"].value == pytest.approx(NORMAL.log_prob(y).mean())
    assert evaluate(CLASSES, LABELS[PROBS.argmax(axis=1)])["accuracy"].value == 1.0


def test_what_belongs_to_the_other_task_is_not_there() -> None:
    for name in ("mean", "cdf", "quantiles", "interval"):
        assert not hasattr(CLASSES, name)
    assert not hasattr(NORMAL, "probs")
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        CLASSES.colour  # noqa: B018


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SamplePredictive([1.0, 2.0]), r"shape \(S, N\)"),
        (lambda: SamplePredictive([[1.0, 2.0]]), "at least two"),
        (lambda: SamplePredictive([["a", "b"]]), "Samples must hold numbers: got <U1 values"),
        (lambda: SamplePredictive([[1.0], [1.0, 2.0]]), "Samples must be an array: got rows of different"),
        (lambda: SamplePredictive(np.zeros((5, 4, 2))), "or all together by energy_score"),
        (lambda: ClassPredictive([["a", "b"]]), "Probabilities must hold numbers"),
        (lambda: SamplePredictive([[1.0], [np.nan]]), "NaN or infinite"),
        (lambda: SamplePredictive([[1.0], [0.5]], discrete=True), "whole numbers"),
        (lambda: DRAWS.log_prob(np.zeros(40)), "no density"),
        (lambda: DRAWS.cdf(np.zeros(3)), "y has 3 rows, expected 40"),
        (lambda: DRAWS.sample(0), "at least 1"),
        (lambda: NormalPredictive([0.0, 1.0], [1.0, 0.0]), "above zero: got 0 in row 1"),
        (lambda: NormalPredictive([0.0, np.inf], 1.0), "infinite"),
        (lambda: NormalPredictive([0.0], [1.0, 1.0]), "std has 2 rows"),
        (lambda: NORMAL.quantiles([0.0, 0.5]), "strictly between 0 and 1"),
        (lambda: NORMAL.interval(90), "strictly between 0 and 1"),
        (lambda: NORMAL.rows(40), "between 0 and 39"),
        (lambda: NORMAL.rows(np.ones(3, dtype=bool)), "boolean mask"),
        (lambda: ClassPredictive([[0.5, 0.6]]), "sum to one"),
        (lambda: ClassPredictive([[0.5, 0.5]], ["a", "a"]), "2 different labels"),
        (lambda: ClassPredictive([[0.5, 0.5]], ["a", "b", "c"]), "2 different labels"),
        (
            lambda: CLASSES.log_prob(["fox"] * 40),
            "not seen in training: 'fox'. The model knows 'cat', 'dog', 'owl'",
        ),
        (lambda: CLASSES.log_prob(["cat"]), "one label per row"),
    ],
)
def test_what_is_no_prediction_is_said_in_one_sentence(make: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        make()
