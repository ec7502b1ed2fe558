"""Unknown functions: a Gaussian process, and the solution of a differential equation."""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from .priors import double, half_normal
from .reference import Data, Model

# In a year. On the reference draws, log u and log v are then within 1e-4 of the solution and the log density
# within 2e-3 of its own; with 10, within 6e-6 and 1e-4, for twice the time.
RUNGE_KUTTA_STEPS = 5


def gaussian_process(data: Data) -> Model:
    """Regression with the squared exponential kernel; σ is the noise's variance."""
    x, y = data["x"], data["y"]
    squares, identity = (x[:, None] - x).square(), torch.eye(len(x), dtype=x.dtype)

    def model() -> None:
        rho = pyro.sample("rho", dist.Gamma(double(25.0), 4.0))
        alpha, sigma = pyro.sample("alpha", half_normal(2.0)), pyro.sample("sigma", half_normal(1.0))
        rho, alpha, sigma = (value[..., None, None] for value in (rho, alpha, sigma))
        covariance = alpha.square() * (-0.5 * squares / rho.square()).exp() + sigma * identity
        pyro.sample("y", dist.MultivariateNormal(torch.zeros_like(y), covariance), obs=y)

    return model


def lotka_volterra(data: Data) -> Model:
    """Hares u and lynxes v, counted once a year: u' = (θ₁ − θ₂ v) u and v' = (−θ₃ + θ₄ u) v."""
    years = len(data["ts"])

    def model() -> None:
        theta = pyro.sample("theta", half_normal([0.5, 0.05, 0.5, 0.05], mean=[1.0, 0.05, 1.0, 0.05]))
        start = pyro.sample("z_init", dist.LogNormal(double([math.log(10.0)] * 2), 1.0).to_event(1))
        sigma = pyro.sample("sigma", dist.LogNormal(double([-1.0, -1.0]), 1.0).to_event(1))
        pyro.sample("y_init", dist.LogNormal(start.log(), sigma).to_event(1), obs=data["y_init"])
        log_z = log_populations(theta, start.log(), years)
        pyro.sample("y", dist.LogNormal(log_z, sigma.unsqueeze(-2)).to_event(2), obs=data["y"])

    return model


def log_populations(theta: Tensor, start: Tensor, years: int, steps: int = RUNGE_KUTTA_STEPS) -> Tensor:
    """log u and log v at the end of each year, ``(…, years, 2)``, by the classical Runge–Kutta method.

    In w = (log θ₄u, log θ₂v) the equations are w' = (θ₁ − exp w₂, exp w₁ − θ₃): no products, and no
    population can become negative.

    Args:
        theta: ``(…, 4)``.
        start: log u and log v at time 0, ``(…, 2)``.
        years: How many years.
        steps: Equal steps in a year.
    """
    growth = torch.stack([theta[..., 0], -theta[..., 2]], dim=-1)
    offset = theta[..., [3, 1]].log()
    sign = theta.new_tensor([-1.0, 1.0])

    def slope(w: Tensor) -> Tensor:
        return torch.addcmul(growth, sign, w.exp().flip(-1))

    def after(time: float, w: Tensor, slope: Tensor) -> Tensor:
        return torch.add(w, slope, alpha=time)

    step, w, found = 1.0 / steps, start + offset, []
    for count in range(1, years * steps + 1):
        first = slope(w)
        second = slope(after(step / 2, w, first))
        third = slope(after(step / 2, w, second))
        fourth = slope(after(step, w, third))
        w = after(step / 6, w, first + fourth + 2.0 * (second + third))
        if count % steps == 0:
            found.append(w)
    return torch.stack(found, dim=-2) - offset.unsqueeze(-2)
