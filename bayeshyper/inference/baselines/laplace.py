r"""The linearised Laplace approximation with the full generalised Gauss–Newton matrix.

Around a maximum a posteriori θ*, the network f(x, θ) ≈ f(x, θ*) + J(x)(θ − θ*) is linear, its posterior

    q(θ) = N(θ*, H⁻¹),   H = P + Σ_n J_nᵀ Λ_n J_n,   Λ_n = −∇²_f log p(y_n | f, φ)

with P the precision of the prior and φ the likelihood's latents (MacKay 1992; Immer et al. 2021). It is the
linearised network that is sampled: the network itself, at weights drawn from q, underfits (on the diabetes
table -5.83 nats per row instead of -5.51). Λ_n has its negative eigenvalues set to 0, of which a likelihood
that is log-concave in f has none.

φ maximises the evidence with its prior, by MacKay's argument: given q, the noise level that explains the rows
has the spread of f added to their errors. Directions that the rows do not determine stay the prior's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bayeshyper.errors import TrainingDiverged
from bayeshyper.inference.baselines.linearized import LinearizedTarget
from bayeshyper.models import BayesianModel

__all__ = ["Laplace"]

# Rows whose Jacobian is held at a time, and rows that the evidence is computed on.
CHUNK, EVIDENCE_ROWS = 256, 2000
# Of the evidence: the most rounds, and the change of φ at which it stands still.
ROUNDS, STILL = 50, 1e-3


class Laplace:
    """The approximation at one weight vector, in float64.

    Args:
        model: The model, whose prior is Normal with given scales; in float64.
        weights: θ* and φ, ``(D,)``.
        chosen: Which of the network's weights are uncertain, as indices ``(C,)``; the others stay at θ*.
        x: All rows that θ* was trained on, ``(N, …)``.
        y: Their targets, ``(N, …)``.

    Attributes:
        target: The linearised network.
        weights: θ* and φ, ``(D,)``.
    """

    def __init__(self, model: BayesianModel, weights: Tensor, chosen: Tensor, x: Tensor, y: Tensor) -> None:
        self.model, self.chosen = model, chosen
        self.weights = weights.detach().double().clone()
        self.x, self.y = x.double(), y.double() if y.is_floating_point() else y
        size = model.target.spec.size
        self.target = LinearizedTarget(model.target, self.weights[:size])
        self._latents = slice(size, model.spec.size)
        self._prior = model.prior.scale[chosen].double().square().reciprocal()

    def precision(self) -> Tensor:
        """H, of the chosen weights, ``(C, C)``."""
        parts = zip(self.x.split(CHUNK), self.y.split(CHUNK), strict=True)
        return self._prior.diag() + sum(self._information(*self._linear(x), y) for x, y in parts)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Weight vectors for the linearised network, ``(S, D)``; φ is the same in all."""
        noise = torch.randn(len(self.chosen), count, generator=generator, dtype=torch.float64)
        draws = self.weights.repeat(count, 1)
        draws[:, self.chosen] += torch.linalg.solve_triangular(
            _root(self.precision()).mT, noise, upper=True
        ).mT
        return draws

    def maximise_evidence(self, generator: torch.Generator) -> Tensor:
        """φ where evidence times prior is highest, ``(L,)``; by some of the rows where they are many."""
        rows = torch.randperm(len(self.x), generator=generator)[:EVIDENCE_ROWS]
        y, share = self.y[rows], len(self.x) / len(rows)
        parts = [self._linear(x) for x in self.x[rows].split(CHUNK)]
        outputs, slopes = (torch.cat(part) for part in zip(*parts, strict=True))
        for _ in range(ROUNDS):
            matrix = self._prior.diag() + share * self._information(outputs, slopes, y)
            solved = torch.linalg.solve_triangular(_root(matrix), slopes.flatten(0, 1).mT, upper=False)
            root = solved.mT.unflatten(0, outputs.shape)  # (N, O, C)
            before = self.weights[self._latents].clone()
            self.weights[self._latents] = self._explain(outputs, root @ root.mT, y, share)
            if bool(((self.weights[self._latents] - before).abs() < STILL).all()):
                break
        return self.weights[self._latents].clone()

    def _explain(self, outputs: Tensor, spread: Tensor, y: Tensor, share: float) -> Tensor:
        """φ that best explains rows of which f is known up to a covariance ``(N, O, O)``."""
        latents = self.weights[self._latents].clone().requires_grad_()
        prior = torch.distributions.Normal(
            self.model.prior.loc[self._latents], self.model.prior.scale[self._latents]
        )
        optimizer = torch.optim.LBFGS([latents], max_iter=20, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            fit, curvature = self._curvature(outputs, y, latents)
            expected = fit.sum() - 0.5 * (spread * curvature).sum()
            total: Tensor = -(share * expected + prior.log_prob(latents).sum()) / len(self.x)
            total.backward()
            return total

        optimizer.step(loss)
        return latents.detach()

    def _linear(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """f ``(N, O)`` and its slopes in the chosen weights ``(N, O, C)``."""
        return self.target(self.target.at.unsqueeze(0), x)[0], self.target.jacobian(x)[..., self.chosen]

    def _information(self, outputs: Tensor, slopes: Tensor, y: Tensor) -> Tensor:
        """Σ_n J_nᵀ Λ_n J_n, ``(C, C)``."""
        _, curvature = self._curvature(outputs, y, self.weights[self._latents])
        values, vectors = torch.linalg.eigh(curvature.detach())
        root = vectors * values.clamp_min(0.0).sqrt().unsqueeze(-2)
        flat = (root.mT @ slopes).flatten(0, 1)
        result: Tensor = flat.mT @ flat
        return result

    def _curvature(self, outputs: Tensor, y: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Each row's log likelihood ``(N,)`` and its negative Hessian in f ``(N, O, O)``."""
        weights = torch.cat([self.weights[: self._latents.start], latents])
        with torch.enable_grad():
            f = outputs.detach().requires_grad_()
            fit = self.model.observe(weights, f).log_prob(y)
            (slope,) = torch.autograd.grad(fit.sum(), f, create_graph=True)
            rows = [
                torch.autograd.grad(one.sum(), f, create_graph=True, materialize_grads=True)[0]
                for one in slope.unbind(-1)
            ]
        return fit, -torch.stack(rows, dim=-2)


def _root(matrix: Tensor) -> Tensor:
    """The Cholesky factor of a precision.

    Raises:
        TrainingDiverged: It is not positive definite.
    """
    root: Tensor
    root, info = torch.linalg.cholesky_ex(matrix)
    if bool(info):
        raise TrainingDiverged("log likelihood", 0)
    return root
