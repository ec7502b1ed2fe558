"""PSIS k̂: whether importance weights could turn the posterior that was fitted into the one that was meant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from bayeshyper._vocabulary import check_types
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.arviz.majors import smooth_weights
from bayeshyper.diagnostics.posterior.densities import (
    DensitySource,
    density_source,
    draw_density,
    log_likelihood,
)
from bayeshyper.errors import DataError
from bayeshyper.hypernets import Hypernetwork
from bayeshyper.memory import check_draws
from bayeshyper.models import BayesianModel

__all__ = ["PSIS", "pareto_khat", "psis", "psis_of", "smoothed_weights"]

# Below this many draws, a fifth of which is the tail, k̂ itself is mostly chance.
MIN_DRAWS = 50
# Log weights that differ by less are equal to the rounding of their sums, and have no tail to fit.
ROUNDING_NATS = 1e-6


@dataclass(frozen=True)
class PSIS:
    """Pareto k̂ of the importance weights p(θ, y)/q(θ), for each restart alone.

    k̂ says how heavy the tail of the weights is: they have 1/k̂ finite moments (Yao et al. 2018; Vehtari et
    al. 2024). Up to the threshold, weighted draws stand for the exact posterior. Beyond it they do not, and
    with hundreds of weights that is the rule even for a good approximation, since k̂ looks at all weights
    jointly: the predictions can still be good, which calibration on held-out rows says.

    Attributes:
        khat: Of each restart; infinite where fewer than five weights make up the tail.
        ess: How many draws the smoothed weights of each restart amount to, 1/Σ w².
        n_draws: S, of each restart.
        source: Where log q comes from; unless it is exact, k̂ is indicative.
    """

    khat: tuple[float, ...]
    ess: tuple[float, ...]
    n_draws: int
    source: DensitySource

    @property
    def worst(self) -> float:
        """The largest k̂."""
        return max(self.khat)

    @property
    def threshold(self) -> float:
        """min(1 − 1/log₁₀ S, 0.7): above it, so many draws do not do (Vehtari et al. 2024)."""
        return min(1.0 - 1.0 / math.log10(self.n_draws), 0.7)

    @property
    def word(self) -> Literal["close", "usable", "far"]:
        """``"close"`` up to 0.5, ``"usable"`` up to the threshold, ``"far"`` beyond it."""
        if self.worst > self.threshold:
            return "far"
        return "usable" if self.worst > 0.5 else "close"

    @property
    def sentence(self) -> str:
        """What it means, in plain words."""
        where = "" if len(self.khat) == 1 else f" in the worst of {len(self.khat)} restarts"
        value = (
            f"Pareto k̂ is {self.worst:.2f}{where}" if math.isfinite(self.worst) else "Pareto k̂ is infinite"
        )
        value += f" (log q: {self.source}; threshold {self.threshold:.2f})"
        if self.word == "far":
            return (
                f"{value}: the weights' joint posterior differs from the exact one too much for importance "
                "re-weighting, which is not to be used. In many dimensions this is almost always so, and the "
                "predictions can still be good: calibration on held-out rows says whether they are."
            )
        if self.word == "usable":
            return f"{value}: the posterior is near enough that importance weights could correct it."
        return f"{value}: the posterior is close to the exact one."

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON, with threshold and word; an infinite k̂ is None."""
        khat = [value if math.isfinite(value) else None for value in self.khat]
        record = {**asdict(self), "khat": khat, "ess": list(self.ess)}
        return {**record, "threshold": self.threshold, "word": self.word}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> PSIS:
        """The inverse of `to_dict`.

        Raises:
            KeyError, TypeError: A field is missing, or no list where it should be one.
            ValueError: A field of another type, or with values that no weights have.
        """
        khat = tuple(math.inf if value is None else value for value in record["khat"])
        found = cls(khat, tuple(record["ess"]), record["n_draws"], record["source"])
        check_types(found)
        if found.n_draws < MIN_DRAWS or not 0 < len(found.khat) == len(found.ess):
            raise ValueError(
                f"Got {len(found.khat)} k̂ and {len(found.ess)} effective sizes of {found.n_draws} draws, "
                f"expected one of each per restart, and {MIN_DRAWS} draws or more."
            )
        # Rounded, equal weights amount to a little more than S draws.
        if not all(0.0 < size <= 1.001 * found.n_draws for size in found.ess) or any(
            not value > -math.inf for value in found.khat
        ):
            raise ValueError(f"Got k̂ = {found.khat} and ess = {found.ess}, which no weights have.")
        return found


def pareto_khat(log_weights: ArrayLike) -> tuple[float, float]:
    """k̂ of log importance weights ``(S,)``, and the effective number of draws after smoothing.

    Equal weights have no tail: k̂ is 0 and all draws count.

    Raises:
        DataError: Fewer than 50 draws, or log weights that are NaN or infinite.

    Example:
        >>> khat, ess = pareto_khat(np.zeros(100))
        >>> khat, round(ess)
        (0.0, 100)
    """
    smoothed, khat = smoothed_weights(log_weights)
    return khat, float(1.0 / np.exp(2.0 * smoothed).sum())


def smoothed_weights(log_weights: ArrayLike) -> tuple[Floats, float]:
    """The logs of Pareto-smoothed weights that sum to 1, ``(S,)``, and k̂; as `pareto_khat` has them."""
    values = np.array(log_weights, dtype=np.float64)
    if values.ndim != 1 or len(values) < MIN_DRAWS:
        raise DataError(
            f"Log weights must be one number per draw, at least {MIN_DRAWS} of them: got shape "
            f"{values.shape}. Draw more; k̂ is fitted to the largest fifth alone."
        )
    if not np.isfinite(values).all():
        raise DataError(
            f"{int((~np.isfinite(values)).sum())} of {len(values)} log weights are NaN or infinite: the log "
            "likelihood of some draw is. Look at the rows that it is not finite on."
        )
    if np.ptp(values) < ROUNDING_NATS * max(1.0, float(np.abs(values).max()) ** 0.5):
        return np.full(len(values), -math.log(len(values))), 0.0
    smoothed, khat = smooth_weights(values)
    return smoothed, math.inf if math.isnan(khat) else khat


def psis_of(log_weights: Sequence[Tensor], source: DensitySource) -> PSIS | None:
    """The PSIS of log weights ``(S,)`` of each restart; None where they are too few, or not all finite."""
    ratios = torch.stack(list(log_weights))
    if ratios.shape[1] < MIN_DRAWS or not bool(ratios.isfinite().all()):
        return None
    khat, ess = zip(*map(pareto_khat, ratios.numpy()), strict=True)
    return PSIS(khat, ess, ratios.shape[1], source)


@torch.no_grad()
def psis(
    model: BayesianModel,
    hypernetwork: Hypernetwork,
    x: Tensor,
    y: Tensor,
    *,
    draws: int = 1000,
    inner: int = 64,
    source: Literal["best", "linearised"] = "best",
    seed: int = 0,
) -> PSIS:
    """Compare each restart with the exact posterior, by importance weights on fresh draws.

    A restart is compared alone: it is meant to be one mode, so the mixture's weights would say less of it.
    The exact posterior is that at full KL weight, whatever temperature it was trained at.

    Args:
        model: The model that it is a posterior of.
        hypernetwork: The posterior.
        x: All training rows, ``(N, …)``.
        y: Their targets, in the units that the likelihood sees.
        draws: S, of each restart.
        inner: Importance draws of z for each θ, where log q has no closed form.
        source: ``"best"``: exact, else importance-sampled. ``"linearised"``: exact, else by the tangent at
            each draw, which is quicker.
        seed: Of all noise.

    Raises:
        DataError: Fewer than 50 draws, or a log likelihood that is NaN or infinite.
        TooLarge: The draws need more memory than is free.

    Example:
        >>> from bayeshyper.hypernets import HypernetworkSettings
        >>> from bayeshyper.models import FanInPrior, Gaussian, MLP, Target
        >>> model = BayesianModel(Target(MLP(2, 1)), FanInPrior(), Gaussian(), num_data=4)
        >>> mean_field = HypernetworkSettings(noise_dim=0)
        >>> net = Hypernetwork(torch.zeros(1, model.spec.size), model.prior.scale, mean_field)
        >>> psis(model, net, torch.zeros(4, 2), torch.zeros(4), draws=64).source
        'exact'
    """
    check_draws(draws, hypernetwork.size, instead="ask for fewer")
    generator = torch.Generator().manual_seed(seed)
    members = [hypernetwork.member(index) for index in range(hypernetwork.members)]
    named = density_source(members[0], sampled=source == "best")
    found = []
    for member in members:
        draw = member.draw(draws, generator=generator)
        weights = draw.weights[0]
        log_p = log_likelihood(model, weights, x, y) + model.prior().log_prob(weights).double()
        log_q = draw_density(member, draw, named, inner=inner, generator=generator)
        found.append(pareto_khat((log_p - log_q).numpy()))
    return PSIS(tuple(khat for khat, _ in found), tuple(ess for _, ess in found), draws, named)
