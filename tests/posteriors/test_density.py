"""Each Pyro model is the posterior that its formula says, and the one that the reference draws come from."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.posteriors.densities import DENSITIES
from tests.posteriors.evaluation import (
    POSTERIORS,
    Sites,
    log_joint,
    posterior,
    transforms,
    unconstrained,
    unconstrained_log_joint,
)

STEP = 200  # of 10 000 draws, 50 are compared
BATCH = 1000  # draws at a time, for memory
STRETCHES = 100  # of 100 draws each
# By how much the second writing may differ, in nats for each nat of log density: by rounding, or by the
# step of a solver.
ROUNDING, SOLVER = 1e-10, 2e-5
# ∂ log p/∂θ = (μ − θ)/τ² + … has no variance, since 1/τ has none. Its product with τ has one, and its mean is
# still 0: τ does not depend on θ.
WEIGHTS = {"eight_schools-eight_schools_centered": {"theta": "tau", "mu": "tau"}}


def data_of(name: str, folder: Path) -> dict[str, Any]:
    """The data as it stands in the file that the index names: lists as arrays, numbers as numbers."""
    index = {entry["posterior"]: entry for entry in json.loads((folder / "index.json").read_text())}
    data = index[name]["data"]
    with zipfile.ZipFile(folder / "data" / f"{data}.json.zip") as archive:
        values = json.loads(archive.read(f"{data}.json"))
    return {key: np.array(value) if isinstance(value, list) else value for key, value in values.items()}


@pytest.mark.parametrize("name", POSTERIORS)
def test_the_density_is_that_of_the_formula_but_for_a_constant(name: str, folder: Path) -> None:
    target, data = posterior(name, folder), data_of(name, folder)
    chosen = target.reference[::STEP]
    ours = log_joint(target.model, target.sites(chosen))
    by_formula = [
        DENSITIES[name](data, dict(zip(target.names, draw, strict=True))) for draw in chosen.tolist()
    ]
    expected = torch.tensor(by_formula, dtype=torch.float64)
    tolerance = (SOLVER if name.endswith("lotka_volterra") else ROUNDING) * expected.abs().max().item()
    torch.testing.assert_close(ours - ours[0], expected - expected[0], rtol=0.0, atol=tolerance)


@pytest.mark.parametrize("name", POSTERIORS)
def test_the_reference_draws_are_of_this_posterior(name: str, folder: Path) -> None:
    """Stein's identity: under p, the mean of ∇ log p(u) over unconstrained u is 0.

    The means of stretches of the chains, far longer than the draws' autocorrelation, tell its standard error.
    """
    target = posterior(name, folder)
    parts = [scores(target, target.sites(some)) for some in target.reference.split(BATCH)]
    means = torch.cat(parts).unflatten(0, (STRETCHES, -1)).mean(1)
    errors = means.std(0) / math.sqrt(STRETCHES)
    assert (means.mean(0).abs() < 5 * errors).all(), means.mean(0) / errors


@pytest.mark.parametrize("name", POSTERIORS)
def test_real_numbers_have_the_density_of_the_parameters_times_the_volume(name: str, folder: Path) -> None:
    """log p(u) − log p(θ) = log |det ∂θ/∂u|, by the derivative of all the parameters that are free."""
    target = posterior(name, folder)
    sites = target.sites(target.reference[:3])
    free = unconstrained(target.model, sites)
    to_support = transforms(target.model)
    flat = torch.cat([value.reshape(3, -1) for value in free.values()], dim=-1)
    # A row of a transition matrix has the sum 1: all but its last entry are free.
    columns = [column for column, each in enumerate(target.names) if each not in ("theta1[2]", "theta2[2]")]

    def parameters(u: torch.Tensor) -> torch.Tensor:
        parts = u.split([value[0].numel() for value in free.values()])
        values = {
            site: to_support[site](part.reshape(1, *value.shape[1:]))
            for (site, value), part in zip(free.items(), parts, strict=True)
        }
        return target.parameters(values)[0, columns]

    volumes = [torch.autograd.functional.jacobian(parameters, row).slogdet().logabsdet for row in flat]
    ours = unconstrained_log_joint(target.model, free) - log_joint(target.model, sites)
    torch.testing.assert_close(ours, torch.stack(volumes), rtol=1e-9, atol=1e-9)


def scores(target: Any, sites: Sites) -> torch.Tensor:
    """∇ log p(u), ``(S, D)``, where u are the sites as real numbers, times the posterior's weights."""
    real = unconstrained(target.model, sites)
    free = {site: value.detach().requires_grad_() for site, value in real.items()}
    gradients = torch.autograd.grad(unconstrained_log_joint(target.model, free).sum(), list(free.values()))
    rows = {site: rows.reshape(len(rows), -1) for site, rows in zip(free, gradients, strict=True)}
    for site, weight in WEIGHTS.get(target.name, {}).items():
        rows[site] = rows[site] * sites[weight][:, None]
    return torch.cat(list(rows.values()), dim=-1)
