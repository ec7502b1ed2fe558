r"""The noise level, measured on rows that were not fitted.

A fit colder than the posterior follows its rows more closely than it will follow new ones, and reads its
noise off what is left: too small. Held-out rows say what it should be. The likelihood's log scale ℓ is given

    q(ℓ) = N(ℓ_m + δ, τ²)      (member m's own fitted ℓ_m)

with the δ and τ under which the mixture's predictive density of the held-out rows is highest, and a prior
that keeps both near 0 where rows are few. A spread τ makes the predictive a scale mixture of Normals, with
the heavy tails of data whose noise is not the same everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bayeshyper.hypernets import MIN_OUTPUT_NOISE, DenseHead, Hypernetwork
from bayeshyper.models import BayesianModel

__all__ = ["NoiseLevel", "measure_noise"]

# Where ℓ − ℓ_m may lie, in steps of 5 %, and δ: from a fifth to four times the fitted noise.
OFFSETS = torch.arange(-2.6, 2.5, 0.05)
SHIFTS = torch.arange(-1.6, 1.5, 0.05)
SPREADS = torch.tensor([0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
SHIFT_SCALE = 0.5
SPREAD_SCALE = 0.3
# In nats: a log likelihood falls by this over one standard error.
ONE_ERROR = 0.5


@dataclass(frozen=True)
class NoiseLevel:
    """What held-out rows say of a likelihood's log scale.

    Args:
        location: ℓ_m + δ, ``(M,)``, or ``(M, K)`` where K numbers per row have a scale each.
        shift: δ, the same for all members.
        spread: τ.
        score: The rows' log predictive density at the likeliest δ and τ, with their prior, in nats.
    """

    location: Tensor
    shift: float
    spread: float
    score: float

    @torch.no_grad()
    def set_in(self, hypernetwork: Hypernetwork, *indices: int) -> None:
        """Make this the posterior of the weights with these K indices, whatever the noise z."""
        columns = self.location.reshape(hypernetwork.members, -1).unbind(1)
        for index, location in zip(indices, columns, strict=True):
            hypernetwork.mean[:, index] = location
            sigma = torch.as_tensor(self.spread) / hypernetwork.unit[index]
            hypernetwork.log_output_noise[:, index] = torch.log(sigma - MIN_OUTPUT_NOISE)
            if isinstance(hypernetwork.head, DenseHead):  # the only one that a measured noise is set in
                hypernetwork.head.forget(index)


@torch.no_grad()
def measure_noise(model: BayesianModel, weights: Tensor, x: Tensor, y: Tensor) -> NoiseLevel:
    """Find δ and τ for draws of M members; they are the same for all scales where there are several.

    Args:
        model: Its likelihood must name the latent that is its log scale (``scale_latent``).
        weights: θ, ``(M, S, D)``.
        x: Held-out rows, ``(N, …)``.
        y: Their targets, ``(N, …)``.

    Raises:
        ValueError: The likelihood has no scale.
    """
    name = model.likelihood.scale_latent
    if name is None:
        raise ValueError(f"Got {model.likelihood}, expected a likelihood with a scale to set.")
    place = model.spec[name].slice
    flat = weights.flatten(0, 1)
    per_offset = []
    for part_x, part_y in zip(x.split(1024), y.split(1024), strict=True):
        outputs = model.outputs(flat, part_x)
        scores = []
        for offset in OFFSETS:
            shifted = flat.clone()
            shifted[:, place] += offset
            log_likelihood = model.observe(shifted, outputs).log_prob(part_y)
            scores.append(torch.logsumexp(log_likelihood, 0) - math.log(len(flat)))
        per_offset.append(torch.stack(scores))
    shift, spread, score = _best(torch.cat(per_offset, dim=1).double().cpu())
    return NoiseLevel(weights[..., place].squeeze(-1).mean(1) + shift, shift, spread, score)


def _best(log_predictive: Tensor) -> tuple[float, float, float]:
    """δ, τ and the highest score, from scores ``(offsets, N)`` at fixed offsets of ℓ.

    τ is the likeliest; of the δ that the rows cannot tell from the likeliest, the widest is taken: too wide
    costs less than too narrow.
    """
    offsets, shifts = OFFSETS.double(), SHIFTS.double()
    highest = log_predictive.amax(0)
    densities = torch.exp(log_predictive - highest)
    scores = []
    for spread in SPREADS.tolist():
        # Row by row the weights of N(δ, τ²) on the offsets' grid, for every δ at once.
        weights = torch.softmax(-0.5 * ((offsets - shifts.unsqueeze(1)) / spread).square(), dim=1)
        fits = (torch.log(weights @ densities) + highest).sum(1)
        prior = -0.5 * ((shifts / SHIFT_SCALE).square() + (spread / SPREAD_SCALE) ** 2)
        scores.append(fits + prior)
    table = torch.stack(scores)
    row = int(table.amax(1).argmax())
    alike = table[row] >= table[row].max() - ONE_ERROR
    return shifts[alike].max().item(), SPREADS[row].item(), table.max().item()
