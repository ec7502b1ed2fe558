"""Rényi's and the importance-weighted bound: exact evidence, order, limits, and Pyro's own implementation."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from pyro.infer import RenyiELBO
from torch import Tensor

from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import ImplicitGuide, elbo_terms
from bayeshyper.inference.entropies import ENTROPIES, HierarchicalEntropy, LinearizedEntropy, SteinEntropy
from bayeshyper.inference.objectives import ImportanceWeighted, Renyi, WeightedTerms
from bayeshyper.models import BayesianModel
from tests.inference.toys import Ridge, small_problem

Problem = tuple[BayesianModel, ImplicitGuide, Tensor, Tensor]


def ridge(particles: int, *, exact: bool, noise_power: float = 1.0) -> tuple[Ridge, Problem]:
    """Linear regression; the guide is its posterior (at a power of the likelihood), or half as wide."""
    data = Ridge.draw()
    model = data.model().double()
    model.particles = particles
    posterior = Ridge(data.x, data.y, data.noise / math.sqrt(noise_power)).posterior
    covariance = posterior.covariance_matrix
    noise = 0.5 * torch.linalg.eigvalsh(covariance)[0]
    settings = HypernetworkSettings(noise_dim=model.spec.size, hidden=(), output_noise=0.1)
    net = settings.build(posterior.mean.unsqueeze(0), model.prior.scale.double())
    identity = torch.eye(len(covariance), dtype=torch.float64)
    with torch.no_grad():
        net.log_output_noise.copy_((noise.sqrt() - 1e-4).log().expand_as(net.mean))
        net.head.matrix.copy_(torch.linalg.cholesky(covariance - noise * identity))
        if not exact:
            net.head.matrix.mul_(0.5)
    return data, (model, ImplicitGuide(model, net), data.x.double(), data.y.double())


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("particles", [1, 7])
def test_with_the_exact_posterior_every_draw_gives_the_evidence(alpha: float, particles: int) -> None:
    data, problem = ridge(particles, exact=True)
    terms = Renyi(alpha).terms(*problem)
    assert terms.value() == pytest.approx(data.log_evidence, abs=1e-6)
    assert terms.loss.item() == -terms.value()


def test_bounds_stay_below_the_evidence_and_rise_with_draws_and_as_alpha_falls() -> None:
    torch.manual_seed(0)
    means = []
    for particles in (1, 4, 32):
        data, problem = ridge(particles, exact=False)
        with torch.no_grad():
            terms = [ImportanceWeighted().terms(*problem) for _ in range(400)]
        values = torch.tensor([term.value() for term in terms])
        assert values.mean().item() < data.log_evidence + 4 * values.std().item() / 20
        means.append((values.mean().item(), values.std().item() / 20))
        for term in terms[:20]:
            bounds = [
                WeightedTerms(term.log_likelihood, term.log_prior, term.log_density, alpha, 1.0).value()
                for alpha in (1.0, 0.6, 0.2, 0.0)
            ]
            for lower, higher in pairwise(bounds):  # power means of the same weights
                assert lower <= higher + 1e-9
    for (fewer, error), (more, other) in pairwise(means):
        assert more > fewer + 3 * math.hypot(error, other)
    assert data.log_evidence - means[-1][0] < 0.5 * (data.log_evidence - means[0][0])


def test_alpha_1_is_the_elbo_and_its_neighbourhood_is_near_it() -> None:
    torch.manual_seed(0)
    _, problem = ridge(500, exact=False)
    with torch.no_grad():
        terms = Renyi(1.0).terms(*problem)
        plain = torch.tensor([elbo_terms(*problem).value() for _ in range(10)])
    log_weights = terms.log_likelihood + terms.log_prior - terms.log_density
    error = math.hypot(log_weights.std().item() / math.sqrt(500), plain.std().item())
    assert abs(terms.value() - plain.mean().item()) < 4 * error
    near = WeightedTerms(terms.log_likelihood, terms.log_prior, terms.log_density, 1 - 1e-7, 1.0)
    assert near.value() == pytest.approx(terms.value(), abs=1e-4)


def test_one_draw_leaves_nothing_to_weigh() -> None:
    values = []
    for objective in (ImportanceWeighted(), Renyi(0.3), Renyi(1.0)):
        model, guide, x, y = small_problem(particles=1, dtype=torch.float64)
        torch.manual_seed(1)
        values.append(objective.terms(model, guide, x, y).value())
    assert values == pytest.approx([values[0]] * 3, rel=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_its_value_is_that_of_pyros_own(alpha: float) -> None:
    model, guide, x, y = small_problem(particles=5, dtype=torch.float64)
    torch.manual_seed(3)
    ours = Renyi(alpha).terms(model, guide, x, y).loss
    model.particles = None

    def pyro_guide(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return guide.draw(pointwise=True)

    renyi = RenyiELBO(alpha=alpha, num_particles=5, vectorize_particles=True, max_plate_nesting=1)
    torch.manual_seed(3)
    assert renyi.loss(model, pyro_guide, x, y) == pytest.approx(ours.item(), rel=1e-10)


@pytest.mark.parametrize("members", [1, 3])
def test_its_value_is_the_formula_written_out(members: int) -> None:
    model, guide, x, y = small_problem(particles=6, members=members, dtype=torch.float64)
    model.kl_weight = 0.3
    torch.manual_seed(3)
    loss = Renyi(0.25).terms(model, guide, x[:9], y[:9]).loss  # 9 of 24 rows: scaled
    torch.manual_seed(3)
    draw = guide.hypernetwork.draw(6 // members)
    rows = torch.stack([model.log_likelihood(weights, x[:9], y[:9]) for weights in draw.weights]).sum(-1)
    prior = model.prior().log_prob(draw.weights)
    density = LinearizedEntropy(guide.hypernetwork).log_density(guide.hypernetwork, draw)
    weights = (24 / 9 * rows / 0.3 + prior - density).exp()
    bound = 0.3 / 0.75 * weights.pow(0.75).mean(1).log().mean()
    torch.testing.assert_close(-loss, bound, rtol=1e-10, atol=0)


def test_at_another_temperature_the_target_is_that_of_the_powered_likelihood() -> None:
    _, (model, guide, x, y) = ridge(8, exact=True, noise_power=4.0)
    model.kl_weight = 0.25
    terms = ImportanceWeighted().terms(model, guide, x, y)
    log_weights = terms.log_likelihood / 0.25 + terms.log_prior - terms.log_density
    assert log_weights.std().item() < 1e-7  # q is the cold posterior: no draw weighs more than another
    assert (terms.log_likelihood + terms.log_prior - terms.log_density).std().item() > 0.1
    # At α = 1, it is what the ELBO is tempered to.
    at_one = WeightedTerms(terms.log_likelihood, terms.log_prior, terms.log_density, 1.0, 0.25)
    tempered = terms.log_likelihood + 0.25 * (terms.log_prior - terms.log_density)
    torch.testing.assert_close(-at_one.loss, tempered.mean(), rtol=1e-12, atol=0)


def test_all_rows_see_the_same_weights_whatever_the_guide_does_for_others() -> None:
    losses = []
    for local in (True, False):
        model, guide, x, y = small_problem(particles=6, local=local, dtype=torch.float64)
        torch.manual_seed(2)
        losses.append(Renyi(0.5).terms(model, guide, x, y).loss.item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("name", [name for name, kind in ENTROPIES.items() if kind.pointwise])
def test_every_density_trains_it(name: str) -> None:
    model, guide, x, y = small_problem(particles=6, members=2)
    guide = ImplicitGuide(model, guide.hypernetwork, entropy=ENTROPIES[name](guide.hypernetwork))
    ImportanceWeighted().terms(model, guide, x, y).loss.backward()
    for parameter in guide.hypernetwork.parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all())
        assert parameter.grad.abs().max().item() > 0.0


def test_a_bound_on_the_density_keeps_the_bound_on_the_evidence() -> None:
    # A guide that folds has no density in closed form: with the hierarchical one, weights stay unbiased.
    torch.manual_seed(0)
    data = Ridge.draw()
    model = data.model().double()
    model.particles = 4
    guide = data.guide(model, HypernetworkSettings(noise_dim=1, hidden=(4,), gain=1.0, output_noise=0.5))
    net = guide.hypernetwork.double()
    with torch.no_grad():
        net.mean.copy_(data.posterior.mean)
    guide = ImplicitGuide(model, net, entropy=HierarchicalEntropy(net, inner=4))
    with torch.no_grad():
        values = torch.tensor(
            [
                ImportanceWeighted().terms(model, guide, data.x.double(), data.y.double()).value()
                for _ in range(300)
            ]
        )
    assert values.mean().item() < data.log_evidence + 4 * values.std().item() / math.sqrt(300)


@pytest.mark.parametrize("alpha", [-0.5, 1.01, math.nan])
def test_an_alpha_without_meaning_is_named(alpha: float) -> None:
    with pytest.raises(ValueError, match="Got alpha"):
        Renyi(alpha)


@pytest.mark.parametrize("entropy", [SteinEntropy, lambda net: lambda net, draw: draw.z.sum(-1)])
def test_an_estimator_without_densities_is_refused(entropy: Callable[..., object]) -> None:
    model, guide, x, y = small_problem(particles=4)
    guide = ImplicitGuide(model, guide.hypernetwork, entropy=entropy(guide.hypernetwork))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="densit"):
        Renyi(0.5).terms(model, guide, x, y)
