"""Every likelihood that ships is put through the test case that ships beside them, and wrong ones fail it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution

from bayeshyper.models import (
    COUNTS,
    LIKELIHOODS,
    Bernoulli,
    Beta,
    Categorical,
    Gaussian,
    GaussianMixture,
    HeteroscedasticGaussian,
    Likelihood,
    MultivariateGaussian,
    NegativeBinomial,
    Ordinal,
    Poisson,
    StudentT,
)
from bayeshyper.testing import LikelihoodTestCase


class TestGaussian(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return Gaussian()


class TestHeteroscedasticGaussian(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return HeteroscedasticGaussian()


class TestStudentT(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return StudentT()


class TestGaussianMixture(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return GaussianMixture(3)


class TestMultivariateGaussian(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return MultivariateGaussian(3)


class TestDiagonalMultivariateGaussian(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return MultivariateGaussian(3, covariance="diagonal")


class TestPoisson(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return Poisson(mean=4.0)


class TestPoissonOfLargeCounts(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return Poisson(mean=3000.0)


class TestNegativeBinomial(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return NegativeBinomial(mean=4.0)


class TestBeta(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return Beta(mean=0.3)


class TestBernoulli(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return Bernoulli()


class TestCategorical(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return Categorical(4)


class TestOrdinal(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return Ordinal(4)


class TestOrdinalOfTwo(LikelihoodTestCase):
    def make(self) -> Likelihood:
        return Ordinal(2)


def test_every_likelihood_that_ships_is_put_through_it() -> None:
    cases = [case() for case in LikelihoodTestCase.__subclasses__()]
    assert {type(case.make()) for case in cases if type(case).__module__ == __name__} >= set(
        LIKELIHOODS.values()
    )


# -- wrong ones ---------------------------------------------------------------------------------------------


class _WithLaw(dist.Normal):
    """A Normal of which one thing is wrong."""

    wrong = ""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + (0.1 if self.wrong == "density" else 0.0)

    def cdf(self, value: Tensor) -> Tensor:
        return super().cdf(value - (0.1 if self.wrong == "cdf" else 0.0))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return super().sample(sample_shape) + (0.1 if self.wrong == "draws" else 0.0)

    @property
    def variance(self) -> Tensor:
        return super().variance * (1.1 if self.wrong == "variance" else 1.0)


class Wrong(Gaussian):
    """A Gaussian of which one thing is wrong."""

    def __init__(self, wrong: str) -> None:
        self.wrong = wrong

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        if self.wrong == "gradient":
            outputs = outputs.detach() + 0.0 * outputs
        if self.wrong == "rows":
            outputs = outputs - outputs.mean(-2, keepdim=True)
        scale = latents["log_scale"].exp()
        if self.wrong == "latent":
            scale = torch.ones_like(scale)
        if self.wrong == "single precision":
            scale = (200 * scale).exp().log() / 200
        law = _WithLaw(outputs[..., 0], scale.expand(outputs.shape[:-1]), validate_args=False)
        law.wrong = self.wrong
        if self.wrong == "shape":
            return law.to_event(1)
        return law

    def check_target(self, y: Tensor) -> None:
        if self.wrong == "refusal":
            return
        if self.wrong == "row":
            y = y.flip(0)
        super().check_target(y)


FAULTS: dict[str, Callable[[LikelihoodTestCase], None]] = {
    "density": LikelihoodTestCase.test_probability_sums_to_one,
    "variance": LikelihoodTestCase.test_mean_and_variance_are_those_of_the_density,
    "cdf": LikelihoodTestCase.test_the_distribution_function_is_the_densitys,
    "draws": LikelihoodTestCase.test_draws_follow_the_distribution,
    "shape": LikelihoodTestCase.test_any_number_of_weight_draws_gives_one_distribution_per_row,
    "rows": LikelihoodTestCase.test_a_row_does_not_depend_on_the_others,
    "gradient": LikelihoodTestCase.test_the_gradient_is_that_of_the_density,
    "single precision": LikelihoodTestCase.test_it_is_finite_in_single_precision,
    "refusal": LikelihoodTestCase.test_targets_outside_the_support_are_refused,
    "row": LikelihoodTestCase.test_targets_outside_the_support_are_refused,
    "latent": LikelihoodTestCase.test_a_step_of_training_reaches_every_latent,
}


def case_of(likelihood: Callable[[], Likelihood]) -> LikelihoodTestCase:
    """A test case of pytest's kind that pytest does not find."""
    case = LikelihoodTestCase()
    case.make = likelihood  # type: ignore[method-assign]
    return case


@pytest.mark.parametrize("wrong", FAULTS)
def test_what_is_wrong_fails_its_law(wrong: str) -> None:
    FAULTS[wrong](case_of(lambda: Wrong("nothing")))
    with pytest.raises(AssertionError if wrong != "gradient" else RuntimeError):
        FAULTS[wrong](case_of(lambda: Wrong(wrong)))


def test_draws_of_another_law_pull_the_parameters() -> None:
    class Mixed(Wrong):
        """Its draws have the right mean, and are too wide for its density."""

        def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
            narrow, wide = (
                dist.Normal(outputs[..., 0], factor * latents["log_scale"].exp().expand(outputs.shape[:-1]))
                for factor in (1.0, 1.2)
            )
            narrow.sample = wide.sample
            return narrow

    with pytest.raises(AssertionError, match="slope in log_scale is"):
        case_of(lambda: Mixed("nothing")).test_draws_pull_no_parameter_either_way()


def test_counts_that_do_not_say_so_are_found_out() -> None:
    class Undeclared(Poisson):
        support = Gaussian.support

    with pytest.raises(AssertionError, match="probability sums to"):
        case_of(Undeclared).test_probability_sums_to_one()
    assert Poisson.support is COUNTS


def test_a_test_case_says_what_it_needs() -> None:
    with pytest.raises(NotImplementedError, match=r"must define make\(\)"):
        LikelihoodTestCase().test_copies_are_the_same()
