"""The importance-weighted hierarchical bound: the audit's idea as something to train with."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, LinearHead, WeightDraw

from .mixture import MixtureEntropy
from .overlap import LinearOverlap, Overlap, overlap_of
from .recognition import Recognition
from .tangent import Tangent, jacobian_of
from .views import NoiseView, StatisticView, WeightView

__all__ = ["HierarchicalEntropy"]

PRIOR_SHARE = 0.02


class HierarchicalEntropy(MixtureEntropy):
    """The mixture bound with a learned τ (IWHVI, Sobolev & Vetrov 2019, arXiv 1905.03290).

        I(θ; z) ≥ −E log 1/(K+1) Σ_{k=0..K} [q(θ | z_k) p(z_k)/τ(z_k | θ)] / q(θ | z_0),   z_1..K ~ τ(z | θ)

    with a Gaussian τ(z | θ) = N(ẑ, P⁻¹), P = I + JᵀMJ, around what a recognition network and a few Newton
    steps make of the weights (`Recognition`), and 2 % of the prior, which keep a bad guess from costing more
    than 4 nats. Where σ varies with z, P is the Fisher information about z (`WeightView`). Where φ is affine
    and σ does not vary, the Gaussian is q(z | θ) itself, and the bound the entropy but for those 2 %,
    whatever K. The recognition network is trained by the same loss: it can only tighten the bound. Unlike the
    linearised entropy it is not fooled by a fold, whose branches τ cannot tell apart; and what one Gaussian
    misses of q(z | θ), it does not credit.

    Args:
        hypernetwork: What it will be asked about.
        inner: K, draws of τ for each draw of θ.
        hidden: Units of the recognition network.
        newton_steps: Newton steps after it.

    Raises:
        ValueError: A head that is not linear in the features.

    Example:
        >>> net = Hypernetwork(torch.zeros(1, 2), torch.ones(2))
        >>> entropy = HierarchicalEntropy(net)
        >>> entropy(net, net.draw(3)).shape
        torch.Size([1, 3])
    """

    estimates = "the entropy, by noises guessed from the weights"
    direction = "lower bound"
    cost = "O(D k²) + O(k³) + O(K k² + d³) a draw"

    def __init__(
        self, hypernetwork: Hypernetwork, *, inner: int = 16, hidden: int = 32, newton_steps: int = 1
    ) -> None:
        super().__init__(hypernetwork)
        if not isinstance(hypernetwork.head, LinearHead):
            raise ValueError(
                f"Got the entropy 'hierarchical' with the head {hypernetwork.settings.head!r}, expected one "
                "that is linear in the features: from k numbers of the weights it guesses their noise."
            )
        if inner < 0:
            raise ValueError(f"Got inner = {inner}, expected 0 or more draws beside the true noise.")
        self.inner = inner
        self.recognition = Recognition(hypernetwork, hidden=hidden, newton_steps=newton_steps)

    def information(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """E[log q(θ | z_0) − log q̂(θ)], draw by draw but for what is chance (`Tangent`), ``(M, R)``."""
        overlap = overlap_of(hypernetwork, draw)
        if not isinstance(overlap, LinearOverlap):
            return -self.log_ratio(overlap, hypernetwork, draw)
        jacobian = jacobian_of(draw)
        curvature = jacobian.mT @ overlap.gram.unsqueeze(1) @ jacobian
        pull = (jacobian.mT @ overlap.noise.unsqueeze(-1)).squeeze(-1)
        return Tangent(curvature, pull, draw.z).chance - self.log_ratio(overlap, hypernetwork, draw)

    def log_weights(self, overlap: Overlap, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """log q(θ | z_k) p(z_k)/τ(z_k | θ) − log q(θ | z_0), ``(M, K + 1, R)``."""
        view: NoiseView
        if isinstance(overlap, LinearOverlap):
            view = StatisticView(hypernetwork, overlap.gram, overlap.statistic, draw.context)
        else:
            view = WeightView(hypernetwork, draw)
        mode, factor = self.recognition(view)
        truth = draw.z.double()
        others = self._guesses(mode, factor, draw.generator)
        overlaps = torch.cat([torch.zeros_like(truth[:, None, :, 0]), overlap.at(others)], dim=1)
        z = torch.cat([truth.unsqueeze(1), others], dim=1)
        xi = (factor.mT.unsqueeze(1) @ (z - mode.unsqueeze(1)).unsqueeze(-1)).squeeze(-1)
        # All densities are Normal, and (2π)^(d/2) cancels.
        log_volume = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1).unsqueeze(1)
        log_prior = -0.5 * z.square().sum(-1)
        log_guess = torch.logaddexp(
            math.log1p(-PRIOR_SHARE) + log_volume - 0.5 * xi.square().sum(-1),
            math.log(PRIOR_SHARE) + log_prior,
        )
        return overlaps + log_prior - log_guess

    def _guesses(self, mode: Tensor, factor: Tensor, generator: torch.Generator | None) -> Tensor:
        """K draws of τ, ``(M, K, R, d)``."""
        shape = (len(mode), self.inner, *mode.shape[1:])
        noise = torch.randn(shape, generator=generator, dtype=mode.dtype, device=mode.device)
        spread = torch.linalg.solve_triangular(factor.mT.unsqueeze(1), noise.unsqueeze(-1), upper=True)
        lot = torch.rand((*shape[:-1], 1), generator=generator, dtype=mode.dtype, device=mode.device)
        return torch.where(lot < PRIOR_SHARE, noise, mode.unsqueeze(1) + spread.squeeze(-1))
