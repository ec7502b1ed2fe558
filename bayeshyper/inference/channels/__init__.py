"""The density of the implicit posterior as an integral over its noise z (DESIGN section 3, "Audit").

With u = (θ − μ)/s, Σ = diag(σ²) and M = AᵀΣ⁻¹A, the k numbers t = AᵀΣ⁻¹u are sufficient for z:

    log q(θ) = −D/2·log 2π − Σ log(s_i σ_i) − ½‖Σ^-½ u‖² + log ∫ N(z; 0, I) exp(tᵀφ(z) − ½ φ(z)ᵀMφ(z)) dz

so the density of a D-dimensional vector is a d-dimensional integral, for any A and k. Written with the
factor M = BᵀB and y = B⁺ᵀt, the integrand's exponent is yᵀBφ − ½‖Bφ‖², and a posterior draw has
y = Bφ(z) + n with n ~ N(0, I_r): a *channel* from z to y, in which D no longer occurs (`LatentChannel`). The
entropy is

    H[q] = D/2·log 2πe + Σ log(s_i σ_i) + I(θ; z),     I(θ; z) = I(y; z)

and the mutual information is what the bounds are on.

Where σ varies with z, or the head is not linear in the features, there is no such t; but the weights
themselves are a channel, y = Σ^-½ u, in D numbers (`WeightChannel`, `SubspaceChannel`).
"""

from __future__ import annotations

from bayeshyper.hypernets import Hypernetwork, LinearHead

from .channel import Channel
from .latent import LatentChannel
from .sheet import Sheet
from .subspace import SubspaceChannel
from .weights import WeightChannel

__all__ = ["Channel", "LatentChannel", "Sheet", "SubspaceChannel", "WeightChannel", "channel_of"]


def channel_of(member: Hypernetwork) -> Channel:
    """The channel in the fewest numbers that a hypernetwork with one member allows.

    Raises:
        ValueError: More than one member.
    """
    if member.members != 1:
        raise ValueError(f"Got {member.members} members, expected one; take hypernetwork.member(i).")
    if member.varying is not None:
        return WeightChannel(member)
    if isinstance(member.head, LinearHead):
        return LatentChannel.of(member)
    return SubspaceChannel(member)
