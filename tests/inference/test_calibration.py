"""Simulation-based calibration of the whole of SVI: where the truth ranks among the draws of a fit."""

from __future__ import annotations

import pytest
import torch

from bayeshyper.diagnostics import SimulationCalibration, calibrate_fits
from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import KLSettings, OptimizerSettings, StoppingSettings, SVISettings
from tests.inference.toys import Ridge

POINTS = torch.tensor([[-1.0], [0.3], [3.0]])  # in the middle of the data, and far outside
QUANTITIES = ["f[0]", "f[1]", "f[2]", "log likelihood"]


@pytest.fixture(scope="module")
def found() -> SimulationCalibration:
    x = torch.randn(12, 1, generator=torch.Generator().manual_seed(1000))
    problem = Ridge(x, torch.zeros(12), noise=0.5)
    enough = HypernetworkSettings(noise_dim=2, hidden=(), gain=0.2, output_noise=0.2)
    return calibrate_fits(
        problem.model(),
        lambda model, seed: problem.guide(model, enough, seed),
        SVISettings(
            optimizer=OptimizerSettings(steps=300, learning_rate=4e-2, warmup=20),
            kl=KLSettings(anneal=0.1),
            stopping=StoppingSettings(evaluate_every=300),
        ),
        x,
        POINTS,
        show=False,
    )


@pytest.mark.long
@pytest.mark.parametrize("name", QUANTITIES)
def test_the_truth_ranks_uniformly_among_the_draws(found: SimulationCalibration, name: str) -> None:
    place = found.names.index(name)
    assert found.p_values[place] > 0.01
    assert found.differences[place].outside.size == 0
    # The mean of 100 uniform ranks, within four standard errors: kinder to read when it fails.
    repetitions = len(found.ranks)
    assert (
        abs(found.ranks[:, place].mean() - found.n_draws / 2) < 4 * found.n_draws / (12 * repetitions) ** 0.5
    )
