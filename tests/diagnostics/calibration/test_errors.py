"""The ECE family against torchmetrics, netcal and Kumar's library, and what chance gives by simulation."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bayeshyper.diagnostics import (
    calibration_errors,
    class_wise_calibration_error,
    debiased_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    top_label,
)
from bayeshyper.errors import DataError


def sharpened() -> tuple[np.ndarray, np.ndarray]:
    """The table whose errors the reference libraries were asked for."""
    rng = np.random.default_rng(2022)
    probs = rng.dirichlet(np.ones(3), size=400)
    true = probs**0.5 / (probs**0.5).sum(axis=1, keepdims=True)
    return probs, (rng.random(400)[:, None] > np.cumsum(true, axis=1)[:, :2]).sum(axis=1)


def test_ece_and_mce_are_those_of_torchmetrics_and_netcal() -> None:
    """Asked by hand: netcal 1.4.0, and torchmetrics 1.9.0, which has single precision."""
    sure, right = top_label(*sharpened())
    ece = expected_calibration_error(sure, right, binning="equal-width")
    mce = maximum_calibration_error(sure, right, binning="equal-width")
    assert ece == pytest.approx(0.15483848898162228, abs=1e-10)
    assert mce == pytest.approx(0.4191610648518132, abs=1e-10)
    assert ece == pytest.approx(0.15483850240707397, abs=1e-7)
    assert mce == pytest.approx(0.4191610515117645, abs=1e-7)


@pytest.mark.parametrize(
    ("n_bins", "binning", "wanted"),
    [(8, "equal-mass", 0.030643319910581238), (15, "equal-width", 0.0244432896576316)],
)
def test_the_debiased_error_is_that_of_kumars_library(n_bins: int, binning: str, wanted: float) -> None:
    """Its unbiased_square_ce gave these numbers: uncertainty-calibration 0.1.4."""
    sure, right = top_label(*sharpened())
    found = debiased_calibration_error(sure, right, n_bins=n_bins, binning=binning)  # type: ignore[arg-type]
    assert found == pytest.approx(wanted, abs=1e-10)


def test_the_class_wise_error_is_the_mean_over_classes() -> None:
    """The binary calibration errors of torchmetrics 1.9.0, averaged, in double precision."""
    probs, labels = sharpened()
    found = class_wise_calibration_error(probs, labels, binning="equal-width")
    assert found == pytest.approx(0.12166327920701552, abs=1e-10)
    by_class = [expected_calibration_error(probs[:, k], labels == k) for k in range(3)]
    assert class_wise_calibration_error(probs, labels) == pytest.approx(np.mean(by_class), abs=1e-12)


def test_for_two_classes_both_have_the_same_error() -> None:
    rng = np.random.default_rng(1)
    sure = rng.random(300)
    labels = (rng.random(300) < sure**2).astype(int)
    probs = np.stack([1.0 - sure, sure], axis=1)
    found = class_wise_calibration_error(probs, labels, n_bins=10)
    assert found == pytest.approx(expected_calibration_error(sure, labels == 1, n_bins=10), abs=1e-12)


def test_the_debiased_error_is_zero_on_average_for_calibrated_rows() -> None:
    """Over 2000 tables with one confidence in each bin, to four standard errors; the plain square is not."""
    sure = np.repeat([0.6, 0.75, 0.9], 30)
    seen = [
        debiased_calibration_error(sure, np.random.default_rng(s).random(90) < sure, binning="equal-width")
        for s in range(2000)
    ]
    error = np.std(seen) / np.sqrt(2000)
    assert abs(np.mean(seen)) < 4 * error
    plain = np.mean(sure * (1 - sure)) / 30
    assert plain > 20 * error


def test_the_debiased_error_finds_the_true_square() -> None:
    """Accuracy 0.1 below the stated confidence: 0.01 on average, to four standard errors."""
    sure = np.repeat([0.6, 0.75, 0.9], 30)
    seen = [
        debiased_calibration_error(sure, np.random.default_rng(s).random(90) < sure - 0.1, n_bins=3)
        for s in range(1000)
    ]
    assert abs(np.mean(seen) - 0.01) < 4 * np.std(seen) / np.sqrt(1000)


def test_what_chance_gives_is_what_calibrated_tables_give() -> None:
    """The mean of each error over 30 calibrated tables, to four standard errors and 5 %.

    Those 5 % are for bins, which are taken as binomial at their mean confidence.
    """
    seen: dict[str, list[float]] = {}
    stated: dict[str, list[float]] = {}
    for seed in range(30):
        rng = np.random.default_rng(seed)
        probs = rng.dirichlet(np.ones(3), size=300)
        labels = (rng.random(300)[:, None] > np.cumsum(probs, axis=1)[:, :2]).sum(axis=1)
        for error in calibration_errors(probs, labels, seed=seed):
            seen.setdefault(error.name, []).append(error.value or 0.0)
            stated.setdefault(error.name, []).append(error.if_calibrated)
    for name, values in seen.items():
        spread = 4 * np.std(values) / np.sqrt(30)
        assert abs(np.mean(values) - np.mean(stated[name])) < spread + 0.05 * np.mean(stated[name]), name


def test_planted_over_confidence_stands_out_in_all_of_them() -> None:
    for error in calibration_errors(*sharpened()):
        assert error.value is not None
        assert error.value > 1.5 * error.if_calibrated, error.name
        assert json.loads(json.dumps(error.to_dict(), allow_nan=False))["name"] == error.name


def test_one_row_one_class_and_constants() -> None:
    one = {error.name: error for error in calibration_errors([[0.75, 0.25]], [0])}
    assert one["debiased"].value is None
    assert one["equal_mass"].value == pytest.approx(0.25)
    sure = {error.name: error for error in calibration_errors([[1.0, 0.0]] * 9, [0] * 9)}
    assert {name: error.value for name, error in sure.items()} == dict.fromkeys(sure, 0.0)
    assert {error.if_calibrated for error in sure.values()} == {0.0}


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: debiased_calibration_error([0.5, 0.9], [True, True], n_bins=2), "No bin has two rows"),
        (lambda: maximum_calibration_error([1.5], [True]), "between 0 and 1"),
        (lambda: class_wise_calibration_error([[0.5, 0.6]], [0]), "row 0 sums to 1.1"),
        (lambda: calibration_errors([[0.5, np.nan]], [0]), "NaN or infinite"),
        (lambda: calibration_errors([[0.5, 0.5]], [2]), "between 0 and 1"),
        (lambda: expected_calibration_error([0.5], [True], binning="other"), "equal-mass"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_named(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(DataError, match=says):
        call()
