"""Bounds on the entropy that see q as what it is, a mixture over its noise z."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, WeightDraw

from .estimator import Entropy, conditional_log_density
from .overlap import Overlap, overlap_of

__all__ = ["MixtureEntropy"]


class MixtureEntropy(Entropy):
    """log q(θ) from above, by an average over K + 1 noises, the true one among them.

        log q(θ) ≤ E log q̂(θ),   q̂ = 1/(K+1) Σ_{k=0..K} q(θ | z_k) p(z_k)/τ(z_k | θ)

    in expectation over draws, with z_0 the true noise and z_1..K ~ τ(z | θ), for any τ that does not know z_0
    (Sobolev & Vetrov 2019, arXiv 1905.03290): a lower bound on the entropy, which rises with K. Counting all
    K + 1 noises in, q̂ Π_k τ(z_k | θ) is a density, so that importance weights p/q̂ are unbiased as well.
    Subclasses choose τ by giving `log_weights`.
    """

    pointwise = True

    def log_weights(self, overlap: Overlap, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """log of q(θ | z_k) p(z_k)/(τ(z_k | θ) q(θ | z_0)), ``(M, K + 1, R)``, the true noise's first."""
        raise NotImplementedError(f"{type(self).__name__} must define log_weights(overlap, …).")

    def log_ratio(self, overlap: Overlap, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """log q̂(θ) − log q(θ | z_0), ``(M, R)``."""
        log_weights = self.log_weights(overlap, hypernetwork, draw)
        return torch.logsumexp(log_weights, dim=1) - math.log(log_weights.shape[1])

    def information(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """E[log q(θ | z_0) − log q̂(θ)], draw by draw, ``(M, R)``."""
        return -self.log_ratio(overlap_of(hypernetwork, draw), hypernetwork, draw)

    def log_density(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """log q̂(θ) at each draw, ``(M, R)``."""
        density = conditional_log_density(hypernetwork, draw)
        if hypernetwork.trunk.noise_dim == 0:
            return density
        return density + self.log_ratio(overlap_of(hypernetwork, draw), hypernetwork, draw)
