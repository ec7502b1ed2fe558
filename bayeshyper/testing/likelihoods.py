"""What holds of every likelihood, as tests that a likelihood of your own can be put through."""

from __future__ import annotations

import copy
import math
import pickle

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from bayeshyper.errors import DataError
from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import ImplicitGuide, elbo_terms
from bayeshyper.models import BayesianModel, FanInPrior, Likelihood, Target, row_gradients
from bayeshyper.threads import seeded

from ._expectations import alike, close, masses

__all__ = ["LikelihoodTestCase"]

# Rows and weight draws that each law is tried on.
ROWS, DRAWS = 4, 3
# Draws that moments are compared on; the seed is fixed.
SAMPLES = 20_000


class LikelihoodTestCase:
    """The laws of a likelihood; subclass it, name the class ``Test…``, and say how your likelihood is made.

    pytest then runs what it inherits: probability sums to one, the distribution function is its integral,
    draws have its mean and variance, any number of weight draws gives one distribution per row, gradients
    are right and finite, targets outside the support are refused, copies are the same, and a model with it
    trains.

    Attributes:
        tolerance: How far from one the probability may sum.

    Example:
        >>> from bayeshyper.models import Support
        >>> class Exponential(Likelihood):
        ...     task = "regression"
        ...     support = Support("positive numbers", lower=0)
        ...
        ...     def distribution(self, outputs, latents):
        ...         return torch.distributions.Exponential((-outputs[..., 0]).exp())
        >>> class TestExponential(LikelihoodTestCase):
        ...     def make(self):
        ...         return Exponential()
        >>> TestExponential().test_probability_sums_to_one()  # pytest runs this one and all the others
    """

    tolerance: float = 1e-6

    def make(self) -> Likelihood:
        """A fresh likelihood, as it is handed to a `BayesianModel`."""
        raise NotImplementedError(
            f"{type(self).__name__} must define make(), which returns a fresh likelihood."
        )

    # -- the distribution of one row's target -----------------------------------------------------------

    def test_probability_sums_to_one(self) -> None:
        """Over the support, for every row and weight draw; for targets of K numbers, each one's own."""
        likelihood, part = self._marginals()
        total = masses(likelihood, part)[1].sum(0)
        assert bool(((total - 1).abs() < self.tolerance).all()), (
            f"The probability sums to {total.flatten()[(total - 1).abs().argmax()]:.8g}, expected 1."
        )

    def test_mean_and_variance_are_those_of_the_density(self) -> None:
        """E[y] and E[(y − E[y])²], by the same sum."""
        likelihood, part = self._marginals()
        if likelihood.task == "classification":
            return  # an index has none
        places, mass = masses(likelihood, part)
        mean = (places * mass).sum(0)
        variance = ((places - mean).square() * mass).sum(0)
        close(part.mean, mean, "mean", 1e-4)
        close(part.variance, variance, "variance", 1e-3)

    def test_the_distribution_function_is_the_densitys(self) -> None:
        """P(Y ≤ y) is what is summed up to y: it rises from 0 to 1."""
        likelihood, part = self._marginals()
        if likelihood.task == "classification":
            return
        places, mass = masses(likelihood, part)
        # Up to the middle of each cell; a whole number is a cell of its own.
        expected = mass.cumsum(0) - (0.0 if likelihood.support.discrete else 0.5 * mass)
        found = part.cdf(places)
        assert bool((found.diff(dim=0) >= -1e-12).all()), "The distribution function falls somewhere."
        assert bool(((found > -1e-12) & (found < 1 + 1e-12)).all()), (
            "The distribution function leaves [0, 1]."
        )
        worst = (found - expected).abs().max()
        assert worst < 1e-3, f"The distribution function is off by {worst:.3g} from the density's integral."

    def test_draws_follow_the_distribution(self) -> None:
        """Their mean and spread, and the mean of their log density, are those of the distribution."""
        likelihood = self.make()
        part = self._distribution(likelihood)
        with seeded(0):
            drawn = part.sample(torch.Size((SAMPLES,)))
            others = part.sample(torch.Size((SAMPLES,)))
        assert drawn.shape == (SAMPLES, DRAWS, ROWS, *likelihood.event_shape)
        likelihood.check_target(drawn[0, 0])
        if likelihood.task == "classification":
            for label in range(likelihood.n_classes):
                expected = part.log_prob(torch.full((ROWS,), float(label))).exp()
                alike((drawn == label).double(), expected, f"class {label}")
            return
        alike(drawn, part.mean, "mean")
        alike((drawn - part.mean).square(), part.variance, "variance")
        if not likelihood.event_shape:
            # The share of other draws below a draw is, on average, the distribution function there.
            alike(
                part.cdf(drawn) - (others <= drawn).double(),
                torch.zeros(()).double(),
                "distribution function",
            )

    # -- many draws of the weights ----------------------------------------------------------------------

    def test_any_number_of_weight_draws_gives_one_distribution_per_row(self) -> None:
        """Latents of ``(…, 1, *shape)`` broadcast against outputs of ``(…, N, n_outputs)``."""
        likelihood = self.make()
        for lead in ((), (3,), (2, 3)):
            part = self._distribution(likelihood, lead)
            assert part.batch_shape == (*lead, ROWS), f"Got batch shape {tuple(part.batch_shape)}."
            assert part.event_shape == likelihood.event_shape, f"Got event shape {tuple(part.event_shape)}."
            assert part.log_prob(part.sample()).shape == (*lead, ROWS)

    def test_a_row_does_not_depend_on_the_others(self) -> None:
        """Each row, and each weight draw, is scored as if it stood alone."""
        likelihood = self.make()
        outputs, latents = self._outputs(likelihood), self._latents(likelihood)
        y = self._targets(likelihood)[0]
        together = likelihood.distribution(outputs, latents).log_prob(y)
        for draw in range(DRAWS):
            own = {name: value[draw : draw + 1] for name, value in latents.items()}
            for row in range(ROWS):
                alone = likelihood.distribution(outputs[draw : draw + 1, row : row + 1], own)
                torch.testing.assert_close(
                    alone.log_prob(y[row : row + 1])[0, 0], together[draw, row], rtol=1e-9, atol=1e-9
                )

    # -- gradients --------------------------------------------------------------------------------------

    def test_the_gradient_is_that_of_the_density(self) -> None:
        """Automatic and numerical derivatives agree, in the outputs and in the latents."""
        likelihood = self.make()
        latents = self._latents(likelihood)
        names, y = list(latents), self._targets(likelihood)[0]

        def log_prob(outputs: Tensor, *values: Tensor) -> Tensor:
            given = dict(zip(names, values, strict=True))
            return likelihood.distribution(outputs, given).log_prob(y)

        inputs = [value.requires_grad_() for value in (self._outputs(likelihood), *latents.values())]
        assert torch.autograd.gradcheck(log_prob, inputs)

    def test_draws_pull_no_parameter_either_way(self) -> None:
        """E[∇ log p(y)] = 0 for y ~ p, in outputs and latents: draws and density belong together."""
        likelihood = self.make()
        with seeded(0):
            drawn = self._distribution(likelihood).sample(torch.Size((SAMPLES // 10,)))
        many = {
            name: value.expand(len(drawn), *value.shape).clone().requires_grad_()
            for name, value in {"outputs": self._outputs(likelihood), **self._latents(likelihood)}.items()
        }
        latents = {name: value for name, value in many.items() if name != "outputs"}
        total = likelihood.distribution(many["outputs"], latents).log_prob(drawn).sum()
        slopes = torch.autograd.grad(total, list(many.values()))
        for name, slope in zip(many, slopes, strict=True):
            alike(slope, torch.zeros(()).double(), f"slope in {name}")

    def test_gradients_of_rows_agree(self) -> None:
        """The Fisher information's two ways, by hand and by ``vmap``, give the same."""
        model = self._model()
        x, weights = self._x(), self._weights(model)
        y = self._targets(model.likelihood)
        by_hand = row_gradients(model, weights, x, y)
        model.target.stack = None
        torch.testing.assert_close(row_gradients(model, weights, x, y), by_hand, rtol=1e-6, atol=1e-9)

    def test_it_is_finite_in_single_precision(self) -> None:
        """For outputs of up to ten, and latents up to three prior scales away, with gradients."""
        likelihood = self.make()
        y = self._targets(likelihood)[0].float()
        for size in (-3.0, 0.0, 3.0):
            for seed in range(5):
                latents = {
                    name: torch.full((DRAWS, 1, *latent.shape), latent.loc + size * latent.scale)
                    for name, latent in likelihood.latents.items()
                }
                with seeded(seed):
                    outputs = 10 * (2 * torch.rand(DRAWS, ROWS, likelihood.n_outputs) - 1)
                outputs.requires_grad_()
                scores = likelihood.distribution(outputs, latents).log_prob(y)
                (gradient,) = torch.autograd.grad(scores.sum(), outputs)
                assert scores.dtype == torch.float32, f"Got {scores.dtype} from outputs of float32."
                assert bool(scores.isfinite().all()), "The log density is not finite everywhere."
                assert bool(gradient.isfinite().all()), "The gradient of the log density is not finite."

    # -- targets ----------------------------------------------------------------------------------------

    def test_targets_outside_the_support_are_refused(self) -> None:
        """By value and row; those that it draws itself are not."""
        likelihood = self.make()
        good = self._targets(likelihood)[0]
        likelihood.check_target(good)
        support = likelihood.support
        outside = [math.nan, math.inf, support.lower - 1, support.upper + 1]
        outside += [0.5] if support.discrete else [support.lower, support.upper]
        for value in outside:
            bad = good.clone()
            bad[2] = value
            sentence = _refusal(likelihood, bad)
            assert sentence, f"The target {value} was not refused."
            assert "row 3" in sentence, f"The row is not named: {sentence}"
            assert f"{value:g}" in sentence, f"The value is not named: {sentence}"

    # -- in a model -------------------------------------------------------------------------------------

    def test_copies_are_the_same(self) -> None:
        """A deep copy and a pickle score targets the same, to the bit."""
        likelihood = self.make()
        y = self._targets(likelihood)[0]
        expected = self._distribution(likelihood).log_prob(y)
        for twin in (copy.deepcopy(likelihood), pickle.loads(pickle.dumps(likelihood))):
            assert torch.equal(self._distribution(twin).log_prob(y), expected), "A copy scores differently."

    def test_a_step_of_training_reaches_every_latent(self) -> None:
        """Under `BayesianModel` and Pyro the loss is finite, and every latent learns from the data."""
        model = self._model().float()
        model.particles = 2
        with seeded(0):
            hypernetwork = HypernetworkSettings(noise_dim=2).build(
                model.prior.loc.unsqueeze(0) + 0.1 * torch.randn(1, model.spec.size), model.prior.scale
            )
            guide = ImplicitGuide(model, hypernetwork)
            y = self._targets(model.likelihood)[0].float()
            terms = elbo_terms(model, guide, self._x().float(), y)
        terms.check(1)
        (slope,) = torch.autograd.grad(terms.log_likelihood, hypernetwork.mean)
        assert bool(slope.isfinite().all()), "The log likelihood has a gradient that is not finite."
        for name in model.likelihood.latents:
            assert bool((slope[:, model.spec[name].slice] != 0).all()), f"The data do not reach {name}."

    # -- what they are tried on -------------------------------------------------------------------------

    def _latents(self, likelihood: Likelihood, lead: tuple[int, ...] = (DRAWS,)) -> dict[str, Tensor]:
        """Half a prior scale or so from the prior's mean, ``(*lead, 1, *shape)``."""
        with seeded(1):
            return {
                name: latent.loc + 0.5 * latent.scale * torch.randn(*lead, 1, *latent.shape).double()
                for name, latent in likelihood.latents.items()
            }

    def _outputs(self, likelihood: Likelihood, lead: tuple[int, ...] = (DRAWS,)) -> Tensor:
        """Of order one, ``(*lead, N, n_outputs)``."""
        with seeded(2):
            return 0.7 * torch.randn(*lead, ROWS, likelihood.n_outputs).double()

    def _distribution(self, likelihood: Likelihood, lead: tuple[int, ...] = (DRAWS,)) -> Distribution:
        return likelihood.distribution(self._outputs(likelihood, lead), self._latents(likelihood, lead))

    def _marginals(self) -> tuple[Likelihood, Distribution]:
        likelihood = self.make()
        return likelihood, likelihood.marginals(self._distribution(likelihood))

    def _targets(self, likelihood: Likelihood) -> Tensor:
        """Drawn by the likelihood itself, for each weight draw: ``(S, N, *event_shape)``."""
        with seeded(3):
            return self._distribution(likelihood).sample().double()

    def _model(self) -> BayesianModel:
        likelihood = self.make()
        with seeded(0):
            network = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, likelihood.n_outputs))
        return BayesianModel(Target(network), FanInPrior(), likelihood, num_data=ROWS).double()

    def _weights(self, model: BayesianModel) -> Tensor:
        with seeded(4):
            offsets = torch.randn(DRAWS, model.spec.size).double()
        return model.prior.loc + 0.5 * model.prior.scale * offsets

    def _x(self) -> Tensor:
        with seeded(5):
            return torch.randn(ROWS, 2).double()


def _refusal(likelihood: Likelihood, y: Tensor) -> str:
    """What is said of targets outside the support; nothing if they are taken."""
    try:
        likelihood.check_target(y)
    except DataError as error:
        return str(error)
    return ""
