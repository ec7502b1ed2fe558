"""Has the posterior collapsed: does the noise z move the weights, and along how many directions?"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from bayeshyper.diagnostics.posterior.audit import Audit
from bayeshyper.diagnostics.posterior.densities import density_source
from bayeshyper.errors import DataError
from bayeshyper.hypernets import Hypernetwork
from bayeshyper.memory import check_draws

__all__ = ["Collapse", "collapse"]

# Below these, z moves nothing to speak of: share of the weights' variance, and nats.
LEAST_SHARE = 0.01
LEAST_NATS = 0.5
# A tensor whose weights are spread so, in units of its prior: data said nothing, or next to everything.
AS_THE_PRIOR = 0.95
AS_A_POINT = 1e-3


@dataclass(frozen=True)
class Collapse:
    """What the noise z does to the weights, as means over the restarts.

    The effective rank is the participation ratio (Σ λ)²/Σ λ² of the eigenvalues λ of E_z[GᵀΣ⁻¹G], G being
    the Jacobian of the weights by z in units of the prior and Σ = diag(σ²) (Roy and Vetterli 2007 name the
    idea): r where z moves the weights along r directions equally.

    The entropy of the weights is the sum of σ's part and I(θ; z). A differential entropy can be negative, and
    has no shares; the weights' variance has.

    Attributes:
        noise_dim: d, the dimensions of z.
        spread: For each tensor, the median standard deviation of its weights over the prior's.
        variance_share: What part of the weights' variance, in units of the prior, is z's and not σ's.
        noise_entropy: σ's part of the entropy in nats, weights in units of the prior.
        information: I(θ; z) in nats: z's part.
        information_source: ``"exact"``, ``"audit, lower bound"`` or ``"linearised"``.
        effective_rank: Along how many directions z moves the weights; 0 where it moves none.
    """

    noise_dim: int
    spread: dict[str, float]
    variance_share: float
    noise_entropy: float
    information: float
    information_source: str
    effective_rank: float

    @property
    def flags(self) -> tuple[str, ...]:
        """What is unusual, of ``"noise"``, ``"rank"``, ``"prior"`` and ``"point"``; `sentences` explains."""
        found = []
        if self.noise_dim and self.variance_share < LEAST_SHARE and self.information < LEAST_NATS:
            found.append("noise")
        elif self.noise_dim >= 4 and self.effective_rank < 1.5:
            found.append("rank")
        if self.spread and min(self.spread.values()) > AS_THE_PRIOR:
            found.append("prior")
        if self.spread and max(self.spread.values()) < AS_A_POINT:
            found.append("point")
        return tuple(found)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, in plain words."""
        said = {
            "noise": "The noise z moves nothing: the posterior is mean-field.",
            "rank": f"The noise z has {self.noise_dim} dimensions and moves the weights along one direction.",
            "prior": "Every tensor's weights are as uncertain as their prior: the data said nothing of them.",
            "point": "Every tensor's weights are next to points: the posterior is no wider than one network.",
        }
        first: tuple[str, ...] = ()
        if not self.noise_dim:
            first = ("There is no noise z that could collapse: the posterior is mean-field by choice.",)
        elif "noise" not in self.flags:
            first = (
                f"The noise z makes {self.variance_share:.0%} of the weights' variance, along about "
                f"{self.effective_rank:.1f} of {self.noise_dim} directions, and "
                f"{self.information:.1f} nats of the entropy ({self.information_source}).",
            )
        return (*first, *(said[flag] for flag in self.flags))

    @property
    def alarm(self) -> str | None:
        """What is unusual, with what was measured and what to do; None where nothing is."""
        if not self.flags:
            return None
        spread = self.spread.values()
        said = {
            "noise": f"the noise z makes {self.variance_share:.1%} of the weights' variance and "
            f"{self.information:.2f} nats of their entropy, so that the posterior is mean-field. Train "
            "longer (optimizer.steps), or take the model mean-field, which costs less",
            "rank": f"the noise z has {self.noise_dim} dimensions and moves the weights along "
            f"{self.effective_rank:.1f} directions. Train longer (optimizer.steps), or set "
            "hypernetwork.noise_dim to 1",
            "prior": f"every tensor's weights spread at least {min(spread, default=0.0):.2f} times as wide "
            "as their prior, so that the data said nothing of them. See whether the columns can tell of the "
            "target, and try fewer weights (target.hidden)",
            "point": f"every tensor's weights spread at most {max(spread, default=0.0):.1g} times as wide as "
            "their prior, so that it is no wider than one network. Set kl.temperature to 1, and leave the "
            "hypernetwork as the recipe has it",
        }
        return f"The posterior has collapsed: {'; '.join(said[flag] for flag in self.flags)}."

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON, with flags and sentences."""
        return {**asdict(self), "flags": list(self.flags), "sentences": list(self.sentences)}


@torch.no_grad()
def collapse(
    hypernetwork: Hypernetwork, *, draws: int = 64, audit: Audit | None = None, seed: int = 0
) -> Collapse:
    """Look at what the noise z moves, for any head.

    Args:
        hypernetwork: The posterior.
        draws: z for each restart, at least 2; the Jacobian is taken at 16 of them at most.
        audit: An audit of it, whose lower bound on the entropy tells I(θ; z); else the linearised one does.
        seed: Of the noise.

    Raises:
        DataError: Fewer than two draws, which have no spread.
        TooLarge: The draws need more memory than is free.

    Example:
        >>> from bayeshyper.hypernets import HypernetworkSettings
        >>> net = Hypernetwork(torch.zeros(1, 10), torch.ones(10), HypernetworkSettings(noise_dim=0))
        >>> collapse(net).sentences[0]
        'There is no noise z that could collapse: the posterior is mean-field by choice.'
    """
    if draws < 2:
        raise DataError(f"Got draws = {draws}, expected at least 2: one draw has no spread.")
    check_draws(draws, hypernetwork.trunk.noise_dim, instead="ask for fewer")
    generator = torch.Generator().manual_seed(seed)
    parts = [_of_member(hypernetwork.member(i), draws, generator) for i in range(hypernetwork.members)]
    numbers: dict[str, Any] = {
        name: _mean([getattr(part, name) for part in parts])
        for name in ("variance_share", "noise_entropy", "information", "effective_rank")
    }
    if audit is not None and hypernetwork.trunk.noise_dim:
        log_units = hypernetwork.unit.double().log().sum().item()
        information = audit.entropy_lower - log_units - numbers["noise_entropy"]
        numbers |= {"information": max(information, 0.0), "information_source": "audit, lower bound"}
    spread = {name: _mean([part.spread[name] for part in parts]) for name in parts[0].spread}
    named = {"information_source": parts[0].information_source, **numbers}
    return Collapse(noise_dim=hypernetwork.trunk.noise_dim, spread=spread, **named)


def _of_member(member: Hypernetwork, draws: int, generator: torch.Generator) -> Collapse:
    d = member.trunk.noise_dim
    sigma = member.output_noise[0].double()
    noise_entropy = 0.5 * member.size * math.log(2 * math.pi * math.e) + sigma.log().sum().item()
    between = torch.zeros_like(sigma)
    rank = information = 0.0
    if d:
        z = torch.randn(1, draws, d, generator=generator, dtype=member.mean.dtype)
        between = _variance(member, z)
        curvatures = torch.stack([_curvature(member, part) for part in z[:, :16].split(1, dim=1)])
        values = torch.linalg.eigvalsh(curvatures.mean(0)).clamp_min(0.0)
        rank = (values.sum().square() / values.square().sum().clamp_min(1e-300)).item()
        identity = torch.eye(d, dtype=torch.float64)
        information = 0.5 * torch.logdet(identity + curvatures).mean().item()
    spread = (between + sigma.square()).sqrt()
    return Collapse(
        noise_dim=d,
        spread={
            piece.name: part.median().item()
            for piece, part in zip(member.spec, member.spec.split(spread), strict=True)
            if piece.size
        },
        variance_share=(between.sum() / (between + sigma.square()).sum()).item(),
        noise_entropy=noise_entropy,
        information=information,
        information_source=density_source(member, sampled=False),
        effective_rank=rank,
    )


def _variance(member: Hypernetwork, z: Tensor) -> Tensor:
    """The variance of the weights' mean over z in prior units, ``(D,)``; a few draws are held at a time."""
    total = squares = torch.zeros(member.size, dtype=torch.float64)
    center = member.offsets(member.trunk(torch.zeros_like(z[:, :1])))[0, 0].double()
    for part in z.split(4, dim=1):
        moved = member.offsets(member.trunk(part))[0].double() - center
        total, squares = total + moved.sum(0), squares + moved.square().sum(0)
    draws = z.shape[1]
    return ((squares - total.square() / draws) / (draws - 1)).clamp_min(0.0)


def _curvature(member: Hypernetwork, z: Tensor) -> Tensor:
    """GᵀΣ⁻¹G at one z, ``(d, d)`` in float64."""
    features, jacobian = member.trunk.with_jacobian(z)
    return member.curvature(features, jacobian)[0, 0]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
