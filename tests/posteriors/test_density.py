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
    unconstrained,
    unconstrained_log_joint,
)

STEP = 200  # of 10 000 draws, 50 are compared
BATCH = 1000  # draws at a time, for memory


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
    scale = expected.abs().max().item()
    torch.testing.assert_close(ours - ours[0], expected - expected[0], rtol=0.0, atol=1e-8 * scale)


@pytest.mark.parametrize("name", POSTERIORS)
def test_the_reference_draws_are_of_this_posterior(name: str, folder: Path) -> None:
    """Stein's identity: under p, the mean of ∇ log p(u) over unconstrained u is 0.

    The ten chains' means are ten independent estimates of it, whatever the draws' autocorrelation.
    """
    target = posterior(name, folder)
    score = torch.cat([score_at(target.model, target.sites(some)) for some in target.reference.split(BATCH)])
    means = score.reshape(10, 1000, -1).mean(1)
    errors = means.std(0) / math.sqrt(10)
    assert (means.mean(0).abs() < 5 * errors).all(), means.mean(0) / errors


def score_at(model: Any, sites: Sites) -> torch.Tensor:
    """∇ log p(u), ``(S, D)``, where u are the sites as real numbers."""
    free = {name: value.detach().requires_grad_() for name, value in unconstrained(model, sites).items()}
    gradients = torch.autograd.grad(unconstrained_log_joint(model, free).sum(), list(free.values()))
    return torch.cat([gradient.reshape(len(gradient), -1) for gradient in gradients], dim=-1)
