"""The guide's draw as a Pyro distribution: a value together with its estimated log density."""

from __future__ import annotations

import math
from typing import Protocol

import pyro.poutine as poutine
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from bayeshyper.hypernets import Hypernetwork
from bayeshyper.models import Conditional

from .entropies import EntropyEstimator

__all__ = ["ImplicitDraw"]

Shape = torch.Size | list[int] | tuple[int, ...]


class Frame(Protocol):
    """An invertible map of each member's own."""

    @property
    def log_volume(self) -> Tensor:
        """log |∂ value/∂ weights| of each member, ``(M,)``."""
        ...

    def __call__(self, weights: Tensor) -> Tensor:
        """Weights to values, ``(M, R, D)``."""
        ...


class ImplicitDraw(TorchDistribution):
    """Draws weights from a hypernetwork; knows the log density of its own draw alone.

    The log density is −(entropy estimate) at that draw, whose mean over draws is −H[q]: what an ELBO
    needs. It is not a density that could be asked for anywhere else, so `log_prob` refuses any other
    tensor. It is not ``Delta(log_density=…)``, whose density ``TraceMeanField_ELBO`` drops without a word.

    The value carries its law given z (``value.conditional``), which the model uses for local
    reparameterisation and the prior for its closed form.

    Args:
        hypernetwork: What is drawn from.
        entropy: ``(hypernetwork, draw) → (M, R)``, one estimate per draw.
        generator: Where the noise comes from; None is torch's global generator.
        local: Whether the value carries its law given z.
        frame: Where weights are coordinates: the invertible map from them to the values ``(M, R, D)``, which
            then are of each member's own frame.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        hypernetwork: Hypernetwork,
        entropy: EntropyEstimator,
        *,
        generator: torch.Generator | None = None,
        local: bool = True,
        frame: Frame | None = None,
        batch_shape: torch.Size = torch.Size(),  # noqa: B008
    ) -> None:
        self.hypernetwork = hypernetwork
        self.estimator = entropy
        self.generator = generator
        self.local = local
        self.frame = frame
        self._value: Tensor | None = None
        self._log_density: Tensor | None = None
        super().__init__(batch_shape, torch.Size((hypernetwork.size,)), validate_args=False)

    def expand(self, batch_shape: Shape, _instance: ImplicitDraw | None = None) -> ImplicitDraw:
        """An undrawn copy: an eager value would give S identical particles."""
        return ImplicitDraw(
            self.hypernetwork,
            self.estimator,
            generator=self.generator,
            local=self.local,
            frame=self.frame,
            batch_shape=torch.Size(batch_shape),
        )

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw ``(*sample_shape, *batch_shape, D)``; members are drawn from equally often."""
        shape = torch.Size(sample_shape) + self.batch_shape
        n = math.prod(shape)
        members = self.hypernetwork.members
        scored = poutine.get_mask() is not False  # under Predictive nobody asks for the density
        draw = self.hypernetwork.draw(-(-n // members), generator=self.generator, with_jacobian=scored)
        weights, conditional = draw.weights, Conditional(draw.mean, draw.scale, self.generator)
        log_density = (
            -self.estimator(self.hypernetwork, draw) if scored else weights.new_zeros(weights.shape[:2])
        )
        if self.frame is not None:
            weights = self.frame(weights)
            log_density = log_density - self.frame.log_volume.unsqueeze(1)
        if n % members:
            weights, conditional, log_density = self._choose(n, weights, conditional, log_density)
        value = weights.reshape(*shape, self.hypernetwork.size)
        if self.local:
            value.conditional = conditional  # type: ignore[attr-defined]
        self._value, self._log_density = value, log_density.reshape(shape)
        return value

    def _choose(
        self, n: int, weights: Tensor, conditional: Conditional, log_density: Tensor
    ) -> tuple[Tensor, Conditional, Tensor]:
        """Pick n of the M·R draws at random, each a group of its own, where M does not divide n."""
        draws = weights.shape[1]
        index = torch.randperm(log_density.numel(), generator=self.generator, device=weights.device)[:n]
        members = index // draws
        chosen = Conditional(
            conditional.mean.flatten(0, 1)[index].unsqueeze(1), conditional.scale[members], self.generator
        )
        return weights.flatten(0, 1)[index], chosen, log_density.flatten()[index]

    def log_prob(self, value: Tensor) -> Tensor:
        """The estimated log density of this object's own draw, ``(*batch_shape,)``.

        Raises:
            ValueError: Any other tensor; an implicit posterior has no density that is cheap to evaluate.
        """
        if self._value is None or self._log_density is None or value is not self._value:
            raise ValueError(
                "Got a value that this draw did not make, expected its own: an implicit posterior knows no "
                "other density while training. Train with an ELBO of its own draws, such as Trace_ELBO. For "
                "any values there is the guide's log_density, for weights bayeshyper.inference.log_density."
            )
        return self._log_density
