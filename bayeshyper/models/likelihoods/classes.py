"""Classes, in no order or in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import logsigmoid

from bayeshyper.errors import RecipeError

from .protocol import Latent, Likelihood, Support, TargetFacts

__all__ = ["Bernoulli", "Categorical", "Ordinal"]

# Between two cut points: closer, the class between them has no probability that float32 can tell from none.
MIN_GAP = 1e-4


def _indices(n_classes: int) -> Support:
    return Support(f"class indices from 0 to {n_classes - 1}", 0, n_classes - 1, discrete=True)


class Bernoulli(Likelihood):
    """Two classes from one logit: p(y = 1) = sigmoid(f(x)).

    Example:
        >>> Bernoulli().distribution(torch.zeros(3, 5, 1), {}).probs[0, 0]
        tensor(0.5000)
    """

    task = "classification"
    support = _indices(2)

    @classmethod
    def for_target(cls, target: TargetFacts, **options: Any) -> Self:
        """Refuses more than two classes."""
        if target.n_classes != 2:
            raise RecipeError(
                f"Got {target.n_classes} classes for the likelihood 'bernoulli', expected 2; "
                "use 'categorical'."
            )
        return cls(**options)

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """Bernoulli with batch shape ``(…, N)``."""
        result: Distribution = dist.Bernoulli(logits=outputs[..., 0], validate_args=False)
        return result


class Categorical(Likelihood):
    """C classes from C logits: p(y = c) = softmax(f(x))_c.

    Args:
        n_classes: C, at least two.
    """

    task = "classification"

    def __init__(self, n_classes: int) -> None:
        _check_classes(n_classes)
        self.n_outputs = n_classes
        self.support = _indices(n_classes)

    @classmethod
    def for_target(cls, target: TargetFacts, **options: Any) -> Self:
        """As many classes as the training targets have."""
        return cls(n_classes=target.n_classes, **options)

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """Categorical with batch shape ``(…, N)``."""
        return dist.Categorical(logits=outputs, validate_args=False)

    def __repr__(self) -> str:
        return f"Categorical(n_classes={self.n_outputs})"


class Ordinal(Likelihood):
    """C classes in an order, from one output: p(y ≤ c) = sigmoid(κ_c − f(x)) with κ_0 < … < κ_{C−2}.

    The proportional-odds model (McCullagh 1980), whose cut points are inferred:

        κ_0 = κ°_0 + first_cut,   κ_c − κ_{c−1} = (κ°_c − κ°_{c−1}) exp(log_gaps_c),   κ°_c = logit((c + 1)/C)

    so that where the output and the latents are zero, all classes are equally probable.

    Args:
        n_classes: C, at least two.

    Example:
        >>> likelihood = Ordinal(4)
        >>> latents = {name: torch.zeros(1, 1, *latent.shape) for name, latent in likelihood.latents.items()}
        >>> likelihood.distribution(torch.zeros(1, 5, 1), latents).probs[0, 0]
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    task = "classification"

    def __init__(self, n_classes: int) -> None:
        _check_classes(n_classes)
        self._n_classes = n_classes
        self.support = _indices(n_classes)
        latents = {"first_cut": Latent()}
        if n_classes > 2:
            latents["log_gaps"] = Latent(shape=(n_classes - 2,))
        self.latents = latents

    @classmethod
    def for_target(cls, target: TargetFacts, **options: Any) -> Self:
        """As many classes as the training targets have."""
        return cls(n_classes=target.n_classes, **options)

    @property
    def n_classes(self) -> int:
        """C."""
        return self._n_classes

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """Categorical with batch shape ``(…, N)``."""
        start = torch.arange(1, self.n_classes, dtype=outputs.dtype, device=outputs.device) / self.n_classes
        start = start.logit()
        first = latents["first_cut"].unsqueeze(-1) + start[0]
        if self.n_classes == 2:
            gaps, cuts = first[..., :0], first
        else:
            gaps = start.diff() * latents["log_gaps"].exp() + MIN_GAP
            cuts = torch.cat([first, first + gaps.cumsum(-1)], dim=-1)
        # σ(a) − σ(b) = σ(a) σ(−b) (1 − e^{b−a}), of which each factor keeps its digits.
        upper, lower = logsigmoid(cuts - outputs), logsigmoid(outputs - cuts)
        between = upper[..., 1:] + lower[..., :-1] + torch.log(-torch.expm1(-gaps))
        logits = torch.cat([upper[..., :1], between, lower[..., -1:]], dim=-1)
        return dist.Categorical(logits=logits, validate_args=False)

    def __repr__(self) -> str:
        return f"Ordinal(n_classes={self.n_classes})"


def _check_classes(n_classes: int) -> None:
    if n_classes < 2:
        raise ValueError(f"Got n_classes = {n_classes}, expected at least 2.")
