"""The audit: the ELBO of a fitted posterior between two bounds, whatever training believed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from bayeshyper._vocabulary import check_types
from bayeshyper.diagnostics.posterior.densities import density_source, draw_density, log_likelihood
from bayeshyper.diagnostics.posterior.psis import PSIS, psis_of
from bayeshyper.hypernets import Hypernetwork, WeightDraw
from bayeshyper.inference import channel_of, information_bounds
from bayeshyper.memory import check_draws
from bayeshyper.models import BayesianModel, Conditional

__all__ = ["Audit", "Estimates", "audit", "mean_and_error", "pooled"]

Estimates = Mapping[str, tuple[float, float]]
"""Means with their standard errors, in nats, by the names of an audit's quantities."""

# How far from either bound, beyond two standard errors, the linearised entropy is flagged.
TOLERANCE_NATS = 0.5
# The bounds are of the same K draws, with the truth and without it: log(1 + 1/K) is the most that they cross.
CROSSED_NATS = math.log(2.0)
ROUNDING = 1e-9


@dataclass(frozen=True)
class Audit:
    """ELBO and entropy of a posterior in nats, each between two bounds, each with its standard error.

    The ELBO is that of the whole training set at full KL weight, whatever temperature it was trained at;
    for regression, with targets in standardised units. For a mixture of M members it is the members'
    mean, which the mixture's own ELBO exceeds by at most log M.

    Attributes:
        elbo_lower: At most the ELBO, in expectation; with ``elbo_lower_error``.
        elbo_upper: At least the ELBO, in expectation.
        elbo_linearized: With the entropy as training estimates it: not a bound.
        entropy_lower: At most H[q], in expectation.
        entropy_upper: At least H[q], in expectation.
        entropy_linearized: As training estimates it.
        n_members: M.
        temperature: The KL weight that the posterior was trained at.
        psis: Pareto k̂ of p(θ, y)/q(θ) at the audit's own draws, log q exact or linearised; None with fewer
            than 50 draws, where one of them is not finite, and in files of versions that did not ask.
        members: The audit of each member alone; of files, none.
    """

    elbo_lower: float
    elbo_upper: float
    elbo_linearized: float
    elbo_lower_error: float
    elbo_upper_error: float
    elbo_linearized_error: float
    entropy_lower: float
    entropy_upper: float
    entropy_linearized: float
    entropy_lower_error: float
    entropy_upper_error: float
    entropy_linearized_error: float
    n_members: int = 1
    temperature: float = 1.0
    psis: PSIS | None = None
    members: tuple[Audit, ...] = field(default=(), repr=False, compare=False)

    @property
    def flagged(self) -> bool:
        """Whether the entropy that training used is further from a bound than 0.5 nats and chance explain.

        From either bound: a trunk that folds hides its branches from the upper bound's importance sampler as
        it does from training, and only the lower bound, which knows the truth, falls away from both.
        """
        bounds = [
            (self.entropy_lower, self.entropy_lower_error),
            (self.entropy_upper, self.entropy_upper_error),
        ]
        return any(
            abs(bound - self.entropy_linearized)
            > TOLERANCE_NATS + 2 * math.hypot(error, self.entropy_linearized_error)
            for bound, error in bounds
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON, with the flag."""
        record = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "members"}
        weights = None if self.psis is None else self.psis.to_dict()
        return {**record, "psis": weights, "flagged": self.flagged}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Audit:
        """The inverse of `to_dict`.

        Raises:
            TypeError: A field is missing, or one that it does not have.
            ValueError: A field of another type, or with values that no audit comes to.
        """
        numbers = {name: value for name, value in record.items() if name not in ("flagged", "psis")}
        weights = record.get("psis")
        found = cls(**numbers, psis=None if weights is None else PSIS.from_dict(weights))
        check_types(found)
        found._check_values()
        return found

    def _check_values(self) -> None:
        for quantity in ("elbo", "entropy"):
            lower, upper = (getattr(self, f"{quantity}_{bound}") for bound in ("lower", "upper"))
            if lower - upper > CROSSED_NATS + ROUNDING * abs(upper):
                raise ValueError(f"Got an {quantity} from {lower} to {upper}, expected bounds in order.")
            for name in (f"{quantity}_{kind}" for kind in ("lower", "upper", "linearized")):
                value, error = getattr(self, name), getattr(self, f"{name}_error")
                # The mean of numbers that are not all finite is not, nor is its error.
                if not (error >= 0.0 if math.isfinite(value) else not math.isfinite(error)):
                    raise ValueError(f"Got {name} = {value} ± {error}, expected an error of 0 or more.")
        weighted = self.n_members if self.psis is None else len(self.psis.khat)
        if self.n_members < 1 or self.n_members != weighted:
            raise ValueError(f"Got n_members = {self.n_members}, expected 1 or more, as many as have a k̂.")
        if not 0.0 < self.temperature < math.inf:
            raise ValueError(f"Got temperature = {self.temperature}, expected a positive number.")


@torch.no_grad()
def audit(
    model: BayesianModel,
    hypernetwork: Hypernetwork,
    x: Tensor,
    y: Tensor,
    *,
    draws: int = 256,
    inner: int = 64,
    temperature: float = 1.0,
    seed: int = 0,
) -> Audit:
    """Audit a posterior on its training data (DESIGN section 3).

    Args:
        model: The model that it is a posterior of.
        hypernetwork: The posterior.
        x: All training rows, ``(N, …)``.
        y: Their targets, ``(N,)``.
        draws: Joint draws for the entropy, and weight draws for the expected log joint, per member.
        inner: K, importance draws per joint draw; at least 64.
        temperature: Noted in the result.
        seed: Of all noise.

    Raises:
        TooLarge: The draws need more memory than is free.

    Example:
        >>> from bayeshyper.hypernets import HypernetworkSettings
        >>> from bayeshyper.models import FanInPrior, Gaussian, MLP, Target
        >>> model = BayesianModel(Target(MLP(2, 1)), FanInPrior(), Gaussian(), num_data=4)
        >>> mean_field = HypernetworkSettings(noise_dim=0)
        >>> net = Hypernetwork(torch.zeros(1, model.spec.size), model.prior.scale, mean_field)
        >>> result = audit(model, net, torch.zeros(4, 2), torch.zeros(4), draws=8)
        >>> result.elbo_lower == result.elbo_upper  # a mean-field entropy is exact
        True
    """
    check_draws(draws, hypernetwork.size, instead="ask for fewer")
    generator = torch.Generator().manual_seed(seed)
    members = [hypernetwork.member(index) for index in range(hypernetwork.members)]
    audited = [_audit_member(model, member, x, y, draws, inner, generator) for member in members]
    weights = psis_of([of_member for _, of_member in audited], density_source(members[0], sampled=False))
    return pooled([estimates for estimates, _ in audited], temperature=temperature, psis=weights)


def pooled(parts: Sequence[Estimates], *, temperature: float = 1.0, psis: PSIS | None = None) -> Audit:
    """The audit of a mixture: its members' means, from the estimates of each of them."""
    numbers: dict[str, float] = {}
    for name in parts[0]:
        means, errors = zip(*(part[name] for part in parts), strict=True)
        numbers[name] = sum(means) / len(parts)
        numbers[f"{name}_error"] = math.hypot(*errors) / len(parts)
    alone = [pooled([part], temperature=temperature) for part in parts] if len(parts) > 1 else []
    return Audit(**numbers, n_members=len(parts), temperature=temperature, psis=psis, members=tuple(alone))


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """The mean of estimates ``(n,)`` and its standard error."""
    error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return values.mean().item(), error


def _audit_member(
    model: BayesianModel,
    member: Hypernetwork,
    x: Tensor,
    y: Tensor,
    draws: int,
    inner: int,
    generator: torch.Generator,
) -> tuple[Estimates, Tensor]:
    """The estimates of one restart, and its log importance weights ``(draws,)``."""
    bounds = information_bounds(channel_of(member), draws=draws, inner=inner, generator=generator)
    noise = _noise_entropy(member, bounds.z)
    draw = member.draw(draws, generator=generator)
    weights = draw.weights[0]
    likelihood = log_likelihood(model, weights, x, y)
    joint, joint_error = mean_and_error(likelihood + _expected_log_prior(model, draw))
    estimates: dict[str, tuple[float, float]] = {}
    for name in ("lower", "upper", "linearized"):
        entropy, error = mean_and_error(noise + getattr(bounds, name))
        estimates[f"entropy_{name}"] = entropy, error
        estimates[f"elbo_{name}"] = entropy + joint, math.hypot(error, joint_error)
    log_q = draw_density(member, draw, density_source(member, sampled=False), generator=generator)
    return estimates, likelihood + model.prior().log_prob(weights).double() - log_q


def _noise_entropy(member: Hypernetwork, z: Tensor) -> Tensor:
    """H[q(θ | z)] of each z ``(n, d)``: ``(n,)``, or ``(1,)`` where σ does not vary."""
    features = member.trunk(z.to(member.mean).unsqueeze(0))
    scale = member.unit.double() * member.noise_at(features).double()[0]
    return 0.5 * member.size * math.log(2 * math.pi * math.e) + scale.log().sum(-1)


def _expected_log_prior(model: BayesianModel, draw: WeightDraw) -> Tensor:
    """E_ε[log p(θ)] for each draw of z, ``(draws,)``: less noisy than log p at the draws themselves."""
    weights = draw.weights[0]
    weights.conditional = Conditional(draw.mean, draw.scale)  # type: ignore[attr-defined]
    expected: Tensor = model.prior().log_prob(weights).double()
    del weights.conditional  # type: ignore[attr-defined]
    return expected
