"""Simulation-based calibration: data from the model itself, and where the truth ranks among the draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import KLSettings, OptimizerSettings, StoppingSettings, SVISettings, fit
from tests.inference.toys import Ridge

DATA_SETS = 100
DRAWS = 63
POINTS = torch.tensor([[-1.0], [0.3], [3.0]])  # in the middle of the data, and far outside


@dataclass(frozen=True)
class Ranks:
    """Ranks of the true function value, ``(data sets, points)``, for the posterior and for a false one."""

    honest: NDArray[np.int64]
    overconfident: NDArray[np.int64]


def uniformity(ranks: NDArray[np.int64]) -> float:
    """The p-value of the chi-square test of ranks 0 … 63 in eight bins of eight."""
    counts = np.bincount(ranks // 8, minlength=8)
    return float(stats.chisquare(counts).pvalue)


@pytest.fixture(scope="module")
def ranks() -> Ranks:
    recipe = SVISettings(
        optimizer=OptimizerSettings(steps=300, learning_rate=4e-2, warmup=20),
        kl=KLSettings(anneal=0.1),
        stopping=StoppingSettings(evaluate_every=300),
    )
    honest, overconfident = [], []
    for seed in range(DATA_SETS):
        generator = torch.Generator().manual_seed(1000 + seed)
        x = torch.randn(12, 1, generator=generator)
        theta = torch.randn(2, generator=generator)  # from the prior
        y = x[:, 0] * theta[0] + theta[1] + 0.5 * torch.randn(12, generator=generator)
        problem = Ridge(x, y, noise=0.5)
        model = problem.model()
        guide = problem.guide(
            model, HypernetworkSettings(noise_dim=2, hidden=(), gain=0.2, output_noise=0.2), seed
        )
        fit(model, guide, x, y, recipe, seed=seed)
        draws = guide.hypernetwork.sample(DRAWS, generator=torch.Generator().manual_seed(seed))
        values = draws[:, :1] * POINTS[:, 0] + draws[:, 1:]
        truth = POINTS[:, 0] * theta[0] + theta[1]
        honest.append((values < truth).sum(0).numpy())
        center = values.mean(0)
        overconfident.append((center + 0.5 * (values - center) < truth).sum(0).numpy())
    return Ranks(np.array(honest), np.array(overconfident))


@pytest.mark.long
@pytest.mark.parametrize("point", range(len(POINTS)))
def test_the_truth_ranks_uniformly_among_the_draws(ranks: Ranks, point: int) -> None:
    assert uniformity(ranks.honest[:, point]) > 0.01
    # Mean and spread of a uniform rank, within four standard errors: kinder to read when it fails.
    scaled = (ranks.honest[:, point] + 0.5) / (DRAWS + 1)
    assert abs(scaled.mean() - 0.5) < 4 * np.sqrt(1 / 12 / DATA_SETS)


@pytest.mark.long
@pytest.mark.parametrize("point", range(len(POINTS)))
def test_a_posterior_of_half_the_width_would_be_found_out(ranks: Ranks, point: int) -> None:
    assert uniformity(ranks.overconfident[:, point]) < 0.01
