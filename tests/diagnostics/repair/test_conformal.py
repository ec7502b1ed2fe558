"""Split conformal intervals and sets: crepes' numbers, and the exact law of their coverage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from crepes.base import ConformalClassifier, ConformalRegressor
from scipy import stats

from bayeshyper.diagnostics import (
    ClassPredictive,
    ConformalIntervals,
    ConformalQuantiles,
    ConformalSets,
    NormalPredictive,
    SamplePredictive,
    credible_sets,
)
from bayeshyper.diagnostics.repair.conformal import conformal_quantile, rows_needed
from bayeshyper.errors import DataError
from bayeshyper.models import Categorical, Gaussian
from tests.diagnostics.fakes import classification
from tests.prediction.helpers import case

RNG = np.random.default_rng(2)
N, NEW = 97, 40
STATED = NormalPredictive(RNG.normal(size=N), RNG.uniform(0.5, 2.0, N))
HAPPENED = RNG.normal(size=N) * 1.5
CERTAIN = SamplePredictive(np.zeros((5, 20)))
OTHER = NormalPredictive(RNG.normal(size=NEW), RNG.uniform(0.5, 2.0, NEW))


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("distance", ["absolute", "standardised"])
def test_the_intervals_are_crepes(level: float, distance: Any) -> None:
    scaled = distance == "standardised"
    reference = ConformalRegressor()
    reference.fit(HAPPENED - STATED.mean, sigmas=STATED.std if scaled else None)
    expected = reference.predict_int(OTHER.mean, sigmas=OTHER.std if scaled else None, confidence=level)
    found = ConformalIntervals.fit(STATED, HAPPENED, distance=distance)(OTHER).interval(level)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("kind", ["threshold", "adaptive"])
def test_the_sets_are_crepes(level: float, kind: Any) -> None:
    """With the same scores; crepes leaves sets empty, here the likeliest label is always in."""
    predictive, y = classification(N, 1, n_classes=4, sharpen=2.0)
    new, _ = classification(NEW, 2, n_classes=4, sharpen=2.0)

    def strangeness(probs: np.ndarray) -> np.ndarray:
        if kind == "threshold":
            return 1 - probs
        no_less_likely = probs[:, None, :] >= probs[:, :, None]
        return (probs[:, None, :] * no_less_likely).sum(axis=2)

    index = predictive.encode(y)
    reference = ConformalClassifier()
    reference.fit(strangeness(predictive.probs)[np.arange(N), index])
    expected = reference.predict_set(strangeness(new.probs), confidence=level, smoothing=False).astype(bool)
    expected[np.arange(NEW), new.probs.argmax(axis=1)] = True
    found = ConformalSets.fit(predictive, y, kind=kind)(new).sets(level)
    np.testing.assert_array_equal(found, expected)


def test_conformal_quantile_regression_is_romanos() -> None:
    """The definition, row by row."""
    level = 0.8
    low, high = STATED.interval(level).T
    scores = sorted(max(a - y, y - b) for a, y, b in zip(low, HAPPENED, high, strict=True))
    shift = scores[int(np.ceil((N + 1) * level)) - 1]
    found = ConformalQuantiles.fit(STATED, HAPPENED)(OTHER).interval(level)
    np.testing.assert_allclose(found, OTHER.interval(level) + np.array([-shift, shift]), atol=1e-12)


@pytest.mark.parametrize("repair", [ConformalIntervals, ConformalQuantiles])
def test_the_coverage_follows_its_exact_law(repair: Any) -> None:
    """Over calibration tables the coverage is Beta(k, n + 1 - k), whatever the (wrong) forecast says."""
    n, level = 60, 0.9
    k = int(np.ceil((n + 1) * level))
    covered = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        y = rng.normal(size=n)
        ends = repair.fit(NormalPredictive(np.zeros(n), 0.3), y)(NormalPredictive([0.0], 0.3)).interval(level)
        covered.append(stats.norm.cdf(ends[0, 1]) - stats.norm.cdf(ends[0, 0]))
    assert stats.kstest(covered, stats.beta(k, n + 1 - k).cdf).pvalue > 0.01
    assert np.mean(covered) >= level - 4 * np.std(covered) / 20


@pytest.mark.parametrize("kind", ["threshold", "adaptive"])
def test_the_sets_hold_their_level_over_tables(kind: Any) -> None:
    """400 tables of an over-confident model; its own credible sets hold far less."""
    held, believed = [], []
    for seed in range(400):
        predictive, y = classification(80, seed, sharpen=4.0)
        old, new = predictive.rows(slice(0, 60)), predictive.rows(slice(60, 80))
        index = new.encode(y[60:])
        sets = ConformalSets.fit(old, y[:60], kind=kind)(new).sets(0.9)
        held.append(sets[np.arange(20), index].mean())
        believed.append(credible_sets(new.probs, 0.9)[np.arange(20), index].mean())
    assert np.mean(held) >= 0.9 - 4 * np.std(held) / 20
    assert np.mean(believed) < 0.85


def test_probabilities_that_round_to_one_still_have_an_order() -> None:
    """Adaptive scores near 1 differ in the 30th digit: the sets need not hold every label."""
    probs = np.array([[1.0 - 1e-9, 1e-9, 0.0]] * 90 + [[1.0, 1e-30, 1e-40]] * 10)
    stated = ClassPredictive(probs)
    fitted = ConformalSets.fit(stated, [0] * 90 + [1] * 10, kind="adaptive")
    assert fitted(stated).sets(0.95)[[0, -1]].tolist() == [[True, False, False], [True, True, False]]


def test_higher_levels_hold_more() -> None:
    intervals = ConformalQuantiles.fit(STATED, HAPPENED)(OTHER)
    widths = [np.diff(intervals.interval(level), axis=1).min() for level in (0.5, 0.7, 0.9, 0.98)]
    assert (np.diff(widths) > 0).all()
    predictive, y = classification(N, 3)
    sets = ConformalSets.fit(predictive, y)(predictive)
    assert (sets.sets(0.5) <= sets.sets(0.9)).all()


def test_ends_that_would_cross_meet() -> None:
    wide = NormalPredictive(np.zeros(50), 10.0)
    narrow = ConformalQuantiles.fit(wide, np.zeros(50))(NormalPredictive([1.0], 0.1))
    assert narrow.interval(0.9).tolist() == [[1.0, 1.0]]


def test_all_but_the_intervals_is_as_it_was() -> None:
    repaired, y = ConformalIntervals.fit(STATED, HAPPENED)(OTHER), RNG.normal(size=NEW)
    for same in ("log_prob", "cdf"):
        np.testing.assert_array_equal(getattr(repaired, same)(y), getattr(OTHER, same)(y))
    np.testing.assert_array_equal(repaired.quantiles([0.1, 0.9]), OTHER.quantiles([0.1, 0.9]))
    np.testing.assert_array_equal(repaired.sample(5, seed=1), OTHER.sample(5, seed=1))
    np.testing.assert_array_equal(repaired.std, OTHER.std)


@pytest.mark.parametrize("repair", [ConformalIntervals, ConformalQuantiles])
def test_some_rows_of_the_repair_are_the_repair_of_some_rows(repair: Any) -> None:
    fitted = repair.fit(STATED, HAPPENED)
    index = [5, 1, 30]
    np.testing.assert_allclose(
        fitted(OTHER).rows(index).interval(0.9), fitted(OTHER.rows(index)).interval(0.9), atol=1e-12
    )


def test_our_predictions_and_draws_can_be_repaired() -> None:
    ours = case(Gaussian(), rows=30).predictive
    draws = SamplePredictive(RNG.normal(size=(50, 30)))
    for predictive in (ours, draws):
        y = predictive.mean + RNG.normal(size=30)
        for repair in (ConformalIntervals, ConformalQuantiles):
            low, high = repair.fit(predictive, y)(predictive).interval(0.9).T
            assert np.mean((low <= y) & (y <= high)) >= 0.9
    classes = case(Categorical(3), rows=30).predictive
    repaired = ConformalSets.fit(classes, np.arange(30) % 3)(classes)
    assert repaired.rows([0, 4]).sets(0.9).shape == (2, 3)


def test_the_rows_that_a_level_needs() -> None:
    for level, needed in ((0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)):
        assert rows_needed(level) == needed
        assert conformal_quantile(np.arange(needed), level) == needed - 1
        if needed > 1:
            with pytest.raises(DataError, match=f"needs at least {needed} rows to learn from"):
                conformal_quantile(np.arange(needed - 1), level)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ConformalIntervals.fit(STATED, HAPPENED, distance="far"), '"absolute" or "standardised"'),
        (lambda: ConformalIntervals.fit(STATED, HAPPENED)(OTHER).interval(0.99), "at least 99 rows"),
        (lambda: ConformalIntervals.fit(STATED, HAPPENED)(OTHER).interval(1.0), "strictly between 0 and 1"),
        (lambda: ConformalSets.fit(*classification(30), kind="small"), '"threshold" or "adaptive"'),
        (lambda: ConformalSets.fit(*classification(5))(classification(5)[0]).sets(0.9), "at least 9 rows"),
        (lambda: ConformalQuantiles.fit(*classification(30)), "got predicted classes"),
        (
            lambda: ConformalIntervals.fit(
                SamplePredictive(np.zeros((5, 20))), np.ones(20), distance="standardised"
            ),
            "standard deviation of zero",
        ),
        (lambda: ConformalSets.fit(ClassPredictive([[0.5, 0.5]] * 9), [2] * 9), "not seen in training: 2"),
    ],
)
def test_what_cannot_be_promised_is_said(make: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        make()
