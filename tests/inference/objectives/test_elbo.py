"""The ELBO of one batch: the same number from three implementations, and unbiased in every variant."""

from __future__ import annotations

import math

import pytest
import torch
from pyro.infer import Trace_ELBO
from torch import Tensor

from bayeshyper.errors import TrainingDiverged
from bayeshyper.hypernets import MIN_OUTPUT_NOISE
from bayeshyper.inference import ElboTerms, ImplicitGuide, elbo_terms
from bayeshyper.models import BayesianModel
from bayeshyper.models.likelihoods import gaussian
from tests.inference.toys import small_problem
from tests.reference.floor import Floor, Noise


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("kl_weight", [1.0, 0.3])
def test_loss_is_what_pyros_own_elbo_gives(members: int, local: bool, kl_weight: float) -> None:
    model, guide, x, y = small_problem(members=members, particles=6, local=local, dtype=torch.float64)
    model.kl_weight = kl_weight
    torch.manual_seed(3)
    ours = elbo_terms(model, guide, x, y).loss
    torch.manual_seed(3)
    pyros = Trace_ELBO().differentiable_loss(model, guide, x, y)
    torch.testing.assert_close(ours, pyros, rtol=1e-12, atol=0)
    parameters = list(guide.parameters())
    gradients = [torch.autograd.grad(loss, parameters) for loss in (ours, pyros)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)


def test_kl_weight_scales_prior_and_entropy_exactly_and_nothing_else() -> None:
    model, guide, x, y = small_problem(particles=6, dtype=torch.float64)
    terms = []
    for weight in (1.0, 0.25):
        model.kl_weight = weight
        torch.manual_seed(3)
        terms.append(elbo_terms(model, guide, x, y))
    full, quarter = terms
    torch.testing.assert_close(quarter.log_likelihood, full.log_likelihood, rtol=0, atol=0)
    torch.testing.assert_close(quarter.log_prior, 0.25 * full.log_prior, rtol=1e-14, atol=0)
    torch.testing.assert_close(quarter.entropy, 0.25 * full.entropy, rtol=1e-14, atol=0)
    # … and the ELBO that is reported is that at full weight.
    assert full.value() == pytest.approx(-full.loss.item(), rel=1e-14)
    assert quarter.value() == pytest.approx(full.value(), rel=1e-13)


def sequence_of(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    """The normal numbers that a generator gives in turn."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("rows", [24, 7])
def test_value_and_gradient_are_those_of_the_step_written_by_hand(
    members: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaussian, "MIN_SCALE", 0.0)  # the reference has no such floor
    particles = 4
    model, guide, x, y = small_problem(members=members, particles=particles * members, dtype=torch.float64)
    model.kl_weight = 0.7
    net = guide.hypernetwork
    floor = Floor(features=3, hidden=5, noise_dim=2, trunk=(4,), members=members).double()
    with torch.no_grad():
        floor.mu.copy_(net.mean)
        floor.log_sigma.copy_(net.output_noise.log())
        floor.A.copy_(net.head.matrix)
        floor.trunk[0].copy_(net.trunk.weights[0])
        floor.trunk[1].copy_(net.trunk.biases[0])
        floor.scale.copy_(model.prior.scale)
        floor.prior_mean.copy_(model.prior.loc)
    x, y = x[:rows], y[:rows]

    guide.generator = torch.Generator().manual_seed(11)
    loss = elbo_terms(model, guide, x, y).loss
    # The library draws z, ε of all weights, and then the noise of each Linear's outputs.
    z, eps, hidden, output = sequence_of(
        11,
        (members, particles, 2),
        (members, particles, net.size),
        (members, particles, 5, rows),
        (members, particles, 1, rows),
    )
    noise = Noise(z=z, hidden=hidden.mT, output=output[..., 0, :], log_noise=eps[..., -1])
    reference = -floor.elbo(x, y, n_rows=24, noise=noise, kl_weight=0.7).mean()
    torch.testing.assert_close(loss, reference, rtol=1e-10, atol=0)

    ours = [net.mean, net.log_output_noise, net.head.matrix, net.trunk.weights[0], net.trunk.biases[0]]
    theirs = [floor.mu, floor.log_sigma, floor.A, floor.trunk[0], floor.trunk[1]]
    got, expected = torch.autograd.grad(loss, ours), list(torch.autograd.grad(reference, theirs))
    # σ = exp(l) + floor: the library's l moves log σ by exp(l)/σ.
    expected[1] = expected[1] * (1 - MIN_OUTPUT_NOISE / net.output_noise.detach())
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("sizes", [(8, 8, 8), (10, 10, 4), (24,), (1, 23)])
def test_one_batch_of_all_rows_is_the_mean_over_mini_batches(sizes: tuple[int, ...]) -> None:
    model, guide, x, y = small_problem(particles=6, local=False, dtype=torch.float64)

    def terms(rows: slice) -> ElboTerms:
        torch.manual_seed(5)  # the same weights for every batch
        return elbo_terms(model, guide, x[rows], y[rows])

    whole = terms(slice(None))
    total, start = torch.zeros(()), 0
    for size in sizes:
        part = terms(slice(start, start + size))
        torch.testing.assert_close(part.log_prior, whole.log_prior, rtol=0, atol=0)
        torch.testing.assert_close(part.entropy, whole.entropy, rtol=0, atol=0)
        total = total + size / 24 * part.log_likelihood  # each batch counts by its rows
        start += size
    torch.testing.assert_close(total, whole.log_likelihood, rtol=1e-12, atol=0)


def repeats(
    model: BayesianModel, guide: ImplicitGuide, x: Tensor, y: Tensor, n: int
) -> tuple[Tensor, Tensor]:
    """Terms ``(n, 3)`` and gradients ``(n, P)`` of n independent evaluations."""
    parameters = list(guide.parameters())
    values, gradients = [], []
    for _ in range(n):
        terms = elbo_terms(model, guide, x, y)
        values.append(torch.stack([terms.log_likelihood, terms.log_prior, terms.entropy]).detach())
        parts = torch.autograd.grad(terms.loss, parameters)
        gradients.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(values), torch.stack(gradients)


@pytest.mark.parametrize(("members", "noise_dim"), [(1, 0), (2, 2)])
def test_local_reparameterisation_changes_no_expectation(members: int, noise_dim: int) -> None:
    results = {}
    torch.manual_seed(0)
    for local in (True, False):
        # 65 particles of 2 members take the road through a random choice of draws.
        model, guide, x, y = small_problem(
            members=members, particles=65, local=local, noise_dim=noise_dim, dtype=torch.float64
        )
        with torch.no_grad():
            guide.hypernetwork.log_output_noise.add_(1.2)  # σ = 0.33: enough ε to be wrong about
        results[local] = repeats(model, guide, x, y, 80)
    for kind in (0, 1):
        local, sampled = results[True][kind], results[False][kind]
        error = (local.var(0) / len(local) + sampled.var(0) / len(sampled)).sqrt()
        score = (local.mean(0) - sampled.mean(0)) / error.clamp_min(1e-9)
        # Standard scores of P coordinates: the largest of 300 independent ones stays below 4.5 in 99.8 % of
        # all cases (t with 158 degrees of freedom).
        assert score.abs().max().item() < 4.5
    if noise_dim == 0:  # all noise is ε: local reparameterisation is there to have less of it
        (value, gradient), (sampled_value, sampled_gradient) = results[True], results[False]
        assert value[:, 0].var() < sampled_value[:, 0].var()
        assert gradient.var(0).sum() < 0.7 * sampled_gradient.var(0).sum()


def test_more_particles_change_the_noise_and_not_the_mean() -> None:
    results = []
    torch.manual_seed(1)
    for particles, n in ((1, 400), (40, 60)):
        model, guide, x, y = small_problem(particles=particles, dtype=torch.float64)
        with torch.no_grad():
            values = []
            for _ in range(n):
                terms = elbo_terms(model, guide, x, y)
                values.append(torch.stack([terms.log_likelihood, terms.log_prior, terms.entropy]))
        results.append(torch.stack(values))
    one, many = results
    error = (one.var(0) / len(one) + many.var(0) / len(many)).sqrt()
    assert ((one.mean(0) - many.mean(0)) / error).abs().max().item() < 4
    ratio = one.var(0) / many.var(0)  # 40, give or take the chi-square error of 60 draws
    assert bool((ratio > 40 / 2.5).all())
    assert bool((ratio < 40 * 2.5).all())


def test_mean_field_kl_is_the_closed_form_to_the_last_digits() -> None:
    model, guide, x, y = small_problem(particles=3, noise_dim=0, dtype=torch.float64)
    torch.manual_seed(2)
    terms = elbo_terms(model, guide, x, y)
    net = guide.hypernetwork
    prior = torch.distributions.Normal(model.prior.loc, model.prior.scale)
    posterior = torch.distributions.Normal(net.mean[0], net.unit * net.output_noise[0])
    exact = -torch.distributions.kl_divergence(posterior, prior).sum()
    # No ε is left in either term, whatever the particles drew.
    torch.testing.assert_close(terms.log_prior + terms.entropy, exact, rtol=1e-12, atol=0)


def test_a_term_that_is_not_finite_is_named_with_its_step() -> None:
    good = dict.fromkeys(("log_likelihood", "log_prior", "entropy"), torch.zeros(()))
    ElboTerms(**good, kl_weight=1.0).check(3)
    for name in good:
        for value in (math.nan, math.inf, -math.inf):
            terms = ElboTerms(**{**good, name: torch.tensor(value)}, kl_weight=1.0)
            with pytest.raises(TrainingDiverged) as caught:
                terms.check(17)
            assert caught.value.term == name.replace("_", " ")
            assert caught.value.step == 17
            assert "17" in str(caught.value)
