"""Draws of a guide with importance weights, which correct what is nearly the posterior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bayeshyper.autoguide.checks import check_count, read_levels
from bayeshyper.autoguide.model.joint import LogJoint
from bayeshyper.autoguide.model.sites import LatentSites
from bayeshyper.autoguide.posterior.latent import LatentPosterior
from bayeshyper.diagnostics.posterior.psis import MIN_DRAWS, PSIS, smoothed_weights
from bayeshyper.errors import ApproximationWarning, warn
from bayeshyper.memory import check_draws

from .density import LatentDensity

__all__ = ["WeightedDraws", "importance"]

# Log weights that are so far below the largest are 0, as those of draws without density are.
NEGLIGIBLE = 700.0


@dataclass(frozen=True, eq=False)
class WeightedDraws:
    """S draws of a guide with weights p(values, data)/q(values), Pareto-smoothed (Vehtari et al. 2024).

    With them the draws stand for the exact posterior, where k̂ says so (`sentence`): moments and quantiles are
    weighted, and `resample` gives draws without weights.

    Attributes:
        values: ``(S, *shape)`` of each site.
        log_weights: Of the draws, smoothed; their exponentials sum to 1, ``(S,)`` in float64.
        psis: k̂, how many draws the weights amount to, and the threshold.
        log_evidence: log of the mean weight before smoothing, whose own expectation is exactly p(data).
        log_evidence_error: Its standard error.

    Example:
        >>> import pyro, pyro.distributions as dist
        >>> from bayeshyper import AutoHypernetwork
        >>> guide = AutoHypernetwork(lambda: pyro.sample("x", dist.Normal(3.0, 2.0)), noise_dim=0)
        >>> weighted = guide.importance(400)
        >>> weighted.psis.word, round(weighted.log_evidence, 1)
        ('close', 0.0)
        >>> weighted.resample(100)["x"].shape
        torch.Size([100])
    """

    values: dict[str, Tensor]
    log_weights: Tensor
    psis: PSIS
    log_evidence: float
    log_evidence_error: float

    @property
    def weights(self) -> Tensor:
        """They sum to 1, ``(S,)`` in float64."""
        return self.log_weights.exp()

    @property
    def khat(self) -> float:
        """Pareto k̂ of the weights: above ``psis.threshold`` they are not to be used."""
        return self.psis.worst

    @property
    def ess(self) -> float:
        """How many draws the weights amount to, 1/Σ w²."""
        return self.psis.ess[0]

    @property
    def sentence(self) -> str:
        """Whether the weights may be used, in plain words."""
        khat = f"{self.khat:.2f}" if math.isfinite(self.khat) else "infinite"
        found = f"Pareto k̂ is {khat} (threshold {self.psis.threshold:.2f})"
        worth = f"{self.psis.n_draws} draws amount to {self.ess:.0f}"
        if self.psis.word == "far":
            return (
                f"{found}: the guide is too far from the posterior for importance weights, which are not to "
                "be used, nor is what is computed with them. Train the guide for longer, or give it more "
                "room: noise_dim=, hidden=, members=."
            )
        care = " with some care" if self.psis.word == "usable" else ""
        return f"{found}: the weights may be used{care}; with them {worth}."

    def mean(self) -> dict[str, Tensor]:
        """The weighted mean of each number of each site, ``(*shape,)``."""
        return {name: self._mean(values) for name, values in self.values.items()}

    def std(self) -> dict[str, Tensor]:
        """The weighted standard deviation of each number of each site, ``(*shape,)``."""
        mean = self.mean()
        return {name: self._mean((values - mean[name]) ** 2).sqrt() for name, values in self.values.items()}

    def quantiles(self, quantiles: float | Sequence[float] | Tensor) -> dict[str, Tensor]:
        """Weighted quantiles of each number of each site.

        That of level p is the least draw up to which the weights sum to p.

        Args:
            quantiles: Their levels, between 0 and 1.

        Returns:
            ``(Q, *shape)`` of each site; of one level that is a number, ``(*shape,)``.

        Raises:
            ValueError: Levels outside of [0, 1].
        """
        levels = read_levels(quantiles, like=self.weights)
        return {name: self._quantiles(values, levels) for name, values in self.values.items()}

    def resample(self, n: int, *, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Draw n of the draws with replacement, as likely as they are heavy: ``(n, *shape)`` of each site.

        Args:
            n: Not many more than `ess`: the same draws would come again and again.
            generator: Where the choice comes from; None is torch's global generator.
        """
        check_count("n", n, 1)
        chosen = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        return {name: values[chosen] for name, values in self.values.items()}

    def _mean(self, values: Tensor) -> Tensor:
        mean: Tensor = torch.tensordot(self.weights, values.double(), dims=1)
        return mean.to(values)

    def _quantiles(self, values: Tensor, levels: Tensor) -> Tensor:
        flat, order = values.reshape(len(values), -1).sort(dim=0)
        below = self.weights[order].cumsum(0).mT.contiguous()  # (N, S)
        # The last sum may be less than 1 by rounding.
        wanted = levels.reshape(1, -1).expand(len(below), -1).contiguous()
        rank = torch.searchsorted(below, wanted).clamp(max=len(flat) - 1)
        return flat.mT.gather(1, rank).mT.reshape(levels.shape + values.shape[1:])


@torch.no_grad()
def importance(
    posterior: LatentPosterior, sites: LatentSites, log_joint: LogJoint, n: int, *, inner: int, seed: int
) -> WeightedDraws:
    """See `AutoHypernetwork.importance`."""
    check_count("n", n, MIN_DRAWS)  # of fewer k̂ is mostly chance
    check_draws(n, posterior.size, instead="ask for fewer")
    density = LatentDensity(posterior, torch.Generator().manual_seed(seed))
    latents, log_q = density.scored(n, inner)
    ratios = log_joint.at_draws(latents).cpu() - log_q
    if not bool(ratios.max().isfinite()):
        raise ValueError(
            f"Got {ratios.max().item()} for the largest log weight, expected a number: the model's density "
            "is 0 at all draws of the guide, or infinite at one of them. Look at guide.sample_posterior(10)."
        )
    log_weights, khat = smoothed_weights(ratios.clamp_min(ratios.max() - NEGLIGIBLE).numpy())
    ess = float(1.0 / np.exp(2.0 * log_weights).sum())
    psis = PSIS((khat,), (ess,), n, density.source)
    relative = (ratios - ratios.max()).exp()
    weighted = WeightedDraws(
        values=sites.values(latents if sites.rows is None else latents.unsqueeze(1)),
        log_weights=torch.from_numpy(log_weights).to(latents.device),
        psis=psis,
        log_evidence=(relative.mean().log() + ratios.max()).item(),
        log_evidence_error=(relative.std() / relative.mean()).item() / math.sqrt(n),
    )
    if psis.word == "far":
        warn(ApproximationWarning, weighted.sentence)
    return weighted
