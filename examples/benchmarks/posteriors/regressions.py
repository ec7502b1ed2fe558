"""Linear regressions y ~ N(Xβ, σ): each its design matrix, its target and its priors."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from .priors import double, flat, flat_positive, half_cauchy, half_normal, half_student_t, normal
from .reference import Data, Model


def regression(
    X: Tensor, y: Tensor, beta: TorchDistribution | None = None, sigma: TorchDistribution | None = None
) -> Model:
    """y ~ N(Xβ, σ), the priors of β and σ flat where none is given."""
    beta, sigma = beta or flat(X.shape[-1]), sigma or flat_positive()

    def model() -> None:
        observe(y, pyro.sample("beta", beta) @ X.mT, pyro.sample("sigma", sigma))

    return model


def observe(y: Tensor, mean: Tensor, sigma: Tensor) -> None:
    """y ~ N(mean, σ), ``(…, N)`` with σ ``(…)``."""
    pyro.sample("y", dist.Normal(mean, sigma.unsqueeze(-1)).to_event(1), obs=y)


def design(*columns: Tensor) -> Tensor:
    """Columns beside one of ones, ``(N, 1 + columns)``."""
    return torch.stack([torch.ones_like(columns[0]), *columns], dim=-1)


def is_any(values: Tensor, *of: int) -> tuple[Tensor, ...]:
    """For each of some numbers, a column that is 1 where the values are that number."""
    return tuple((values == number).double() for number in of)


def log10earn_height(data: Data) -> Model:
    return regression(design(data["height"]), data["earn"].log10())


def logearn_height_male(data: Data) -> Model:
    return regression(design(data["height"], data["male"]), data["earn"].log())


def logearn_interaction_z(data: Data) -> Model:
    z = (data["height"] - data["height"].mean()) / data["height"].std()
    return regression(design(z, data["male"], z * data["male"]), data["earn"].log())


def kidscore(data: Data, column: str) -> Model:
    return regression(design(data[column]), data["kid_score"], sigma=half_cauchy(2.5))


def kidscore_interaction(data: Data) -> Model:
    school, iq = data["mom_hs"] - 0.5, data["mom_iq"] - 100.0
    return regression(design(school, iq, school * iq), data["kid_score"])


def kidscore_mom_work(data: Data) -> Model:
    return regression(design(*is_any(data["mom_work"], 2, 3, 4)), data["kid_score"])


def logmesquite(data: Data, shape: bool) -> Model:
    """The log weight by volume and area; with `shape`, also by the crown's shape and the total height."""
    area = (data["diam1"] * data["diam2"]).log()
    columns = [area + data["canopy_height"].log(), area]
    if shape:
        columns += [(data["diam1"] / data["diam2"]).log(), data["total_height"].log()]
    return regression(design(*columns, data["group"]), data["weight"].log())


def mesquite(data: Data) -> Model:
    names = ("diam1", "diam2", "canopy_height", "total_height", "density", "group")
    return regression(design(*(data[name] for name in names)), data["weight"])


def nes(data: Data) -> Model:
    ages = is_any(data["age_discrete"], 2, 3, 4)
    after = (data["educ1"], data["gender"], data["income"])
    return regression(design(data["real_ideo"], data["race_adj"], *ages, *after), data["partyid7"])


def blr(data: Data) -> Model:
    X = data["X"]
    return regression(X, data["y"], beta=normal(0.0, 10.0, X.shape[-1]), sigma=half_normal(10.0))


def diamonds(data: Data) -> Model:
    """An intercept of its own, for columns that are centred."""
    columns = data["X"][:, 1:]
    X = columns - columns.mean(0)

    def model() -> None:
        b = pyro.sample("b", normal(0.0, 1.0, X.shape[-1]))
        intercept = pyro.sample("Intercept", dist.StudentT(double(3.0), 8.0, 10.0))
        sigma = pyro.sample("sigma", half_student_t(3.0, 0.0, 10.0))
        observe(data["Y"], intercept.unsqueeze(-1) + b @ X.mT, sigma)

    return model
