"""A network made linear in its weights, which is what a Laplace approximation predicts with."""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import jacrev, jvp, vmap

from bayeshyper.models import Target
from bayeshyper.models.fused import Unfused

__all__ = ["LinearizedTarget"]


class LinearizedTarget(nn.Module):
    """f(x, θ*) + ∂f/∂θ(x, θ*) (θ − θ*): a `Target` whose outputs are linear in the weights.

    Args:
        target: The network.
        at: θ*, ``(D,)``.

    Attributes:
        spec: The network's own.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Softplus())
        >>> linear = LinearizedTarget(Target(network), torch.zeros(1))
        >>> linear(torch.tensor([[0.0], [2.0]]), torch.ones(1, 1)).flatten()  # log 2 + ½ θ
        tensor([0.6931, 1.6931])
    """

    at: Tensor

    def __init__(self, target: Target, at: Tensor) -> None:
        super().__init__()
        self.target, self.spec = target, target.spec
        self.network, self.stack = target.network, None
        self.register_buffer("at", at.detach().clone())

    def forward(self, weights: Tensor, x: Tensor) -> Tensor:
        """Outputs ``(S, N, …)`` for weights ``(S, D)`` and rows ``x (N, …)``."""

        def change(tangent: Tensor) -> Tensor:
            with Unfused():
                moved: Tensor = jvp(lambda at: self._one(at, x), (self.at,), (tangent,))[1]
                return moved

        outputs: Tensor = self._one(self.at, x) + vmap(change)(weights - self.at)
        return outputs

    def jacobian(self, x: Tensor) -> Tensor:
        """∂f/∂θ at θ*, ``(N, O, D)``."""

        def row(one: Tensor) -> Tensor:
            slopes: Tensor = jacrev(lambda at: self._one(at, one.unsqueeze(0))[0])(self.at)
            return slopes

        with Unfused():
            rows: Tensor = vmap(row)(x)
        return rows

    def _one(self, at: Tensor, x: Tensor) -> Tensor:
        outputs: Tensor = self.target(at.unsqueeze(0), x)[0]
        return outputs
