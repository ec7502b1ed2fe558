from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from bayeshyper.models import (
    LIKELIHOODS,
    Bernoulli,
    Categorical,
    Gaussian,
    HeteroscedasticGaussian,
    Likelihood,
    Ordinal,
    StudentT,
)

MIN_SCALE = 1e-4  # of the noise, in standardised units
Array = NDArray[np.float64]


def column(*values: float) -> Tensor:
    """A latent as the model hands it over: ``(S, 1)``."""
    return torch.tensor(values, dtype=torch.float64).unsqueeze(-1)


def outputs(width: int) -> Tensor:
    """Two weight draws, five rows."""
    return 2 * torch.randn(2, 5, width, dtype=torch.float64)


TARGETS = torch.tensor([-3.0, -0.5, 0.0, 0.1, 40.0], dtype=torch.float64)


def close(actual: Tensor, expected: Array | float) -> None:
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-11, atol=1e-13)


def test_gaussian_is_scipys_normal() -> None:
    f, log_scale = outputs(1), column(-1.0, 0.5)
    part = Gaussian().distribution(f, {"log_scale": log_scale})
    reference = stats.norm(f[..., 0].numpy(), np.exp(log_scale.numpy()) + MIN_SCALE)
    assert part.batch_shape == (2, 5)
    close(part.log_prob(TARGETS), reference.logpdf(TARGETS.numpy()))
    close(part.cdf(TARGETS), reference.cdf(TARGETS.numpy()))
    close(part.mean, reference.mean())
    close(part.variance, np.broadcast_to(reference.var(), (2, 5)))


def test_heteroscedastic_gaussian_reads_its_noise_off_the_second_output() -> None:
    f = outputs(2)
    part = HeteroscedasticGaussian().distribution(f, {})
    scale = np.log1p(np.exp(f[..., 1].numpy() - 1.25)) + MIN_SCALE
    reference = stats.norm(f[..., 0].numpy(), scale)
    assert part.batch_shape == (2, 5)
    close(part.log_prob(TARGETS), reference.logpdf(TARGETS.numpy()))
    close(part.stddev, scale)


def test_heteroscedastic_noise_starts_near_a_quarter() -> None:
    part = HeteroscedasticGaussian().distribution(torch.zeros(1, 1, 2), {})
    assert part.stddev.item() == pytest.approx(0.25, abs=0.005)


def test_student_t_is_scipys() -> None:
    f, log_scale, log_df = outputs(1), column(-1.0, 0.5), column(-2.0, 3.0)
    part = StudentT().distribution(f, {"log_scale": log_scale, "log_df": log_df})
    df, scale = 2 + np.exp(log_df.numpy()), np.exp(log_scale.numpy()) + MIN_SCALE
    reference = stats.t(df, f[..., 0].numpy(), scale)
    assert part.batch_shape == (2, 5)
    close(part.log_prob(TARGETS), reference.logpdf(TARGETS.numpy()))
    close(part.cdf(TARGETS), reference.cdf(TARGETS.numpy()))
    close(part.mean, reference.mean())
    close(part.variance, np.broadcast_to(scale**2 * df / (df - 2), (2, 5)))


@pytest.mark.parametrize("log_df", [-20.0, -5.0, 0.0, 10.0])
def test_student_t_always_has_a_variance(log_df: float) -> None:
    part = StudentT().distribution(
        torch.zeros(1, 1, 1).double(), {"log_scale": column(0.0), "log_df": column(log_df)}
    )
    assert math.isfinite(part.variance.item())


def test_student_t_draws_follow_its_own_distribution_function() -> None:
    part = StudentT().distribution(
        torch.ones(1, 1, 1).double(), {"log_scale": column(0.3), "log_df": column(1.0)}
    )
    draws = part.sample(torch.Size((4000,))).flatten().numpy()
    result = stats.kstest(draws, lambda y: part.cdf(torch.from_numpy(y).reshape(-1, 1, 1)).flatten().numpy())
    assert result.pvalue > 1e-3


def test_bernoulli_is_the_logistic_function() -> None:
    f = outputs(1)
    part = Bernoulli().distribution(f, {})
    probability = 1 / (1 + np.exp(-f[..., 0].numpy()))
    close(part.log_prob(torch.ones(5).double()), np.log(probability))
    close(part.log_prob(torch.zeros(5).double()), np.log(1 - probability))


def test_categorical_is_the_softmax() -> None:
    f = outputs(3)
    part = Categorical(3).distribution(f, {})
    powers = np.exp(f.numpy())
    expected = np.log(powers / powers.sum(-1, keepdims=True))
    assert part.batch_shape == (2, 5)
    for label in range(3):
        close(part.log_prob(torch.full((5,), label)), expected[..., label])


def test_two_classes_are_the_same_either_way() -> None:
    f = outputs(1)
    pair = torch.cat([torch.zeros_like(f), f], dim=-1)
    for label in (0.0, 1.0):
        y = torch.full((5,), label, dtype=torch.float64)
        one, two = Bernoulli().distribution(f, {}), Categorical(2).distribution(pair, {})
        close(one.log_prob(y), two.log_prob(y).numpy())


@pytest.mark.parametrize(
    "likelihood", [Gaussian(), HeteroscedasticGaussian(), StudentT(), Bernoulli(), Categorical(4)], ids=repr
)
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_any_number_of_draws_gives_one_distribution_per_row(
    likelihood: Likelihood, lead: tuple[int, ...]
) -> None:
    latents = {name: torch.zeros(*lead, 1) for name in likelihood.latents}
    part = likelihood.distribution(torch.zeros(*lead, 5, likelihood.n_outputs), latents)
    assert part.batch_shape == (*lead, 5)
    assert part.event_shape == ()
    assert part.sample().shape == (*lead, 5)


@pytest.mark.parametrize("log_scale", [-800.0, -20.0])
def test_noise_never_vanishes(log_scale: float) -> None:
    latents = {"log_scale": column(log_scale), "log_df": column(0.0)}
    for likelihood in (Gaussian(), StudentT()):
        score = likelihood.distribution(torch.zeros(1, 1, 1).double(), latents).log_prob(
            torch.zeros(1).double()
        )
        assert score.item() < -math.log(MIN_SCALE)


@pytest.mark.parametrize("kind", [Categorical, Ordinal])
def test_fewer_than_two_classes_are_refused(kind: type[Categorical] | type[Ordinal]) -> None:
    with pytest.raises(ValueError, match="n_classes = 1, expected at least 2"):
        kind(1)


def test_what_a_likelihood_must_define_is_said() -> None:
    with pytest.raises(NotImplementedError, match=r"Mine must define distribution\(outputs, latents\)"):
        type("Mine", (Likelihood,), {})().distribution(torch.zeros(1, 1), {})


def test_each_has_a_name_and_a_task() -> None:
    tasks = {name: kind.task for name, kind in LIKELIHOODS.items()}
    assert tasks == {
        "gaussian": "regression",
        "heteroscedastic": "regression",
        "student-t": "regression",
        "mixture": "regression",
        "multivariate-gaussian": "regression",
        "poisson": "regression",
        "negative-binomial": "regression",
        "beta": "regression",
        "bernoulli": "classification",
        "categorical": "classification",
        "ordinal": "classification",
    }
