"""The semi-implicit bound: other noises from the prior."""

from __future__ import annotations

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, WeightDraw

from .mixture import MixtureEntropy
from .overlap import Overlap

__all__ = ["SemiImplicitEntropy"]


class SemiImplicitEntropy(MixtureEntropy):
    """The mixture bound with τ = p(z) (SIVI, Yin & Zhou 2018, arXiv 1805.11183).

        I(θ; z) ≥ −E log 1/(K+1) Σ_{k=0..K} q(θ | z_k)/q(θ | z_0),   z_1..K ~ N(0, I)

    It credits at most log(K + 1) nats, since the true noise's own term is 1: a network's weights tell tens to
    hundreds of nats of their noise, and the bound's gradient is gone long before. For a head that is not
    linear in the features, each of the K noises costs D numbers a draw, and not k².

    Args:
        hypernetwork: What it will be asked about.
        inner: K, noises from the prior, shared by a step's draws.

    Example:
        >>> import math
        >>> net = Hypernetwork(torch.zeros(1, 2), torch.ones(2))
        >>> entropy = SemiImplicitEntropy(net, inner=9)
        >>> bool((entropy.information(net, net.draw(100)) <= math.log(10)).all())
        True
    """

    estimates = "the entropy, by noises from the prior"
    direction = "lower bound, log(K + 1) nats at most"
    cost = "O(D k²) + O(K k²) a draw"

    def __init__(self, hypernetwork: Hypernetwork, *, inner: int = 64) -> None:
        super().__init__(hypernetwork)
        if inner < 1:
            raise ValueError(f"Got inner = {inner}, expected at least 1 noise from the prior.")
        self.inner = inner

    def log_weights(self, overlap: Overlap, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """The overlaps, and 0 for the true noise: ``(M, K + 1, R)``."""
        shape = (hypernetwork.members, self.inner, 1, draw.z.shape[-1])
        z = torch.randn(shape, generator=draw.generator, dtype=draw.z.dtype, device=draw.z.device)
        others = overlap.at(z)
        return torch.cat([torch.zeros_like(others[:, :1]), others], dim=1)
