"""What holds of every prior, as tests that a prior of your own can be put through."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Mapping

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import Predictive
from scipy import stats
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from bayeshyper.models import BayesianModel, Conditional, Gaussian, Likelihood, Prior, Target
from bayeshyper.threads import seeded

__all__ = ["PriorTestCase"]

# Where densities are integrated: |θ − loc| from e^-40 to e^40 scales, in steps of 1/64 of a power of e.
LOG_STEP = 1.0 / 64
# A Kolmogorov–Smirnov test of a right sampler falls below this once in ten thousand seeds; ours are fixed.
SMALLEST_P = 1e-4


class PriorTestCase:
    """The laws of a prior; subclass it, name the class ``Test…``, and say how your prior is made.

    pytest then runs what it inherits: the density integrates to one, draws follow it, each weight adds its
    own term, gradients are right, draws that carry their law given z get the right expectation, copies and
    saved states are the same to the bit, every tensor moves between types and devices, and Pyro can draw from
    it.

    Attributes:
        tolerance: How far from one the density may integrate. Where it jumps, the quadrature itself is off
            by about a hundredth of the jump.

    Example:
        >>> class Cauchy(Prior):
        ...     def standard(self):
        ...         return torch.distributions.Cauchy(self.loc.new_zeros(()), self.loc.new_ones(()))
        >>> class TestCauchy(PriorTestCase):
        ...     def make(self):
        ...         return Cauchy(gain=1.0)
        >>> TestCauchy().test_the_density_integrates_to_one()  # pytest runs this one and all the others
    """

    tolerance: float = 1e-6

    def make(self) -> Prior:
        """A fresh prior, as it is handed to a `BayesianModel`."""
        raise NotImplementedError(f"{type(self).__name__} must define make(), which returns a fresh prior.")

    # -- the law of one weight --------------------------------------------------------------------------

    def test_the_density_integrates_to_one(self) -> None:
        """∫ p(θ | latents) dθ = 1, at the latents' own locations and away from them."""
        prior = self._one_weight(Gaussian())
        for shift in (0.0, 0.7):
            _, masses = _masses(prior, prior.loc[1:] + shift * prior.scale[1:])
            total = masses.sum().item()
            assert abs(total - 1) < self.tolerance, f"The density integrates to {total:.8g}, expected 1."

    def test_draws_follow_the_density(self) -> None:
        """Draws have the density's distribution function, by tests of Kolmogorov and Smirnov."""
        prior = self._one_weight(_Plain())
        with seeded(0):
            draws = prior().sample(torch.Size((1000,)))
        weights, latents = draws[:, 0], draws[:, 1:]
        if not latents.numel():
            _check_uniform(_ranks(*_masses(prior, latents[0]), weights), "The weights' draws")
            return
        # Each draw's latents give its weight a law of its own, and must do so wherever they are.
        ranks = torch.cat([_ranks(*_masses(prior, draw[1:]), draw[:1]) for draw in draws])
        for latent, loc in zip(latents.mT, prior.loc[1:], strict=True):
            for half in (latent < loc, latent >= loc):
                _check_uniform(ranks[half], "The weights' draws, given the latents,")

    def test_latents_are_drawn_from_their_own_priors(self) -> None:
        """The likelihood's and the prior's own are Normal, with their places in ``loc`` and ``scale``."""
        prior, size = self._small()
        with seeded(0):
            draws = prior().sample(torch.Size((1000,)))
        for ranks in torch.special.ndtr((draws - prior.loc) / prior.scale)[:, size:].mT:
            _check_uniform(ranks, "The latents' draws")

    # -- the density of many ----------------------------------------------------------------------------

    def test_each_weight_adds_its_own_term(self) -> None:
        """Given the latents, what one weight adds to the log density does not depend on the others."""
        prior, size = self._small()
        first, second = self._weights(prior, 2)
        second[size:] = first[size:]
        mixed = torch.stack([first, second]).repeat(size, 1, 1)
        for index in range(size):
            mixed[index, :, index] = mixed[index, :, index].flip(0)
        before = prior().log_prob(torch.stack([first, second])).sum()
        # Two vectors that exchange a weight keep the sum of their log densities.
        torch.testing.assert_close(prior().log_prob(mixed).sum(-1), before.expand(size))

    def test_the_gradient_is_that_of_the_density(self) -> None:
        """Automatic and numerical derivatives agree."""
        prior, _ = self._small()
        weights = self._weights(prior, 3).requires_grad_()
        assert torch.autograd.gradcheck(lambda theta: prior().log_prob(theta), (weights,))

    def test_a_draw_with_its_law_gets_the_expectation(self) -> None:
        """Scored with its law given z, a draw has the same log density on average, over the output noise."""
        prior, _ = self._small()
        mean = self._weights(prior, 2).unsqueeze(1).expand(2, 4000, -1)
        scale = 0.3 * prior.scale.expand(2, 1, -1)
        with seeded(1):
            draws = mean + scale * torch.randn(mean.shape, dtype=mean.dtype)
        draws = draws.reshape(-1, 1, mean.shape[-1])
        plain = prior().log_prob(draws)
        draws.conditional = Conditional(mean, scale)  # type: ignore[attr-defined]
        expected = prior().log_prob(draws)
        assert expected.shape == plain.shape, f"Got scores of shape {expected.shape}, expected {plain.shape}."
        differences = (expected - plain).reshape(2, -1)
        errors = differences.std(1) / math.sqrt(differences.shape[1])
        assert bool((differences.mean(1).abs() <= 5 * errors + 1e-9).all()), (
            f"The expectation over the output noise is off by {differences.mean(1).tolist()}, "
            f"with standard errors {errors.tolist()}."
        )

    def test_it_is_finite_in_single_precision(self) -> None:
        """From a hundred-thousandth of a scale to a hundred thousand scales, with its gradient."""
        prior, size = self._small(torch.float32)
        powers = torch.linspace(-5, 5, 21)
        offsets = torch.cat([10**powers, -(10**powers)]).unsqueeze(-1).expand(-1, size)
        latents = prior.loc[size:].expand(len(offsets), -1)
        weights = torch.cat([prior.loc[:size] + prior.scale[:size] * offsets, latents], -1).requires_grad_()
        scores = prior().log_prob(weights)
        (gradient,) = torch.autograd.grad(scores.sum(), weights)
        assert scores.dtype == torch.float32, f"Got {scores.dtype} from weights of float32."
        assert bool(scores.isfinite().all()), "The log density is not finite everywhere."
        assert bool(gradient.isfinite().all()), "The gradient of the log density is not finite everywhere."

    # -- the prior as a module, and under Pyro ----------------------------------------------------------

    def test_copies_and_saved_states_are_the_same(self) -> None:
        """A deep copy, a pickle, and a fresh prior with its state score weights the same, to the bit."""
        prior, _ = self._small()
        weights = self._weights(prior, 5)
        with torch.no_grad():
            for parameter in prior.parameters():  # what is learned is saved, too
                parameter.add_(0.3)
        fresh, _ = self._small()
        fresh.load_state_dict(prior.state_dict())
        expected = prior().log_prob(weights)
        for twin in (copy.deepcopy(prior), pickle.loads(pickle.dumps(prior)), fresh):
            assert torch.equal(twin().log_prob(weights), expected), "A copy scores weights differently."

    def test_every_tensor_moves(self) -> None:
        """In another type, and on another device, nothing is left behind."""
        prior, _ = self._small()
        assert prior().sample().dtype == torch.float64, "Draws are not in the prior's type."
        assert prior().log_prob(self._weights(prior, 1)).dtype == torch.float64
        moved = prior.to("meta")  # a device that every machine has; its tensors hold no numbers to check
        with pyro.validation_enabled(False):
            assert moved().log_prob(moved.loc.expand(2, -1)).device.type == "meta"

    def test_it_stands_in_a_pyro_model(self) -> None:
        """In a plate it draws independently; ``Predictive`` draws weights and targets from it."""
        prior, _ = self._small()
        with seeded(0), pyro.plate("particles", 3, dim=-2):
            trace = pyro.poutine.trace(lambda: pyro.sample("weights", prior())).get_trace()
        trace.compute_log_prob()
        site = trace.nodes["weights"]
        value, log_prob = site["value"], site["log_prob"]
        assert isinstance(value, Tensor)
        assert value.shape == (3, 1, len(prior.loc)), f"Got a draw of shape {tuple(value.shape)}."
        assert len(value[:, 0].unique(dim=0)) == 3, "The particles of a plate are copies of one draw."
        assert log_prob.shape == (3, 1), f"Got log densities of shape {tuple(log_prob.shape)}."
        model = _model(self.make(), nn.Linear(3, 1), Gaussian())
        with seeded(0):
            drawn = Predictive(model, num_samples=4, return_sites=("weights", "obs"))(torch.ones(5, 3))
        assert drawn["weights"].numel() == 4 * model.spec.size
        assert drawn["obs"].shape == (4, 5)

    # -- what they are tried on -------------------------------------------------------------------------

    def _one_weight(self, likelihood: Likelihood) -> Prior:
        """Laid out over a single weight, and behind it the likelihood's latents and the prior's own."""
        return _model(self.make(), nn.Linear(1, 1, bias=False), likelihood).double().prior

    def _small(self, dtype: torch.dtype = torch.float64) -> tuple[Prior, int]:
        """Laid out over a network of two layers, and how many weights that has; the others are latents."""
        model = _model(self.make(), nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)), Gaussian())
        return model.to(dtype).prior, model.target.spec.size

    def _weights(self, prior: Prior, count: int) -> Tensor:
        """Weight vectors about a scale from the prior's location, ``(count, D)``."""
        with seeded(2):
            offsets = torch.randn(count, len(prior.loc), dtype=prior.loc.dtype)
        return prior.loc + prior.scale * (offsets + 0.1 * offsets.sign())


class _Plain(Likelihood):
    """y ~ N(f(x), 1), with no unknowns of its own."""

    task = "regression"

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        return dist.Normal(outputs[..., 0], outputs.new_ones(()), validate_args=False)


def _model(prior: Prior, network: nn.Module, likelihood: Likelihood) -> BayesianModel:
    with seeded(0):
        for module in network.modules():
            if isinstance(module, nn.Linear):
                module.reset_parameters()
    return BayesianModel(Target(network), prior, likelihood, num_data=5)


@torch.no_grad()
def _masses(prior: Prior, latents: Tensor) -> tuple[Tensor, Tensor]:
    """Where the weight may be, in rising order, and how much of p(θ | latents) lies there.

    With θ = loc ± scale·eʸ, both tails and a singularity at loc fall off exponentially in y, so that a plain
    sum over a grid of y converges faster than any power of its step.
    """
    y = torch.arange(-40.0, 40.0, LOG_STEP, dtype=prior.loc.dtype)
    offsets = prior.scale[0] * torch.cat([-y.exp().flip(0), y.exp()])
    places = prior.loc[0] + offsets
    log_joint = prior().log_prob(torch.cat([places.unsqueeze(-1), latents.expand(len(places), -1)], dim=-1))
    log_latents = Normal(prior.loc[1:], prior.scale[1:]).log_prob(latents).sum()
    return places, (log_joint - log_latents).exp() * offsets.abs() * LOG_STEP


def _ranks(places: Tensor, masses: Tensor, draws: Tensor) -> Tensor:
    """The distribution function at the draws: uniform if they follow it."""
    below = torch.cat([masses.new_zeros(1), masses.cumsum(0)])
    return below[torch.searchsorted(places, draws)]


def _check_uniform(ranks: Tensor, draws: str) -> None:
    p = stats.kstest(ranks.cpu().numpy(), "uniform").pvalue
    assert p > SMALLEST_P, f"{draws} do not follow their density: p = {p:.2g} (Kolmogorov–Smirnov)."
