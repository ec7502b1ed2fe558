"""Data that numbers break on: a fit whose every prediction is finite, or one sentence; never NaN."""

from __future__ import annotations

import math
import resource
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from bayeshyper import HyperClassifier, HyperRegressor
from bayeshyper.errors import ClassImbalanceWarning, DataError, DataWarning, TrainingDiverged
from bayeshyper.inference import svi

SHORT = {
    "members": 1,
    "target.hidden": [20],
    "optimizer.steps": 5,
    "warm_start.steps": 20,
    "warm_start.natural_steps": 5,
}
N = 48
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3))
Y = X @ [1.0, 2.0, -1.0] + 0.1 * RNG.normal(size=N)
FIRST = np.arange(N) == 0
# Much of what is predicted here is far from all that was fitted, and says so; that is tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore::bayeshyper.ExtrapolationWarning")
CAUCHY = np.tan(np.pi * (RNG.random((N, 3)) - 0.5))

FEATURES = {
    "collinear": np.column_stack([X, X, 2 * X[:, 0], X.sum(axis=1)]),
    "nearly collinear": np.column_stack([X, X + 1e-12 * RNG.normal(size=X.shape)]),
    "one value": np.ones_like(X),
    "all zero": np.zeros_like(X),
    "of scale 1e-12": 1e-12 * X,
    "of scale 1e12": 1e12 * X,
    "of three scales": X * [1e-12, 1.0, 1e12],
    "far from zero": X + 1e12,
    "with an outlier": np.where(FIRST[:, None], 1e12, X),
    "with an outlier of 1e99": np.where(FIRST[:, None], -1e99, X),
    "with heavy tails": CAUCHY**5,
    "lognormal": np.exp(20 * X),
    "duplicated rows": np.repeat(X[: N // 8], 8, axis=0),
    "more columns than rows": RNG.normal(size=(N, 3 * N)),
    "one row each": np.eye(N),
    "smallest numbers": 1e-310 * X,
}
TARGETS = {
    "of scale 1e-12": 1e-12 * Y,
    "of scale 1e12": 1e12 * Y,
    "of scale 1e-300": 1e-300 * Y,
    "of scale 1e99": 1e99 * Y / np.abs(Y).max(),
    "far from zero": 1e12 + Y,
    "at the end of float64": 1.0 + 2.3e-16 * np.arange(N),
    "with an outlier": np.where(FIRST, 1e12, Y),
    "with an outlier of 1e99": np.where(FIRST, -1e99, Y),
    "with heavy tails": CAUCHY[:, 0] ** 9,
    "of two values": np.where(Y > 0, 1.0, 0.0),
    "of one other value": np.where(FIRST, 1.0, 0.0),
    "without noise": X @ [1.0, 2.0, -1.0],
    "without relation": RNG.normal(size=N),
}


def fitted(estimator: type[Any], features: Any, targets: Any, **settings: Any) -> Any:
    """Fitted in few steps; that little can be learned may be said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return estimator(random_state=0, n_draws=20, settings=SHORT | settings).fit(features, targets)


def check_regression(model: HyperRegressor, rows: np.ndarray, targets: np.ndarray) -> None:
    mean, std = model.predict(rows, return_std=True)
    quantiles = model.predict_quantiles(rows)
    assert all(np.isfinite(found).all() for found in (mean, std, quantiles, model.log_prob(rows, targets)))
    assert (std > 0).all()
    assert (np.diff(quantiles, axis=1) >= 0).all()


def check_classification(model: HyperClassifier, rows: np.ndarray, targets: np.ndarray) -> None:
    probs = model.predict_proba(rows)
    assert np.isfinite(model.log_prob(rows, targets)).all()
    np.testing.assert_allclose(probs.sum(axis=1), 1.0)
    assert (probs >= 0).all()
    assert set(model.predict(rows)) <= set(model.classes_)


@pytest.mark.parametrize("which", FEATURES)
def test_features_that_are_ill_conditioned_are_fitted(which: str) -> None:
    features, classes = FEATURES[which], np.where(Y > 0, "a", "b")
    check_regression(fitted(HyperRegressor, features, Y), features, Y)
    check_classification(fitted(HyperClassifier, features, classes), features, classes)


@pytest.mark.parametrize("which", TARGETS)
def test_targets_that_are_ill_conditioned_are_fitted(which: str) -> None:
    check_regression(fitted(HyperRegressor, X, TARGETS[which]), X, TARGETS[which])


@pytest.mark.parametrize("family", ["student-t", "heteroscedastic", "mixture"])
@pytest.mark.parametrize("which", ["with an outlier", "with heavy tails", "of one other value"])
def test_outliers_are_fitted_under_every_noise(family: str, which: str) -> None:
    model = fitted(HyperRegressor, X, TARGETS[which], **{"likelihood.family": family})
    check_regression(model, X, TARGETS[which])


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_handful_of_rows_is_fitted(n: int) -> None:
    check_regression(fitted(HyperRegressor, X[:n], Y[:n]), X, Y)
    classes = np.array(["b", "a", "b", "a", "a"])[:n]
    check_classification(fitted(HyperClassifier, X[:n], classes), X[:n], classes)


def test_a_scale_changes_no_prediction_but_its_unit() -> None:
    """What is standardised inside is the same, so a fit in other units is the same fit."""
    plain = fitted(HyperRegressor, X, Y).predict(X, return_std=True)
    for unit in (1e-12, 1e12):
        scaled = fitted(HyperRegressor, X * unit, Y / unit).predict(X * unit, return_std=True)
        np.testing.assert_allclose(np.multiply(scaled, unit), plain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("magnitude", "finite"), [(1e3, True), (1e30, True), (1e90, False)])
def test_a_row_far_from_all_others_is_predicted_or_refused(magnitude: float, finite: bool) -> None:
    regressor, classifier = fitted(HyperRegressor, X, Y), fitted(HyperClassifier, X, Y > 0)
    far = np.vstack([X[:2], magnitude * X[:1]])
    if finite:
        check_regression(regressor, far, Y[:3])
        check_classification(classifier, far, Y[:3] > 0)
        return
    for predict in (regressor.predict, regressor.predict_quantiles, classifier.predict_proba):
        with pytest.raises(DataError, match=r"Row 3 \(counting from 1\) is so unlike"):
            predict(far)


def test_a_thousand_classes_are_fitted() -> None:
    """All but a few of them with one row."""
    features, classes = RNG.normal(size=(1010, 2)), np.arange(1010) % 1000
    model = fitted(HyperClassifier, features, classes, **{"target.hidden": [4]})
    check_classification(model, features[:100], classes[:100])
    assert model.predict_proba(features[:2]).shape == (2, 1000)


def test_a_class_of_one_row_is_fitted_and_said() -> None:
    with pytest.warns(ClassImbalanceWarning, match=r"next to none .*'rare' \(1\)"):
        model = HyperClassifier(random_state=0, settings=SHORT).fit(X, np.where(FIRST, "rare", "a"))
    assert model.predict_proba(X).shape == (N, 2)


@pytest.mark.parametrize("family", ["poisson", "negative-binomial"])
def test_counts_of_any_size_are_fitted_or_refused(family: str) -> None:
    rates = np.exp(0.5 * X[:, 0])
    for size in (1.0, 1e6, 1e11):
        counts = RNG.poisson(size * rates).astype(np.float64)
        model = fitted(HyperRegressor, X, counts, **{"likelihood.family": family})
        check_regression(model, X[:4], counts[:4])
    with pytest.raises(DataError, match=r"row \d+ .*expected counts up to 1e\+12"):
        fitted(HyperRegressor, X, np.round(1e13 * rates), **{"likelihood.family": family})


@pytest.mark.parametrize(
    ("estimator", "targets", "sentence"),
    [
        (HyperRegressor, np.ones(N), "constant"),
        (HyperRegressor, np.where(FIRST, 1e101, Y), "beyond 1e\\+100, first in row 1 "),
        (HyperRegressor, np.where(FIRST, np.inf, Y), "infinity.*row 1 "),
        (HyperRegressor, np.where(FIRST, np.nan, Y), "1 missing value"),
        (HyperClassifier, np.full(N, "a"), "only one class"),
        (HyperClassifier, np.arange(N), "a class of its own"),
    ],
)
def test_what_cannot_be_learned_is_refused(estimator: type[Any], targets: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        fitted(estimator, X, targets)


def test_a_held_out_score_that_is_no_number_stops_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """No later score is larger than NaN: the start would be kept, and nothing said."""
    monkeypatch.setattr(svi, "heldout_score", lambda *_: math.nan)
    with pytest.raises(TrainingDiverged, match="log likelihood"):
        fitted(HyperRegressor, X, Y, **{"stopping.holdout": 0.2, "stopping.holdout_from": 10})


@pytest.mark.long
@pytest.mark.parametrize("estimator", [HyperRegressor, HyperClassifier])
def test_a_million_rows_are_fitted_and_predicted_in_bounded_memory(estimator: type[Any]) -> None:
    rows = 10**6
    features = RNG.normal(size=(rows, 3))
    signal = features @ [1.0, 2.0, -1.0]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if estimator is HyperRegressor:
        model = fitted(estimator, features, signal + RNG.normal(size=rows))
        found = np.stack(model.predict(features, return_std=True))
        assert np.corrcoef(found[0], signal)[0, 1] > 0.9
    else:
        model = fitted(estimator, features, signal > 0)
        found = model.predict_proba(features)
        assert np.mean(model.predict(features[:10_000]) == (signal[:10_000] > 0)) > 0.9
    assert np.isfinite(found).all()
    # The table is 24 MB; a few copies of it, the chunks of prediction, and no draws × rows (160 MB) beside.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # KB
    assert torch.get_default_dtype() == torch.float32
