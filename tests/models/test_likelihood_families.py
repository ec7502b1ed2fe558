"""Counts, shares, ordered classes, mixtures and several columns: each against SciPy, or in closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import special, stats
from torch import Tensor

from bayeshyper.errors import DataError, RecipeError
from bayeshyper.models import (
    COUNTS,
    LIKELIHOODS,
    Bernoulli,
    Beta,
    Categorical,
    Gaussian,
    GaussianMixture,
    Likelihood,
    MultivariateGaussian,
    NegativeBinomial,
    Ordinal,
    Poisson,
    TargetFacts,
)

FLOOR = 1e-4  # of a scale
Array = NDArray[np.float64]


def column(*values: float) -> Tensor:
    """A latent as the model hands it over: ``(S, 1)``."""
    return torch.tensor(values, dtype=torch.float64).unsqueeze(-1)


def outputs(width: int = 1) -> Tensor:
    """Two weight draws, five rows."""
    return 2 * torch.randn(2, 5, width, dtype=torch.float64)


def close(actual: Tensor, expected: Array | float, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(actual.numpy(), expected, rtol=rtol, atol=1e-13)


# -- counts -------------------------------------------------------------------------------------------------

NUMBERS = torch.tensor([0.0, 1.0, 3.0, 17.0, 900.0], dtype=torch.float64)


@pytest.mark.parametrize("mean", [1.0, 0.01, 300.0, 1e6])
def test_poisson_is_scipys(mean: float) -> None:
    f = outputs()
    part = Poisson(mean=mean).distribution(f, {})
    reference = stats.poisson(mean * np.exp(f[..., 0].numpy()))
    close(part.log_prob(NUMBERS), reference.logpmf(NUMBERS.numpy()))
    close(part.cdf(NUMBERS), reference.cdf(NUMBERS.numpy()))
    close(part.mean, reference.mean())
    close(part.variance, reference.var())


@pytest.mark.parametrize("mean", [1.0, 0.01, 300.0, 1e6])
def test_negative_binomial_is_scipys(mean: float) -> None:
    f, log_scale = outputs(), column(-1.0, 0.5)
    part = NegativeBinomial(mean=mean).distribution(f, {"log_scale": log_scale})
    m, tau = mean * np.exp(f[..., 0].numpy()), np.exp(log_scale.numpy()) + FLOOR
    reference = stats.nbinom(tau**-2, 1 / (1 + tau**2 * m))
    close(part.log_prob(NUMBERS), reference.logpmf(NUMBERS.numpy()))
    close(part.cdf(NUMBERS), reference.cdf(NUMBERS.numpy()))
    close(part.mean, m)
    close(part.variance, m + tau**2 * m**2)


def test_without_extra_noise_the_negative_binomial_is_poisson() -> None:
    f = 0.2 * outputs()
    one = NegativeBinomial(mean=5.0).distribution(f, {"log_scale": column(-30.0, -30.0)})
    other = Poisson(mean=5.0).distribution(f, {})
    # what is left of the noise is its floor: a relative 1e-4
    y = torch.arange(5).double()
    np.testing.assert_allclose(one.log_prob(y), other.log_prob(y), rtol=0, atol=1e-4)


@pytest.mark.parametrize("likelihood", [Poisson(mean=1e6), NegativeBinomial(mean=1e6)], ids=repr)
def test_large_counts_keep_their_digits_in_single_precision(likelihood: Likelihood) -> None:
    """The terms of a log probability are a million times their sum."""
    f, y = torch.tensor([[[0.0], [1e-3], [-1e-3]]]), torch.tensor([1e6, 1.001e6, 9.99e5])
    latents = {name: torch.tensor([[-8.0]]) for name in likelihood.latents}
    single = likelihood.distribution(f, latents).log_prob(y)
    double = likelihood.distribution(f.double(), {n: v.double() for n, v in latents.items()}).log_prob(y)
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-2)


@pytest.mark.parametrize("kind", [Poisson, NegativeBinomial, Beta])
@pytest.mark.parametrize("mean", [0.0, -1.0, math.inf, math.nan])
def test_a_mean_that_is_none_is_refused(kind: Any, mean: float) -> None:
    with pytest.raises(ValueError, match="Got mean = "):
        kind(mean=mean)


def test_outputs_beyond_all_data_do_not_overflow() -> None:
    for value in (-1e4, 1e4):
        part = Poisson().distribution(torch.full((1, 1, 1), value), {})
        assert part.log_prob(torch.tensor([3.0])).isfinite().all()
        assert part.sample().isfinite().all()


# -- shares -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [0.5, 0.01, 0.9])
def test_beta_is_scipys(mean: float) -> None:
    f, log_scale = outputs(), column(-1.0, 0.5)
    part = Beta(mean=mean).distribution(f, {"log_scale": log_scale})
    mu, tau = special.expit(f[..., 0].numpy() + special.logit(mean)), np.exp(log_scale.numpy()) + FLOOR
    reference = stats.beta(mu / tau**2, (1 - mu) / tau**2)
    y = torch.tensor([1e-9, 0.01, 0.5, 0.99, 1 - 1e-9], dtype=torch.float64)
    close(part.log_prob(y), reference.logpdf(y.numpy()))
    close(part.cdf(y), reference.cdf(y.numpy()))
    close(part.mean, mu)
    close(part.variance, mu * (1 - mu) / (1 + tau**-2))


def test_a_share_outside_its_support_has_no_density() -> None:
    part = Beta().distribution(torch.zeros(1, 1, 1), {"log_scale": torch.zeros(1, 1)})
    for y, below in ((-0.5, 0.0), (0.0, 0.0), (1.0, 1.0), (1.5, 1.0)):
        assert part.log_prob(torch.tensor([y])).item() == -math.inf
        assert part.cdf(torch.tensor([y])).item() == below


@pytest.mark.parametrize("f", [-50.0, 0.0, 50.0])
def test_drawn_shares_can_be_scored(f: float) -> None:
    """The Fisher information scores draws: one that rounds to 0 or 1 would be impossible."""
    part = Beta().distribution(torch.full((1, 1, 1), f), {"log_scale": torch.full((1, 1), 3.0)})
    drawn = part.sample(torch.Size((500,)))
    assert part.log_prob(drawn).isfinite().all()


# -- mixtures -----------------------------------------------------------------------------------------------


def test_a_mixture_is_the_sum_of_its_parts() -> None:
    f, log_scale = outputs(9), column(-1.0, 0.5)
    part = GaussianMixture(3).distribution(f, {"log_scale": log_scale})
    logits, means, scales = f.numpy()[..., :3], f.numpy()[..., 3:6], f.numpy()[..., 6:]
    weights = special.softmax(logits, axis=-1)
    spread = np.log1p(np.exp(scales - 1.25)) * np.exp(log_scale.numpy())[..., None] + FLOOR
    parts = stats.norm(np.array([-1.0, 0.0, 1.0]) + means, spread)
    y = torch.tensor([-3.0, -0.5, 0.0, 0.1, 4.0], dtype=torch.float64)
    close(part.log_prob(y).exp(), (weights * parts.pdf(y.numpy()[:, None])).sum(-1))
    close(part.cdf(y), (weights * parts.cdf(y.numpy()[:, None])).sum(-1))
    close(part.mean, (weights * parts.mean()).sum(-1))


def test_a_mixture_of_one_is_a_gaussian() -> None:
    f = outputs(3)
    part = GaussianMixture(1).distribution(f, {"log_scale": column(0.0, 0.0)})
    reference = stats.norm(f[..., 1].numpy(), np.log1p(np.exp(f[..., 2].numpy() - 1.25)) + FLOOR)
    y = torch.linspace(-1, 1, 5).double()
    close(part.log_prob(y), reference.logpdf(y.numpy()))


def test_no_components_are_refused() -> None:
    with pytest.raises(ValueError, match="components = 0, expected at least 1"):
        GaussianMixture(0)


# -- ordered classes ----------------------------------------------------------------------------------------


def cumulative(f: Array, cuts: Array) -> Array:
    """P(y = c), as differences of logistic functions."""
    below = special.expit(cuts - f)
    ends = np.zeros((*f.shape[:-1], 1)), np.ones((*f.shape[:-1], 1))
    return np.diff(np.concatenate([ends[0], below, ends[1]], axis=-1), axis=-1)


def test_ordinal_is_the_proportional_odds_model() -> None:
    f, first = outputs(), column(-0.3, 0.8)
    log_gaps = torch.tensor([[[0.5, -0.2]], [[-1.0, 0.3]]], dtype=torch.float64)
    part = Ordinal(4).distribution(f, {"first_cut": first, "log_gaps": log_gaps})
    start = special.logit(np.array([0.25, 0.5, 0.75]))
    gaps = np.diff(start) * np.exp(log_gaps.numpy()) + 1e-4
    lowest = first[..., None].numpy() + start[0]
    cuts = np.concatenate([lowest, lowest + np.cumsum(gaps, axis=-1)], axis=-1)
    close(part.probs, cumulative(f.numpy(), cuts))


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_at_the_start_all_classes_are_alike(n_classes: int) -> None:
    likelihood = Ordinal(n_classes)
    latents = {name: torch.zeros(1, 1, *latent.shape).double() for name, latent in likelihood.latents.items()}
    part = likelihood.distribution(torch.zeros(1, 3, 1).double(), latents)
    close(part.probs, np.full((1, 3, n_classes), 1 / n_classes), rtol=1e-3)  # up to the smallest gap


def test_a_larger_output_means_higher_classes() -> None:
    likelihood = Ordinal(5)
    latents = {name: torch.randn(1, 1, *latent.shape).double() for name, latent in likelihood.latents.items()}
    f = torch.linspace(-6, 6, 50).double().reshape(1, -1, 1)
    below = likelihood.distribution(f, latents).probs.cumsum(-1)[0, :, :-1]
    assert bool((below.diff(dim=0) < 0).all())


def test_two_ordered_classes_are_a_bernoulli() -> None:
    f, first = outputs(), column(-0.3, 0.8)
    ordinal = Ordinal(2).distribution(f, {"first_cut": first})
    bernoulli = Bernoulli().distribution(f - first.unsqueeze(-1), {})
    close(ordinal.probs[..., 1], bernoulli.probs.numpy())


def test_far_from_every_cut_probabilities_keep_their_digits() -> None:
    likelihood = Ordinal(3)
    latents = {name: torch.zeros(1, 1, *latent.shape) for name, latent in likelihood.latents.items()}
    part = likelihood.distribution(torch.tensor([[[-60.0], [60.0]]]), latents)
    assert part.log_prob(torch.tensor([2, 0])).tolist()[0] == pytest.approx([-60.7, -60.7], abs=0.1)


# -- several columns ----------------------------------------------------------------------------------------


def test_a_full_covariance_is_scipys() -> None:
    f = outputs(3)
    log_scale = torch.tensor([[[-1.0, 0.0, 0.5]], [[0.3, -0.7, 0.1]]], dtype=torch.float64)
    mixing = torch.tensor([[[0.5, -1.0, 2.0]], [[0.0, 0.7, -0.4]]], dtype=torch.float64)
    likelihood = MultivariateGaussian(3)
    part = likelihood.distribution(f, {"log_scale": log_scale, "mixing": mixing})
    y = torch.randn(5, 3, dtype=torch.float64)
    for draw in range(2):
        scale, (a, b, c) = np.exp(log_scale[draw, 0].numpy()) + FLOOR, mixing[draw, 0].tolist()
        root = np.diag(scale) @ np.array([[1, 0, 0], [a, 1, 0], [b, c, 1]])
        covariance = root @ root.T
        for row in range(5):
            reference = stats.multivariate_normal(f[draw, row].numpy(), covariance)
            assert part.log_prob(y)[draw, row].item() == pytest.approx(
                reference.logpdf(y[row].numpy()), rel=1e-9
            )
        close(part.variance[draw, 0], np.diag(covariance))
    marginals = likelihood.marginals(part)
    close(marginals.mean, f.numpy())
    close(marginals.variance, part.variance.numpy())


def test_a_diagonal_covariance_is_columns_alone() -> None:
    f, log_scale = outputs(3), torch.randn(2, 1, 3).double()
    y = torch.randn(5, 3).double()
    part = MultivariateGaussian(3, covariance="diagonal").distribution(f, {"log_scale": log_scale})
    alone = [
        Gaussian().distribution(f[..., k : k + 1], {"log_scale": log_scale[..., k]}).log_prob(y[:, k])
        for k in range(3)
    ]
    close(part.log_prob(y), torch.stack(alone).sum(0).numpy())


def test_a_full_covariance_without_mixing_is_diagonal() -> None:
    f, log_scale, y = outputs(3), torch.randn(2, 1, 3).double(), torch.randn(5, 3).double()
    full = MultivariateGaussian(3).distribution(
        f, {"log_scale": log_scale, "mixing": torch.zeros(2, 1, 3).double()}
    )
    diagonal = MultivariateGaussian(3, covariance="diagonal").distribution(f, {"log_scale": log_scale})
    close(full.log_prob(y), diagonal.log_prob(y).numpy())


@pytest.mark.parametrize(
    ("columns", "covariance", "latents"), [(1, "full", 1), (3, "full", 2), (3, "diagonal", 1)]
)
def test_latents_are_those_of_the_covariance(columns: int, covariance: Any, latents: int) -> None:
    assert len(MultivariateGaussian(columns, covariance=covariance).latents) == latents


def test_covariances_and_columns_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="covariance = 'sparse', expected 'full' or 'diagonal'"):
        MultivariateGaussian(2, covariance="sparse")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_columns = 0, expected at least 1"):
        MultivariateGaussian(0)


# -- targets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("likelihood", "values", "sentence"),
    [
        (
            Poisson(),
            [1.0, 2.0, -3.0],
            r"Got the target -3 in row 3 .*expected whole numbers of 0 or more .*Poisson",
        ),
        (NegativeBinomial(), [1.0, 2.5, -3.0], r"Got the target 2.5 in row 2 .*NegativeBinomial"),
        (
            Beta(),
            [0.5, 1.0, 0.2],
            r"Got the target 1 in row 2 .*expected numbers strictly between 0 and 1 .*Beta",
        ),
        (
            Gaussian(),
            [0.5, 1.0, math.nan],
            r"Got the target nan in row 3 .*expected finite numbers .*Gaussian",
        ),
        (
            Bernoulli(),
            [0.0, 2.0],
            r"Got the target 2 in row 2 .*expected class indices from 0 to 1 .*Bernoulli",
        ),
        (Categorical(3), [0.0, 3.0], r"Got the target 3 in row 2 .*expected class indices from 0 to 2"),
        (Ordinal(3), [0.5], r"Got the target 0.5 in row 1 "),
        (
            MultivariateGaussian(2),
            [[1.0, 2.0], [1.0, math.inf]],
            r"Got the target inf in row 2, column 2 .*expected finite numbers .*MultivariateGaussian",
        ),
    ],
)
def test_a_target_outside_the_support_is_named(likelihood: Likelihood, values: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        likelihood.check_target(torch.tensor(values))


def test_only_real_numbers_are_standardised() -> None:
    facts = TargetFacts(mean=0.5, n_columns=1, n_classes=2)
    standardized = {name for name, kind in LIKELIHOODS.items() if kind.for_target(facts).standardized}
    assert standardized == {"gaussian", "heteroscedastic", "student-t", "mixture", "multivariate-gaussian"}


def test_what_the_targets_say_is_taken_over_unless_it_is_set() -> None:
    facts = TargetFacts(mean=300.0, n_columns=2, n_classes=5)
    assert Poisson.for_target(facts).mean == 300.0
    assert Poisson.for_target(facts, mean=7.0).mean == 7.0
    assert Beta.for_target(facts).mean == 0.5  # which 300 is not
    assert Categorical.for_target(facts).n_outputs == 5
    assert Ordinal.for_target(facts).n_classes == 5
    assert MultivariateGaussian.for_target(facts, covariance="diagonal").event_shape == (2,)
    with pytest.raises(RecipeError, match=r"Got 5 classes .*expected 2"):
        Bernoulli.for_target(facts)


def test_a_likelihood_of_several_numbers_says_what_it_lacks() -> None:
    class Own(Gaussian):
        event_shape = (2,)

    part = Own().distribution(torch.zeros(1, 1, 1), {"log_scale": torch.zeros(1, 1)})
    with pytest.raises(NotImplementedError, match=r"Own must define marginals\(distribution\)"):
        Own().marginals(part)
    assert Poisson.support is COUNTS
