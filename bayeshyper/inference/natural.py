r"""Natural gradients: a Gaussian with a full precision matrix per member, to grow the posterior from.

    q_m(u) = N(μ_m, T Λ_m⁻¹),   u = (θ − loc)/s  in units of the prior's scale

maximises E_q[log p(y | θ)] − T KL(q ‖ prior) at temperature T. With θ ~ q, a batch of B of the N rows, and
labels ỹ that the model itself draws, a step is (Khan et al. 2018, VOGN; Khan & Rue 2023, eq. 39)

    Λ ← (1 − β) Λ + β (T I + N/B Σ_b g̃_b g̃_bᵀ)          g̃_b = ∇_u log p(ỹ_b | x_b, θ): the Fisher information
    μ ← μ + ρ Λ⁻¹ ∇_u [N/B Σ_b log p(y_b | x_b, θ) + T log p(u)]

which stands still where E_q[∇] = 0 and Λ is the expected Fisher information plus the prior's: the Gaussian
variational posterior, in the Gauss–Newton approximation of its curvature. A network's directions differ in
curvature by factors of a million, which is what first-order steps are slow at; a hundred of these fit better
than thousands of Adam's (examples/benchmarks/FINDINGS.md). The price is D² memory and D³ time per step and
member, so it is for targets of at most some fifteen hundred weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor

from bayeshyper.errors import RecipeError, TrainingDiverged
from bayeshyper.models import BayesianModel, row_gradients
from bayeshyper.threads import seeded

from .checkpoints import GlobalRandomState, Stage, every_step
from .roots import cholesky_root

__all__ = ["NaturalGaussian"]

# β: Λ averages over about five steps.
AVERAGING = 0.2
# Root mean square of the largest step, in prior units: far from a mode the curvature there says little.
LONGEST = 0.2
# T is reached from a hundredth of it, over the first half of the steps: noise comes after fit.
COLD = 0.01
# Rows per step; the first of them give the curvature, which is most of a step's cost. Where half of so many
# differ, or fewer, each of these is taken at several draws: at one, few rows tell the curvature along few
# directions, and the others stay as wide as the prior.
ROWS = 1024
CURVATURE_ROWS = 384
# What float32 cannot tell from zero beside the largest curvature.
JITTER = 1e-6


class NaturalGaussian:
    """The Gaussian of every member, and the steps that train it.

    Args:
        model: Whose posterior it approaches; ``num_data`` must be the rows that `train` is given.
        weights: θ to start at, ``(M, D)``.
        temperature: T.

    Raises:
        RecipeError: The model's prior is not Normal with given scales.

    Attributes:
        mean: μ in prior units, ``(M, D)``.
        precision: Λ, ``(M, D, D)``; the identity times T before the first step.

    Example:
        >>> from bayeshyper.models import FanInPrior, Gaussian, MLP, Target
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(40, 2)
        >>> model = BayesianModel(Target(MLP(2, 1, hidden=[3])), FanInPrior(), Gaussian(), num_data=40)
        >>> gaussian = NaturalGaussian(model, 0.3 * torch.randn(2, model.spec.size), temperature=0.1)
        >>> gaussian.train(x, x.sum(-1), steps=30, rate=0.3, seed=0).draw(5, seed=0).shape
        torch.Size([2, 5, 14])
    """

    def __init__(self, model: BayesianModel, weights: Tensor, *, temperature: float) -> None:
        if not model.prior.is_normal:
            raise RecipeError(
                f"Got the prior {model.prior}, expected a Normal one with given scales, which natural "
                "gradients are made for; set warm_start.natural_steps to 0, or otherwise to 'bayes'."
            )
        self.model = model
        self.temperature = temperature
        self._loc, self._unit = model.prior.loc, model.prior.scale
        self.mean = (weights.detach() - self._loc) / self._unit
        self._identity = torch.eye(self.mean.shape[1]).to(self.mean)
        self.precision = self.temperature * self._identity.repeat(len(self.mean), 1, 1)
        self._root = math.sqrt(self.temperature) * self._identity.expand_as(self.precision)
        self._steps = 0
        self._order, self._rows = torch.empty(0, dtype=torch.long), 0

    @property
    def weights(self) -> Tensor:
        """The mean weights θ, ``(M, D)``."""
        return self._loc + self._unit * self.mean

    def train(
        self,
        x: Tensor,
        y: Tensor,
        *,
        steps: int,
        rate: float,
        seed: int,
        decay_from: float = 0.5,
        progress: Callable[[int], None] | None = None,
        stage: Stage = every_step,
    ) -> Self:
        """Take natural-gradient steps on rows ``x (N, …)``, ``y (N,)``.

        Args:
            x: Features.
            y: Targets, standardised or class indices.
            steps: How many.
            rate: ρ, which falls to nearly nothing linearly after ``decay_from`` of the steps.
            seed: Of the rows, draws and labels.
            decay_from: As a share of the steps.
            progress: Called after every step with its number.
            stage: Where the numbers of the steps come from.

        Raises:
            TrainingDiverged: A gradient stopped being finite, or Λ stopped being positive definite.
        """
        first = self._steps == 0
        self._order, self._rows = torch.empty(0, dtype=torch.long), len(x)
        with seeded(seed):
            for step in stage(steps, gaussian=self, global_random=GlobalRandomState()):
                if len(self._order) < min(ROWS, len(x)):
                    self._order = torch.randperm(len(x), device=x.device)
                rows, self._order = self._order[:ROWS], self._order[ROWS:]
                ramp = COLD ** max(0.0, 1.0 - step / (0.5 * steps)) if first else 1.0
                remaining = min(1.0, (1.0 - step / steps) / (1.0 - decay_from))
                self._step(x[rows], y[rows], rate * (remaining + 0.02), ramp, step)
                if progress is not None:
                    progress(step)
        return self

    def draw(self, draws: int, *, seed: int) -> Tensor:
        """Weights θ drawn from each member, ``(M, draws, D)``."""
        with seeded(seed):
            offsets = self._offsets(draws)
        return self._loc + self._unit * (self.mean.unsqueeze(1) + offsets)

    def state_dict(self) -> dict[str, Any]:
        """All that its steps change, but for the root of Λ."""
        return {"mean": self.mean, "precision": self.precision, "order": self._order, "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of another one, of the same model.

        Raises:
            KeyError, ValueError: It is of another model.
        """
        mean, precision = state["mean"].to(self.mean), state["precision"].to(self.mean)
        order, steps = state["order"].to(self.mean.device), state["steps"]
        if (mean.shape, precision.shape) != (self.mean.shape, self.precision.shape) or type(steps) is not int:
            raise ValueError("the Gaussian is of other weights")
        if order.dtype != torch.long or order.dim() != 1 or not ((order >= 0) & (order < self._rows)).all():
            raise ValueError("the rows that are left are not of this table")
        self.mean, self.precision, self._order, self._steps = mean, precision, order, steps
        # Taken anew: a copy has other strides, by which products are rounded otherwise.
        if self._steps > 0 and not self._take_root():
            raise ValueError("the Gaussian's precision is not positive definite")

    def _offsets(self, draws: int, share: float = 1.0) -> Tensor:
        """Draws of N(0, share · T Λ⁻¹), ``(M, draws, D)``, by the transposed root of Λ."""
        noise = torch.randn(*self.mean.shape, draws, dtype=self.mean.dtype, device=self.mean.device)
        solved = torch.linalg.solve_triangular(self._root.mT, noise, upper=True)
        offsets: Tensor = math.sqrt(share * self.temperature) * solved.mT
        return offsets

    def _step(self, x: Tensor, y: Tensor, rate: float, ramp: float, step: int) -> None:
        at = self.mean
        if self._steps > 0:  # there is no curvature to draw by before the first step
            at = at + self._offsets(1, ramp)[:, 0]
        gradient = self.model.num_data / len(y) * self._gradient(at, x, y) - self.temperature * at
        if not bool(torch.isfinite(gradient).all()):
            raise TrainingDiverged("natural gradient", step)
        self._steps += 1
        self._renew(at, x[:CURVATURE_ROWS], ramp, step)
        move = rate * torch.cholesky_solve(gradient.unsqueeze(-1), self._root).squeeze(-1)
        length = move.square().mean(-1, keepdim=True).sqrt()
        self.mean = self.mean + move * (LONGEST / length).clamp(max=1.0)

    def _renew(self, at: Tensor, x: Tensor, ramp: float, step: int) -> None:
        """Move Λ towards the curvature at a draw, and at others where rows are few, and take its root."""
        rows, counts = x.unique(dim=0, return_counts=True)
        draws = CURVATURE_ROWS // len(rows) if self._steps > 1 else 1
        if draws == 1:
            rows, counts = x, torch.ones_like(counts[:1])
        at = torch.cat([at.unsqueeze(1), self.mean.unsqueeze(1) + self._offsets(draws - 1, ramp)], dim=1)
        curvature = self._fisher(at, rows, counts).mul_(self.model.num_data / len(x) / draws)
        curvature = curvature.add_(self._identity, alpha=self.temperature)
        self.precision = self.precision.lerp(curvature, max(AVERAGING, 1.0 / self._steps))
        if not self._take_root():
            raise TrainingDiverged("natural gradient", step)

    def _take_root(self) -> bool:
        """Take the root of Λ, if it is positive definite."""
        jitter = JITTER * self.precision.diagonal(dim1=-2, dim2=-1).amax(-1)
        self._root = cholesky_root(self.precision + jitter[:, None, None] * self._identity)
        return not bool(self._root[:, 0, 0].isnan().any())

    def _gradient(self, at: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """∇_u Σ_b log p(y_b | x_b, θ), ``(M, D)``."""
        at = at.detach().requires_grad_()
        with torch.enable_grad():
            total = self.model.log_likelihood(self._loc + self._unit * at, x, y).sum()
        (gradient,) = torch.autograd.grad(total, at)
        return gradient

    def _fisher(self, at: Tensor, x: Tensor, counts: Tensor) -> Tensor:
        """Σ_b n_b g̃_b g̃_bᵀ over rows and draws ``(M, K, D)``, for labels drawn from the model itself."""
        weights = (self._loc + self._unit * at).flatten(0, 1)
        with torch.no_grad():
            labels = self.model.predictive(weights, x).sample()
        slopes = row_gradients(self.model, weights, x, labels).mul_(counts.sqrt().unsqueeze(1))
        slopes = slopes.reshape(len(at), -1, at.shape[-1])
        result: Tensor = (slopes.mT @ slopes).mul_(torch.outer(self._unit, self._unit))
        return result
