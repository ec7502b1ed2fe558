"""The bound by the smallest singular value, for noise of so many dimensions that none can be left out."""

from __future__ import annotations

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, WeightDraw

from .estimator import Entropy
from .tangent import jacobian_of

__all__ = ["SmallestSingularValueEntropy"]


class SmallestSingularValueEntropy(Entropy):
    """A floor under the linearised entropy (LIVI, Uppal et al. 2023, arXiv 2310.06643).

        ½ logdet(I_d + JᵀMJ) ≥ d/2·log(1 + λ_min(JᵀMJ))

    with equality where all of z's directions move the weights equally far. Its gradient sees one direction
    alone, and a direction that moves no weight makes it 0: then nothing of I(θ; z) is credited. LIVI finds
    λ_min iteratively, where d is in the thousands; here JᵀMJ is d × d, and is taken apart.

    Example:
        >>> from bayeshyper.inference import linearized_entropy
        >>> net = Hypernetwork(torch.zeros(1, 2), torch.ones(2))
        >>> draw = net.draw(3)
        >>> bool((SmallestSingularValueEntropy(net)(net, draw) <= linearized_entropy(net, draw)).all())
        True
    """

    estimates = "the linearised entropy, by its least determined direction"
    direction = "below the linearised"
    cost = "O(D k²) + O(d³) a draw"

    def information(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """d/2·log(1 + λ_min), ``(M, R)``."""
        jacobian = jacobian_of(draw)
        inner = hypernetwork.curvature(draw.features, jacobian)
        smallest = torch.linalg.eigvalsh(inner)[..., 0].clamp_min(0.0)
        return 0.5 * jacobian.shape[-1] * torch.log1p(smallest)
