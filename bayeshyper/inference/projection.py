r"""A hypernetwork that starts at a Gaussian: the widest directions in z, the rest in the output noise.

For a Gaussian N(μ, P⁻¹) in prior units, the diagonal Gaussian nearest in KL(q ‖ p) has σ_i² = 1/P_ii. In
units of that σ the precision has a unit diagonal; let its eigenpairs be (λ_j, v_j). Where λ_j < 1, weights
are correlated: along v_j the Gaussian's variance is 1/λ_j, of which the diagonal has 1. The hypernetwork's
d noise values take the d smallest,

    A_z = σ ∘ [v_1 √(1/λ_1 − 1), …, v_d √(1/λ_d − 1)],

so that along each of them its variance is the Gaussian's. The features of the trunk's MLP start at random
and small beside σ: what they bend is for training to say.
"""

from __future__ import annotations

import math

import torch
from scipy.linalg import eigh
from torch import Tensor

from bayeshyper.hypernets import MIN_OUTPUT_NOISE, DenseHead, Hypernetwork

from .natural import NaturalGaussian

__all__ = ["start_from_gaussian"]

# Standard deviation that the MLP features give each weight at the start, as a share of its σ.
BEND = 0.1
# No direction starts wider than this many σ: the smallest eigenvalues are rounding.
WIDEST = 100.0


@torch.no_grad()
def start_from_gaussian(
    hypernetwork: Hypernetwork, gaussian: NaturalGaussian, generator: torch.Generator | None = None
) -> None:
    """Set μ, σ and A of every member to its Gaussian, as nearly as d directions allow.

    Raises:
        ValueError: A hypernetwork that does not store all of them weight by weight.
    """
    head = hypernetwork.head
    if not isinstance(head, DenseHead) or not hypernetwork.stored_whole:
        raise ValueError(
            f"Got {hypernetwork.settings.head!r} for head, expected 'dense' with a mean of its own."
        )
    precision = gaussian.precision.double() / gaussian.temperature
    sigma = precision.diagonal(dim1=-2, dim2=-1).rsqrt().clamp(2 * MIN_OUTPUT_NOISE, 1.0)
    hypernetwork.mean.copy_(gaussian.weights)
    hypernetwork.log_output_noise.copy_(torch.log(sigma - MIN_OUTPUT_NOISE))
    noise_dim, features = hypernetwork.trunk.noise_dim, hypernetwork.trunk.features
    if not features:
        return
    bent = features - noise_dim
    shape = (*sigma.shape, bent)
    bends = torch.randn(shape, generator=generator, dtype=sigma.dtype, device=sigma.device)
    bends = bends * (BEND / math.sqrt(max(bent, 1)))
    matrix = torch.cat([bends, _directions(precision, sigma, noise_dim)], dim=-1)
    head.start_at(matrix * sigma.unsqueeze(-1))


def _directions(precision: Tensor, sigma: Tensor, count: int) -> Tensor:
    """v_j √(1/λ_j − 1) for the smallest λ_j, ``(M, D, count)``; zeros where there are no more directions."""
    found = min(count, sigma.shape[-1])
    if not found:
        return precision.new_zeros(*sigma.shape, count)
    scaled = (precision * sigma.unsqueeze(-1) * sigma.unsqueeze(-2)).cpu().numpy()
    # SciPy's finds just these, in a third of the time that all of them take.
    pairs = [eigh(matrix, subset_by_index=[0, found - 1]) for matrix in scaled]
    values = torch.stack([torch.from_numpy(value) for value, _ in pairs]).to(precision)
    vectors = torch.stack([torch.from_numpy(vector) for _, vector in pairs]).to(precision)
    extra = (1.0 / values.clamp(min=WIDEST**-2) - 1.0).clamp(min=0.0).sqrt()
    return torch.nn.functional.pad(vectors * extra.unsqueeze(-2), (0, count - found))
