"""BB-α: its limits, its order, and that noise of each row's own changes nothing in it."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from bayeshyper.inference import Objective, elbo_terms
from bayeshyper.inference.objectives import BlackBoxAlpha, ElboTerms
from tests.inference.toys import small_problem


def terms_of(
    objective: Objective, *, seed: int = 3, rows: slice = slice(None), **problem: object
) -> ElboTerms:
    model, guide, x, y = small_problem(dtype=torch.float64, **problem)  # type: ignore[arg-type]
    torch.manual_seed(seed)
    terms = objective.terms(model, guide, x[rows], y[rows])
    assert isinstance(terms, ElboTerms)
    return terms


@pytest.mark.parametrize("members", [1, 2])
def test_its_value_is_the_formula_written_out(members: int) -> None:
    model, guide, x, y = small_problem(particles=6, members=members, local=False, dtype=torch.float64)
    model.kl_weight = 0.3
    torch.manual_seed(3)
    terms = BlackBoxAlpha(0.4).terms(model, guide, x, y)
    torch.manual_seed(3)
    draw = guide.hypernetwork.draw(6 // members)
    likelihood = torch.stack([model.log_likelihood(weights, x, y) for weights in draw.weights]).exp()
    energy = (likelihood.pow(0.4).mean(1).log() / 0.4).sum(1).mean()
    torch.testing.assert_close(terms.log_likelihood, energy, rtol=1e-12, atol=0)
    torch.manual_seed(3)
    plain = elbo_terms(model, guide, x, y)
    torch.testing.assert_close(terms.log_prior, plain.log_prior, rtol=1e-12, atol=0)
    torch.testing.assert_close(terms.entropy, plain.entropy, rtol=1e-12, atol=0)
    assert terms.kl_weight == 0.3


def test_with_one_draw_it_is_the_elbo_and_with_alpha_near_0_too() -> None:
    for particles, alpha, tolerance in ((1, 0.7, 1e-12), (6, 1e-7, 1e-5)):
        model, guide, x, y = small_problem(particles=particles, dtype=torch.float64)
        torch.manual_seed(3)
        plain = elbo_terms(model, guide, x, y)
        ours = terms_of(BlackBoxAlpha(alpha), particles=particles)
        torch.testing.assert_close(ours.loss, plain.loss, rtol=tolerance, atol=0)


def test_it_rises_with_alpha() -> None:
    values = [terms_of(BlackBoxAlpha(alpha), particles=8).value() for alpha in (0.01, 0.3, 0.7, 1.0)]
    for lower, higher in pairwise(values):  # power means of the same draws: an inequality, not a tendency
        assert lower < higher


def test_one_batch_of_all_rows_is_the_mean_over_mini_batches() -> None:
    whole = terms_of(BlackBoxAlpha(0.5), particles=6, local=False)
    parts = [
        (size, terms_of(BlackBoxAlpha(0.5), particles=6, local=False, rows=slice(start, start + size)))
        for start, size in ((0, 10), (10, 14))
    ]
    total = sum((size / 24 * part.log_likelihood for size, part in parts), torch.zeros(()))
    torch.testing.assert_close(total, whole.log_likelihood, rtol=1e-12, atol=0)


def test_local_reparameterisation_changes_no_expectation() -> None:
    torch.manual_seed(0)
    values = {}
    for local in (True, False):
        model, guide, x, y = small_problem(particles=4, local=local, dtype=torch.float64)
        with torch.no_grad():
            guide.hypernetwork.log_output_noise.add_(1.8)  # enough ε to be wrong about
            values[local] = torch.stack(
                [BlackBoxAlpha(1.0).terms(model, guide, x, y).log_likelihood for _ in range(600)]
            )
    gap = values[True].mean() - values[False].mean()
    error = math.sqrt(sum(value.var().item() / 600 for value in values.values()))
    assert abs(gap.item()) < 4 * error
    # … although four draws are far from their limit, where any estimator would agree: the ELBO is much lower.
    model, guide, x, y = small_problem(particles=400, dtype=torch.float64)
    with torch.no_grad():
        guide.hypernetwork.log_output_noise.add_(1.8)
        assert elbo_terms(model, guide, x, y).log_likelihood < values[True].mean() - 10 * error


@pytest.mark.parametrize("alpha", [0.0, -1.0, 1.5, math.nan])
def test_an_alpha_without_meaning_is_named(alpha: float) -> None:
    with pytest.raises(ValueError, match="Got alpha"):
        BlackBoxAlpha(alpha)


def test_draws_that_members_cannot_share_evenly_are_refused() -> None:
    with pytest.raises(ValueError, match="particles = 5 for 2 members"):
        terms_of(BlackBoxAlpha(0.5), particles=5, members=2)
