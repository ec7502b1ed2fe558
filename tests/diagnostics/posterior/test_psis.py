"""PSIS k̂: small for an exact posterior, large for one too narrow, and ArviZ's own number."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from bayeshyper.diagnostics import PSIS, pareto_khat, psis
from bayeshyper.diagnostics.posterior import densities
from bayeshyper.diagnostics.posterior.densities import density_source, draw_density
from bayeshyper.errors import DataError
from bayeshyper.hypernets import DenseHead, Hypernetwork, HypernetworkSettings
from tests.inference.toys import Ridge, as_low_rank, random_hypernetwork, small_problem


def exact_posterior(problem: Ridge, *, width: float = 1.0, noise_dim: int = 4) -> Hypernetwork:
    """The hypernetwork that is ridge regression's posterior, its covariance times ``width²``."""
    mean, covariance = problem.posterior.mean, problem.posterior.covariance_matrix * width**2
    # Covariance = A Aᵀ + σ² I, with half of the smallest eigenvalue given to σ².
    values, vectors = torch.linalg.eigh(covariance)
    sigma2 = 0.5 * values.min()
    settings = HypernetworkSettings(noise_dim=noise_dim, hidden=(), start_share=math.inf)
    net = Hypernetwork(mean.unsqueeze(0), torch.ones(len(mean), dtype=torch.float64), settings).double()
    assert isinstance(net.head, DenseHead)
    with torch.no_grad():
        net.head.matrix.copy_((vectors * (values - sigma2).sqrt()).unsqueeze(0))
        net.log_output_noise.add_((sigma2.sqrt() / net.output_noise).log())
        for _ in range(50):  # σ = exp(·) + a floor
            net.log_output_noise.add_((sigma2.sqrt() / net.output_noise).log())
    return net


def test_an_exact_posterior_has_equal_weights() -> None:
    problem = Ridge.draw(rows=20, features=3)
    net = exact_posterior(problem)
    model = problem.model().double()
    result = psis(model, net, problem.x.double(), problem.y.double(), draws=400)
    assert result.source == "exact"
    assert result.worst < 0.3
    assert result.word == "close"
    assert result.ess[0] == pytest.approx(400, rel=1e-3)


@pytest.mark.parametrize("width", [0.4, 0.6])
def test_a_posterior_too_narrow_is_found_out(width: float) -> None:
    # In one dimension log p/q grows as ½ (1 − w²) r² in units of q, and so P(p/q > t) falls as
    # t^(−1/(1 − w²)): k = 1 − w², which four dimensions only make heavier at this many draws.
    problem = Ridge.draw(rows=20, features=3)
    net = exact_posterior(problem, width=width)
    result = psis(problem.model().double(), net, problem.x.double(), problem.y.double(), draws=4000)
    assert result.worst > 1 - width**2 - 0.25
    assert result.ess[0] < 1000


def test_a_posterior_too_wide_has_bounded_weights() -> None:
    problem = Ridge.draw(rows=20, features=3)
    net = exact_posterior(problem, width=1.5)
    result = psis(problem.model().double(), net, problem.x.double(), problem.y.double(), draws=4000)
    assert result.worst < 0.3


def test_the_weights_average_to_the_evidence() -> None:
    # E_q[p(θ, y)/q(θ)] = p(y), which for the exact posterior every single weight is.
    problem = Ridge.draw(rows=15, features=2)
    net = exact_posterior(problem, noise_dim=3)
    model, (x, y) = problem.model().double(), (problem.x.double(), problem.y.double())
    draw = net.draw(60, generator=torch.Generator().manual_seed(0))
    log_p = model.log_likelihood(draw.weights[0], x, y).sum(1) + model.prior().log_prob(draw.weights[0])
    ratio = log_p - draw_density(net, draw, "exact")
    torch.testing.assert_close(
        ratio.detach(), torch.full_like(ratio, problem.log_evidence), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("source", ["exact", "importance-sampled lower bound"])
def test_the_density_of_an_affine_trunk_is_torchs(source: str) -> None:
    net = random_hypernetwork(12, noise_dim=3)
    draw = net.draw(40, generator=torch.Generator().manual_seed(1))
    found = draw_density(net, draw, source, inner=512)  # type: ignore[arg-type]
    tolerance = 1e-9 if source == "exact" else 0.2
    torch.testing.assert_close(found, as_low_rank(net).log_prob(draw.weights[0]), atol=tolerance, rtol=0)
    assert density_source(net) == "exact"


def test_chunks_of_draws_are_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_hypernetwork(9, noise_dim=2, hidden=(4,))
    draw = net.draw(23, generator=torch.Generator().manual_seed(0))
    whole = draw_density(net, draw, "linearised")
    monkeypatch.setattr(densities, "NUMBERS_AT_ONCE", 5)
    torch.testing.assert_close(draw_density(net, draw, "linearised"), whole)


def test_the_source_is_named() -> None:
    model, guide, x, y = small_problem(members=2)
    best = psis(model, guide.hypernetwork, x, y, draws=64, inner=4)
    cheap = psis(model, guide.hypernetwork, x, y, draws=64, source="linearised")
    assert (best.source, cheap.source) == ("importance-sampled lower bound", "linearised")
    assert len(best.khat) == len(best.ess) == 2
    assert best.source in best.sentence


def test_the_tail_is_the_upper_one() -> None:
    # Pareto weights of index k have a k̂ of k; their inverses are bounded. A sign turned would swap them.
    uniform = (np.arange(4000) + 0.5) / 4000
    heavy = -0.8 * np.log(uniform)
    assert pareto_khat(heavy)[0] == pytest.approx(0.8, abs=0.1)
    assert pareto_khat(-heavy)[0] < 0.2


def test_a_constant_factor_changes_nothing() -> None:
    values = np.random.default_rng(0).normal(size=500)
    assert pareto_khat(values + 1000.0) == pytest.approx(pareto_khat(values))


def test_the_effective_number_of_draws_lies_between_one_and_all() -> None:
    values = np.zeros(100)
    values[3] = 50.0
    khat, ess = pareto_khat(values)
    assert khat == math.inf
    assert ess == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("khat", "word"), [(0.2, "close"), (0.55, "usable"), (0.69, "far"), (math.inf, "far")]
)
def test_the_word_follows_the_threshold_of_so_many_draws(khat: float, word: str) -> None:
    result = PSIS((0.1, khat), (50.0, 50.0), 1000, "exact")
    assert result.threshold == pytest.approx(2 / 3)
    assert result.word == word
    assert ("re-weighting" in result.sentence) is (word == "far")
    assert PSIS.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_many_draws_have_the_threshold_07() -> None:
    assert PSIS((0.1,), (1.0,), 10**6, "exact").threshold == 0.7


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_log_weights_that_are_not_finite_are_refused(bad: float) -> None:
    values = np.zeros(100)
    values[7] = bad
    with pytest.raises(DataError, match="1 of 100 log weights are NaN or infinite"):
        pareto_khat(values)


@pytest.mark.parametrize("draws", [1, 49])
def test_few_draws_are_refused(draws: int) -> None:
    with pytest.raises(DataError, match="at least 50"):
        pareto_khat(np.zeros(draws))
