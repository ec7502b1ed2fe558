"""The linearised Laplace approximation with the full generalised Gauss–Newton matrix, in plain torch.

Around a maximum a posteriori u* of the network, f(x, u) ≈ f(x, u*) + J(x)(u − u*) is linear, so its
posterior is Gaussian (MacKay 1992; Immer et al. 2021), over the weights of all layers:

    H = JᵀJ/σ² + δI,    p(y | x) = N(f(x, u*), J(x) H⁻¹ J(x)ᵀ + σ²)

in the coordinates where the prior that all methods share has δ = 1. The precision δ and the noise σ maximise
the evidence by MacKay's fixed point, and the network is trained on to its new maximum, a few times over; so
no rows are held out. Nothing else was tuned. This is our own code, not laplace-torch: that one imports
torchvision, which fails beside a CPU-only torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from bnn import BATCH, function, prior_draw, steps_for, widths
from interface import Array, Fit, GaussianMixture, Setup, Standardized
from torch import Tensor
from torch.func import grad, vmap

ROUNDS = 4
MORE = 0.25  # of the first training's steps, after each update of δ and σ
LEARNING_RATE = 1e-2
CHUNK = 1024  # rows whose Jacobian is held at a time
FIXED_POINT_STEPS = 100


@dataclass(frozen=True)
class Evidence:
    """What the evidence sets.

    Args:
        delta: The precision of the prior of every coordinate.
        variance: σ².
    """

    delta: float = 1.0
    variance: float = 0.05


def laplace(X: Any, y: Array, seed: int, setup: Setup, *, steps: int | None = None) -> Fit:
    """Train, then alternate between the evidence and further training."""
    data = Standardized(X, y)
    units = widths(data.x.shape[1], setup.hidden)
    generator = torch.Generator().manual_seed(seed)
    u, at = prior_draw(units, generator), Evidence()
    steps = steps or steps_for(len(data.x))
    train(u, data.x, data.y, units, at, generator, steps)
    for _ in range(ROUNDS):
        errors = data.y - function(u, data.x, units)
        at = maximise_evidence(gram(u, data.x, units), u, errors.double().square().sum().item(), len(y), at)
        train(u, data.x, data.y, units, at, generator, round(MORE * steps))
    factor = cholesky(gram(u, data.x, units), at)  # at the last maximum

    def predictive(X_new: Any) -> GaussianMixture:
        mean, variance = moments(u, factor, data.encode(X_new), units)
        return data.mixture(mean[None], (variance + at.variance).sqrt()[None])

    return Fit(predictive, steps + ROUNDS * round(MORE * steps))


def train(
    u: Tensor,
    x: Tensor,
    y: Tensor,
    units: tuple[int, ...],
    at: Evidence,
    generator: torch.Generator,
    steps: int,
) -> None:
    """Minimise ½‖y − f‖²/σ² + ½δ‖u‖² in place, by Adam on mini-batches at a rate that falls to 0."""
    u.requires_grad_()
    optimizer = torch.optim.Adam([u], lr=LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rows: list[Tensor] = []
    for _ in range(steps):
        rows = rows or list(torch.randperm(len(x), generator=generator).split(BATCH))
        batch = rows.pop()
        optimizer.zero_grad()
        error = (y[batch] - function(u, x[batch], units)).square().mean()
        # All of it times 2σ²/N: the minimum stays, and so does the gradients' scale where σ changes.
        (error + at.variance * at.delta / len(x) * u.square().sum()).backward()
        optimizer.step()
        schedule.step()
    u.requires_grad_(False)


def jacobian(u: Tensor, x: Tensor, units: tuple[int, ...]) -> Tensor:
    """∂f(x, u)/∂u, ``(N, D)``, in float64."""
    one_row = grad(lambda u, row: function(u, row[None], units)[0])
    rows: Tensor = vmap(one_row, in_dims=(None, 0))(u.double(), x.double())
    return rows


def gram(u: Tensor, x: Tensor, units: tuple[int, ...]) -> Tensor:
    """JᵀJ over all rows, ``(D, D)``."""
    total = u.new_zeros(len(u), len(u), dtype=torch.float64)
    for rows in x.split(CHUNK):
        part = jacobian(u, rows, units)
        total += part.T @ part
    return total


def maximise_evidence(matrix: Tensor, u: Tensor, squares: float, rows: int, start: Evidence) -> Evidence:
    """MacKay's fixed point: γ = Σ λ/(λ + δσ²), δ = γ/‖u‖², σ² = ‖y − f‖²/(N − γ).

    γ counts the coordinates that the data determine; λ are the eigenvalues of JᵀJ.
    """
    eigenvalues = torch.linalg.eigvalsh(matrix).clamp_min(0.0)
    norm = u.double().square().sum().item()
    at = start
    for _ in range(FIXED_POINT_STEPS):
        determined = float((eigenvalues / (eigenvalues + at.delta * at.variance)).sum())
        at = Evidence(determined / norm, squares / max(rows - determined, 1.0))
    return at


def cholesky(matrix: Tensor, at: Evidence) -> Tensor:
    """The Cholesky factor of the posterior precision JᵀJ/σ² + δI."""
    factor: Tensor = torch.linalg.cholesky(matrix / at.variance + at.delta * torch.eye(len(matrix)))
    return factor


def moments(u: Tensor, factor: Tensor, x: Tensor, units: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and variance of the function's value at each row, ``(N,)`` each; the noise is not in it."""
    parts = [
        torch.linalg.solve_triangular(factor, jacobian(u, rows, units).T, upper=False)
        for rows in x.split(CHUNK)
    ]
    return function(u, x, units), torch.cat([part.square().sum(0) for part in parts])
