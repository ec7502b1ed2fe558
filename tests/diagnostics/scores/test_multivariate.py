"""The energy score against scoringrules, the CRPS and the Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
import scoringrules

from bayeshyper.diagnostics import crps_per_row, energy_score, energy_score_per_row
from bayeshyper.diagnostics.scores import multivariate as module
from bayeshyper.errors import DataError

RNG = np.random.default_rng(5)


def test_it_is_the_fair_estimator_of_scoringrules_whatever_the_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples, y = RNG.normal(size=(9, 31, 3)), RNG.normal(size=(31, 3))
    wanted = scoringrules.es_ensemble(y, samples, m_axis=0, v_axis=2, estimator="fair", backend="numpy")
    for chunk in (module._CHUNK, 600):
        monkeypatch.setattr(module, "_CHUNK", chunk)
        np.testing.assert_allclose(energy_score_per_row(samples, y), wanted, rtol=0, atol=1e-10)
    assert energy_score(samples, y) == pytest.approx(wanted.mean(), abs=1e-10)


def test_with_one_output_it_is_the_crps() -> None:
    samples, y = RNG.normal(size=(20, 50, 1)), RNG.normal(size=(50, 1))
    wanted = crps_per_row(samples[:, :, 0], y[:, 0])
    np.testing.assert_allclose(energy_score_per_row(samples, y), wanted, rtol=0, atol=1e-10)


def test_turning_all_outputs_together_changes_nothing() -> None:
    samples, y = RNG.normal(size=(8, 20, 2)), RNG.normal(size=(20, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    np.testing.assert_allclose(
        energy_score_per_row(samples @ turn, y @ turn), energy_score_per_row(samples, y), rtol=0, atol=1e-10
    )


def test_it_is_unbiased_with_two_draws() -> None:
    """In three dimensions E‖N(0, I)‖ = √(8/π), so that y = 0 scores √(8/π) (1 - 1/√2), to 4 s.e."""
    n = 40_000
    rows = energy_score_per_row(RNG.normal(size=(2, n, 3)), np.zeros((n, 3)))
    exact = np.sqrt(8 / np.pi) * (1 - np.sqrt(0.5))
    assert abs(rows.mean() - exact) < 4 * rows.std() / np.sqrt(n)


@pytest.mark.parametrize(
    ("samples", "y", "says"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), r"shape \(S, 3, 2\)"),
        (np.zeros((2, 3, 2)), np.zeros(3), r"shape \(N, K\)"),
        (np.zeros((1, 3, 2)), np.zeros((3, 2)), "at least two"),
        (np.full((2, 3, 2), np.nan), np.zeros((3, 2)), "hold 12 values that are NaN"),
        (np.zeros((2, 3, 2)), np.full((3, 2), np.inf), "hold 6 values"),
        (np.zeros((2, 0, 2)), np.zeros((0, 2)), "one column per output"),
    ],
)
def test_bad_input_is_named(samples: np.ndarray, y: np.ndarray, says: str) -> None:
    with pytest.raises(DataError, match=says):
        energy_score(samples, y)
