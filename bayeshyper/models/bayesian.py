"""The Pyro model: weights from the prior, network, likelihood, data."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyro
import torch
from pyro import poutine
from torch import Tensor, nn
from torch.distributions import Distribution

from bayeshyper.threads import pyro_stack

from .likelihoods import Likelihood
from .priors import Prior
from .spec import WeightSpec
from .target import Target

__all__ = ["BayesianModel"]


class BayesianModel(nn.Module):
    """Target + prior + likelihood as a plain Pyro model with two sites, ``"weights"`` and ``"obs"``.

    The log joint is log p(θ) + (N/B) Σ_batch log p(y_n | f(x_n, θ)): mini-batch scaling belongs to the
    model, so nobody writes a plate.

    Args:
        target: The network to be uncertain about.
        prior: Laid out here over the network's tensors, the likelihood's latents and the prior's own.
        likelihood: What the outputs mean.
        num_data: N, the rows of the whole training set.
        particles: Weight draws per step, as a plate of the model's own; None leaves the draw a single
            vector, as other Pyro inference (NUTS, ``Predictive``) expects.

    Attributes:
        spec: The `WeightSpec` of the site ``"weights"``: network tensors, then the likelihood's latents,
            then the prior's own.
        prior_latents: The names of the last.
        kl_weight: β, which scales the site ``"weights"`` in model and guide alike; 1 is the ELBO.

    Example:
        >>> from bayeshyper.models import FanInPrior, Gaussian, MLP
        >>> model = BayesianModel(Target(MLP(3, 1)), FanInPrior(), Gaussian(), num_data=10)
        >>> trace = pyro.poutine.trace(model).get_trace(torch.zeros(10, 3), torch.zeros(10))
        >>> trace.nodes["weights"]["value"].shape, trace.nodes["obs"]["value"].shape
        (torch.Size([252]), torch.Size([10]))
    """

    def __init__(
        self,
        target: Target,
        prior: Prior,
        likelihood: Likelihood,
        *,
        num_data: int,
        particles: int | None = None,
    ) -> None:
        super().__init__()
        self._plate: Any = None
        self._rows_plate: Any = None
        if num_data < 1:
            raise ValueError(f"Got num_data = {num_data}, expected the number of training rows.")
        self.target = target
        self.likelihood = likelihood
        self.prior = copy.deepcopy(prior)
        initial = target.initial()
        hyper = self.prior.latents(initial)
        latents = {**likelihood.latents, **hyper}
        self.spec = target.spec + WeightSpec((name, latent.shape) for name, latent in latents.items())
        self.prior.build(self.spec, initial, latents)
        self.prior_latents = tuple(hyper)
        self.num_data = num_data
        self.kl_weight = 1.0
        self.particles = particles

    @property
    def particles(self) -> int | None:
        """Weight draws per step, or None."""
        return self._particles

    @particles.setter
    def particles(self, particles: int | None) -> None:
        self._particles = particles
        # Made once: a plate costs about as much to make as the prior does to score.
        with pyro_stack:  # a plate announces itself to whatever handlers there are
            self._plate = None if particles is None else pyro.plate("particles", particles, dim=-2)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Declare the sites for a batch ``x (B, …)`` and, where observed, ``y (B,)``."""
        with self.particle_plate():
            with poutine.scale(scale=self.kl_weight):
                weights = pyro.sample("weights", self.prior())
            outputs = self.predictive(weights, x)
            with self._data_plate(len(x)):
                observed: Tensor = pyro.sample("obs", outputs, obs=y)  # type: ignore[arg-type]
        return observed

    @contextmanager
    def particle_plate(self) -> Iterator[None]:
        """The plate of the model's own particles, scaled so that they average; shared with the guide."""
        if self._particles is None:
            yield
        else:
            with self._plate, poutine.scale(scale=1.0 / self._particles):
                yield

    def _data_plate(self, rows: int) -> Any:
        """The plate of a batch's rows, scaled by N/B; kept, too, for the next batch of the same size."""
        plate = self._rows_plate
        if plate is None or (plate.size, plate.subsample_size) != (self.num_data, rows):
            # The rows are given: left to itself, a plate would draw N random indices, and drop them.
            with poutine.block():
                plate = pyro.plate("data", self.num_data, subsample=torch.arange(rows), dim=-1)
            self._rows_plate = plate
        return plate

    def predictive(self, weights: Tensor, x: Tensor) -> Distribution:
        """The distribution of the rows' targets for each weight draw.

        Args:
            weights: ``(D,)``, ``(S, D)``, or ``(…, 1, D)`` with the data plate's place kept, as in Pyro.
                A draw of the guide carries its law given z; each row then has noise of its own where it may.
            x: ``(N, …)``.

        Returns:
            Batch shape ``(N,)``, ``(S, N)`` or ``(…, N)``.
        """
        return self.observe(weights, self.outputs(weights, x))

    def outputs(self, weights: Tensor, x: Tensor) -> Tensor:
        """What the network says of each row, ``(…, N, n_outputs)``; arguments as for `predictive`."""
        flat = weights.reshape(-1, self.spec.size)[:, : self.target.spec.size]
        conditional = getattr(weights, "conditional", None)
        if conditional is None:
            outputs: Tensor = self.target(flat, x)
        else:
            outputs = self.target.forward_local(flat, conditional, x)
        if outputs.shape[2:] != (self.likelihood.n_outputs,):
            one_per_class = self.likelihood.task == "classification" and outputs.shape[2:] == (
                self.likelihood.n_classes,
            )
            other = ', or set likelihood.family = "categorical"' if one_per_class else ""
            raise ValueError(
                f"The network gives outputs of shape {tuple(outputs.shape[2:])} per row, but "
                f"{self.likelihood} needs ({self.likelihood.n_outputs},); change the network's last "
                f"layer{other}."
            )
        return outputs.reshape(*_lead(weights), *outputs.shape[1:])

    def observe(self, weights: Tensor, outputs: Tensor) -> Distribution:
        """The distribution of the targets, given the network's outputs for the same weight draws."""
        latents = {
            name: weights[..., self.spec[name].slice].reshape(*_lead(weights), 1, *latent.shape)
            for name, latent in self.likelihood.latents.items()
        }
        return self.likelihood.distribution(outputs, latents)

    def log_likelihood(self, weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """log p(y_n | x_n, θ_s), ``(S, N)`` for weights ``(S, D)``."""
        result: Tensor = self.predictive(weights, x).log_prob(y)
        return result

    def log_predictive(self, weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The log predictive density log (1/S) Σ_s p(y_n | x_n, θ_s), ``(N,)`` for weights ``(S, D)``."""
        log_likelihood = self.log_likelihood(weights, x, y)
        return torch.logsumexp(log_likelihood, dim=0) - math.log(len(weights))


def _lead(weights: Tensor) -> torch.Size:
    """The dimensions that number the draws: all but D and, in ``(…, 1, D)``, the data plate's place."""
    return weights.shape[:-2] if weights.dim() > 2 else weights.shape[:-1]
