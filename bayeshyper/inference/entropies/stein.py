"""The spectral Stein gradient estimator: the entropy's gradient from draws alone, without a value."""

from __future__ import annotations

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, WeightDraw

from .estimator import Entropy
from .linearized import LinearizedEntropy

__all__ = ["SteinEntropy", "stein_score"]

LEAST_DRAWS = 8


class SteinEntropy(Entropy):
    """The gradient of the entropy by an estimated score of q (SSGE, Shi et al. 2018, arXiv 1806.02925).

        ∇H[q] = −E[ĝ(θ)ᵀ ∂θ],   ĝ ≈ ∇_θ log q(θ)

    There is no value: the number that is *shown* is the linearised entropy's, while the gradient is that of
    −ĝ(θ)ᵀθ with ĝ held fixed. The estimated score lies in the span of the draws that it is made from: of the
    D directions that noise pushes weights in, a few dozen draws know a few dozen, so that in high dimension
    hardly any of the entropy's pull is felt, and the posterior collapses.

    Args:
        hypernetwork: What it will be asked about.
        draws: Weight draws that a score is made from, those of the step among them.
        share: How much of the kernel's trace the eigenvalues that are kept must hold.

    Raises:
        ValueError: Fewer draws than 8 say nothing of a score.

    Example:
        >>> net = Hypernetwork(torch.zeros(1, 2), torch.ones(2))
        >>> SteinEntropy(net, draws=16)(net, net.draw(4)).shape
        torch.Size([1, 4])
    """

    estimates = "the gradient alone; the value shown is the linearised entropy"
    direction = "no bound: biased, and weak where D exceeds the draws"
    cost = "O(D k²) + O(n² D + n³) for n draws"

    def __init__(self, hypernetwork: Hypernetwork, *, draws: int = 32, share: float = 0.99) -> None:
        super().__init__(hypernetwork)
        if draws < LEAST_DRAWS:
            raise ValueError(
                f"Got draws = {draws}, expected {LEAST_DRAWS} or more: a score is made from the differences "
                "between draws."
            )
        if not 0 < share <= 1:
            raise ValueError(f"Got share = {share}, expected a share above 0, and 1 at most.")
        self.draws = draws
        self.share = share
        self.shown = LinearizedEntropy(hypernetwork)

    def information(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """The linearised information, ``(M, R)``; the gradient does not come this way."""
        return self.shown.information(hypernetwork, draw)

    def forward(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """The linearised entropy's value with the score's gradient, ``(M, R)``."""
        with torch.no_grad():
            shown = super().forward(hypernetwork, draw)
            missing = self.draws - draw.weights.shape[1]
            points = draw.weights
            if missing > 0:
                more = hypernetwork.draw(missing, generator=draw.generator, with_jacobian=False)
                points = torch.cat([points, more.weights], dim=1)
            centred = (points - hypernetwork.mean.unsqueeze(1)) / hypernetwork.unit
            score = stein_score(centred, share=self.share)[:, : draw.weights.shape[1]] / hypernetwork.unit
        pull = -(score * draw.weights).sum(-1)
        return shown + (pull - pull.detach())


def stein_score(points: Tensor, *, share: float = 0.99) -> Tensor:
    r"""∇ log q at n draws of q, ``(M, n, D)`` for ``(M, n, D)``, by Stein's identity (arXiv 1806.02925).

    With the kernel K_ab = exp(−‖x_a − x_b‖²/2ℓ²), ℓ the median distance, and its eigenpairs (λ_j, u_j), the
    score's coefficients in Nyström's eigenfunctions are their mean gradients, −1/n Σ_a ∇ψ_j(x_a). At the
    draws themselves it all comes down to

        ĝ = −U_J Λ_J⁻¹ U_Jᵀ (diag(K1) − K) X / ℓ²

    with the J widest eigenpairs, the fewest whose eigenvalues hold the given share of their sum.

    Example:
        >>> x = torch.linspace(-2, 2, 41).reshape(1, 41, 1)  # even density: no slope in the middle
        >>> bool(stein_score(x)[0, 20].abs() < 1e-3)
        True
    """
    n = points.shape[1]
    x = points.double()
    distance = torch.cdist(x, x)
    rows, columns = torch.triu_indices(n, n, offset=1, device=x.device)
    square_length = distance[:, rows, columns].median(dim=1).values.square()[:, None, None]
    kernel = torch.exp(-0.5 * distance.square() / square_length)
    values, vectors = torch.linalg.eigh(kernel)
    values, vectors = values.flip(-1), vectors.flip(-1)
    before = values.cumsum(-1) - values
    kept = before < share * values.sum(-1, keepdim=True)
    inverse = torch.where(kept, 1.0 / values, 0.0)
    slopes = (kernel.sum(-1, keepdim=True) * x - kernel @ x) / square_length
    score: Tensor = -(vectors * inverse.unsqueeze(1)) @ (vectors.mT @ slopes)
    return score.to(points.dtype)
