"""Simulation-based calibration: uniform ranks for an exact posterior, and faults that are found."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bayeshyper.diagnostics import SimulationCalibration, calibrate_fits, simulation_based_calibration
from bayeshyper.errors import DataError
from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import OptimizerSettings, StoppingSettings, SVISettings
from tests.inference.toys import Ridge

Array = NDArray[np.float64]
ROWS, DRAWS = 5, 39


def simulate(seed: int) -> tuple[Array, Array]:
    """A mean from N(0, 1), and five rows with noise N(0, 1)."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=1)
    return truth, truth + rng.normal(size=ROWS)


def quantities(mean: Array, y: Array) -> Array:
    """The mean itself, and the log likelihood up to a constant."""
    return np.stack([mean, -0.5 * ((y - mean[:, None]) ** 2).sum(1)], axis=1)


def conjugate(width: float = 1.0, shift: float = 0.0, use: float = 1.0, draws: int = DRAWS) -> Any:
    """The exact posterior, or one with a fault."""

    def posterior(y: Array, seed: int) -> Array:
        noise = np.random.default_rng([seed, 7]).normal(size=draws)
        if not use:
            return noise  # the prior: the data are ignored
        return y.sum() / (ROWS + 1) + (shift + width * noise) / np.sqrt(ROWS + 1)

    return posterior


def calibration(repetitions: int = 400, seed: int = 0, **fault: Any) -> SimulationCalibration:
    return simulation_based_calibration(
        simulate,
        conjugate(**fault),
        quantities,
        names=["mean", "log likelihood"],
        repetitions=repetitions,
        seed=seed,
        show=False,
    )


def test_an_exact_posterior_has_uniform_ranks() -> None:
    found = calibration()
    assert found.flagged == ()
    assert found.ranks.shape == (400, 2)
    assert found.ranks.min() == 0
    assert found.ranks.max() == found.n_draws == DRAWS
    # The mean of 400 uniform ranks, within four standard errors.
    assert abs(found.ranks[:, 0].mean() - DRAWS / 2) < 4 * DRAWS / np.sqrt(12 * 400)


def test_exact_posteriors_are_flagged_at_the_stated_level() -> None:
    flagged = sum(bool(calibration(repetitions=60, seed=seed).flagged) for seed in range(100))
    assert flagged <= 11  # of 100 at 5 %: above with probability below 1 %


@pytest.mark.parametrize("fault", [{"width": 0.5}, {"width": 2.0}, {"shift": 1.0}])
def test_a_fault_is_found(fault: dict[str, float]) -> None:
    found = calibration(**fault)
    assert "mean" in found.flagged
    assert found.differences[0].outside.size > 0


def test_half_the_width_is_found_with_few_repetitions() -> None:
    """As many as the test of SVI itself can afford."""
    p_values = [calibration(repetitions=100, seed=seed, width=0.5).p_values[0] for seed in range(20)]
    assert max(p_values) < 0.01


def test_too_narrow_a_posterior_has_too_many_extreme_ranks() -> None:
    line = calibration(width=0.5).differences[0].difference
    assert line[:30].mean() > 0.02
    assert line[-30:].mean() < -0.02


def test_only_the_log_likelihood_sees_that_data_are_ignored() -> None:
    assert calibration(use=0.0).flagged == ("log likelihood",)


def test_ties_are_broken_at_random() -> None:
    found = simulation_based_calibration(
        lambda seed: (np.zeros(1), None),
        lambda data, seed: np.zeros(DRAWS),
        lambda theta, data: theta[:, None],
        names=["zero"],
        repetitions=400,
        show=False,
    )
    assert found.flagged == ()
    assert np.unique(found.ranks).size > 30


def test_the_record_is_json() -> None:
    found = calibration(repetitions=20)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["names"] == list(found.names)


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(DataError, match="at least 20"):
        calibration(repetitions=19)
    with pytest.raises(DataError, match="two or more"):
        calibration(repetitions=20, draws=1)
    with pytest.raises(DataError, match="hold NaN"):
        calibration(repetitions=20, shift=np.nan)
    with pytest.raises(DataError, match="got \\(1, 2\\)"):
        simulation_based_calibration(simulate, conjugate(), quantities, names=["one"], show=False)


def test_a_model_and_its_recipe() -> None:
    problem = Ridge(torch.randn(12, 1, generator=torch.Generator().manual_seed(0)), torch.zeros(12))
    settings = SVISettings(optimizer=OptimizerSettings(steps=3), stopping=StoppingSettings(evaluate_every=3))
    narrow = HypernetworkSettings(noise_dim=1, hidden=(), output_noise=0.01)
    model = problem.model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = calibrate_fits(
        model,
        lambda model, seed: problem.guide(model, narrow, seed),
        settings,
        problem.x,
        torch.tensor([[0.0], [2.0]]),
        repetitions=40,
        show=False,
    )
    assert found.names == ("f[0]", "f[1]", "log likelihood")
    # Three steps leave it where it began: all of the mass at zero.
    assert {"f[0]", "f[1]"} <= set(found.flagged)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
