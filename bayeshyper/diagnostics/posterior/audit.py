"""The audit: the ELBO of a fitted posterior between two bounds, whatever training believed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from bayeshyper.diagnostics.posterior.densities import density_source, draw_density, log_likelihood
from bayeshyper.diagnostics.posterior.psis import MIN_DRAWS, PSIS, pareto_khat
from bayeshyper.hypernets import Hypernetwork, WeightDraw
from bayeshyper.inference import channel_of, information_bounds
from bayeshyper.models import BayesianModel, Conditional

__all__ = ["Audit", "audit"]

# How far from either bound, beyond two standard errors, the linearised entropy is flagged.
TOLERANCE_NATS = 0.5


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
        weights = None if self.psis is None else self.psis.to_dict()
        return {**asdict(self), "psis": weights, "flagged": self.flagged}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Audit:
        """The inverse of `to_dict`."""
        numbers = {name: value for name, value in record.items() if name not in ("flagged", "psis")}
        weights = record.get("psis")
        return cls(**numbers, psis=None if weights is None else PSIS.from_dict(weights))


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
    generator = torch.Generator().manual_seed(seed)
    members = [hypernetwork.member(index) for index in range(hypernetwork.members)]
    audited = [_audit_member(model, member, x, y, draws, inner, generator) for member in members]
    parts = [numbers for numbers, _ in audited]
    ratios = torch.stack([of_member for _, of_member in audited])
    mean: dict[str, Any] = {}
    for name in parts[0]:
        values = [part[name] for part in parts]
        if name.endswith("_error"):
            mean[name] = math.sqrt(sum(value**2 for value in values)) / len(parts)
        else:
            mean[name] = sum(values) / len(parts)
    weights = None
    if draws >= MIN_DRAWS and bool(ratios.isfinite().all()):
        khat, ess = zip(*map(pareto_khat, ratios.numpy()), strict=True)
        weights = PSIS(khat, ess, draws, density_source(members[0], sampled=False))
    return Audit(**mean, n_members=len(parts), temperature=temperature, psis=weights)


def _audit_member(
    model: BayesianModel,
    member: Hypernetwork,
    x: Tensor,
    y: Tensor,
    draws: int,
    inner: int,
    generator: torch.Generator,
) -> tuple[dict[str, float], Tensor]:
    """The numbers of one restart, and its log importance weights ``(draws,)``."""
    scale = member.unit.double() * member.output_noise.double()[0]
    noise_entropy = 0.5 * member.size * math.log(2 * math.pi * math.e) + scale.log().sum().item()
    bounds = information_bounds(channel_of(member), draws=draws, inner=inner, generator=generator)
    draw = member.draw(draws, generator=generator)
    weights = draw.weights[0]
    likelihood = log_likelihood(model, weights, x, y)
    joint, joint_error = _mean_and_error(likelihood + _expected_log_prior(model, draw))
    numbers: dict[str, float] = {}
    for name in ("lower", "upper", "linearized"):
        information, error = _mean_and_error(getattr(bounds, name))
        numbers[f"entropy_{name}"] = noise_entropy + information
        numbers[f"entropy_{name}_error"] = error
        numbers[f"elbo_{name}"] = noise_entropy + information + joint
        numbers[f"elbo_{name}_error"] = math.hypot(error, joint_error)
    log_q = draw_density(member, draw, density_source(member, sampled=False))
    return numbers, likelihood + model.prior().log_prob(weights).double() - log_q


def _expected_log_prior(model: BayesianModel, draw: WeightDraw) -> Tensor:
    """E_ε[log p(θ)] for each draw of z, ``(draws,)``: less noisy than log p at the draws themselves."""
    weights = draw.weights[0]
    weights.conditional = Conditional(draw.mean, draw.scale)  # type: ignore[attr-defined]
    expected: Tensor = model.prior().log_prob(weights).double()
    del weights.conditional  # type: ignore[attr-defined]
    return expected


def _mean_and_error(values: Tensor) -> tuple[float, float]:
    error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return values.mean().item(), error
