"""Distributions cut to a part of their support: the density and the draws of what is left."""

from __future__ import annotations

import pytest
import torch
from pyro.distributions import constraints
from scipy import stats

from tests.test_uci_harness import imported

priors = imported("posteriors.priors")
DRAWS = 4000


def test_a_cut_normal_draws_as_the_truncated_normal() -> None:
    torch.manual_seed(0)
    draws = priors.half_normal(0.5, mean=0.2).sample((DRAWS,))
    truncated = stats.truncnorm(-0.4, float("inf"), loc=0.2, scale=0.5)
    assert stats.kstest(draws, truncated.cdf).pvalue > 0.01


def test_an_ordered_pair_draws_as_a_pair_that_is_sorted() -> None:
    torch.manual_seed(0)
    pair = priors.Restricted(priors.normal(0.0, 2.0, 2), constraints.ordered_vector)
    lower, upper = pair.sample((DRAWS,)).unbind(-1)
    assert (lower < upper).all()
    normal = stats.norm(0, 2)
    assert stats.kstest(upper, lambda x: normal.cdf(x) ** 2).pvalue > 0.01
    assert stats.kstest(lower, lambda x: 1.0 - normal.sf(x) ** 2).pvalue > 0.01


def test_a_cut_distribution_keeps_its_density_up_to_a_constant() -> None:
    values = torch.linspace(0.1, 9.0, 20, dtype=torch.float64)
    ours = priors.half_student_t(3.0, 1.0, 2.0).log_prob(values)
    theirs = torch.as_tensor(stats.t.logpdf(values, 3, 1, 2))
    torch.testing.assert_close(ours - ours[0], theirs - theirs[0], rtol=1e-12, atol=1e-12)


def test_a_value_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="within the support"):
        priors.half_normal(1.0).log_prob(torch.tensor(-1.0))


def test_a_flat_density_is_the_same_everywhere() -> None:
    values = torch.tensor([[0.0, 0.0], [1e6, -3.0]], dtype=torch.float64)
    assert priors.flat(2).log_prob(values).tolist() == [0.0, 0.0]
    assert priors.flat_positive().log_prob(values[1:, 0]).tolist() == [0.0]
    assert priors.flat(2).sample().dtype == torch.float64
