"""The audit of a guide: exact cases, brute force between the bounds, and models that it refuses."""

from __future__ import annotations

import math
import pickle

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO
from torch import Tensor

from bayeshyper.autoguide import AutoHypernetwork
from tests.autoguide.amortised import local, local_context, local_data
from tests.autoguide.bent import assign, bent, log_density_by_quadrature
from tests.autoguide.models import conjugate, conjugate_evidence

DATA = torch.tensor([0.5, 2.0, 1.2], dtype=torch.float64)


def two_normals() -> None:
    pyro.sample("x", dist.Normal(1.0, 0.5))
    pyro.sample("y", dist.LogNormal(torch.zeros(2), 0.5).to_event(1))


def test_a_guide_that_is_the_posterior_has_the_evidence_for_its_elbo_at_every_draw() -> None:
    torch.set_default_dtype(torch.float64)
    guide = AutoHypernetwork(two_normals, noise_dim=0)
    posterior = guide.posterior
    with torch.no_grad():
        inside = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.5, 0.5, 0.5]).diag()
        posterior.frame.location.copy_(inside[0])
        posterior.frame.factor.copy_(inside[1])  # type: ignore[operator, union-attr]
        posterior.hypernetwork.mean.zero_()
        assign(posterior.hypernetwork, "log_output_noise", torch.full((1, 3), 1.0 - 1e-4).log())
    found = guide.audit(draws=64)
    for name in ("lower", "upper", "linearized"):
        assert getattr(found, f"elbo_{name}") == pytest.approx(0.0, abs=1e-12)  # nothing is observed
        assert getattr(found, f"elbo_{name}_error") < 1e-12
    entropy = dist.Normal(0.0, 0.5).entropy().item() * 3
    assert found.entropy_lower == pytest.approx(entropy, abs=1e-12)
    assert found.psis is not None
    assert (found.psis.source, found.psis.khat) == ("exact", (0.0,))


def test_the_elbo_is_the_evidence_less_the_divergence() -> None:
    guide = bent(conjugate, noise_dim=0, example_args=(DATA,))
    net, frame = guide.posterior.hypernetwork, guide.posterior.frame
    # Of u = log z the posterior is Normal: of n observations and a prior of precision 1 each.
    n = len(DATA)
    exact = dist.Normal(DATA.log().sum() / (n + 1), (n + 1) ** -0.5)
    with torch.no_grad():
        guess = dist.Normal(
            frame(net.mean.unsqueeze(1))[0, 0, 0], (net.output_noise * frame.log_volume.exp())[0, 0]
        )
        divergence = torch.distributions.kl_divergence(guess, exact).item()
    found = guide.audit(DATA, draws=2000)
    assert found.elbo_lower == found.elbo_upper
    expected = conjugate_evidence(DATA) - divergence
    assert abs(found.elbo_lower - expected) < 4 * found.elbo_lower_error
    assert found.elbo_lower_error < 0.25 * divergence  # a wrong divergence would be seen


def test_brute_force_lies_between_the_bounds() -> None:
    guide = bent(conjugate, example_args=(DATA,))
    found = guide.audit(DATA, draws=400, inner=64)
    u = torch.linspace(-12.0, 12.0, 4801).unsqueeze(-1)
    step = 24.0 / 4800
    log_q = torch.cat([log_density_by_quadrature(guide, part) for part in u.split(400)])
    q = log_q.exp()
    assert q.sum().item() * step == pytest.approx(1.0, abs=1e-3)
    entropy = -(q * log_q).sum().item() * step
    log_p = dist.Normal(0.0, 1.0).log_prob(u[:, 0]) + dist.LogNormal(u, 1.0).log_prob(DATA).sum(-1)
    elbo = (q * (log_p - log_q)).sum().item() * step
    for name, exact in (("entropy", entropy), ("elbo", elbo)):
        lower, upper = getattr(found, f"{name}_lower"), getattr(found, f"{name}_upper")
        assert lower - 4 * getattr(found, f"{name}_lower_error") < exact
        assert exact < upper + 4 * getattr(found, f"{name}_upper_error")
        assert 0 <= upper - lower < 0.05
    assert found.psis is not None
    assert found.psis.source == "importance-sampled upper bound"


def test_training_sees_what_the_audit_sees() -> None:
    guide = bent(conjugate, example_args=(DATA,))
    found = guide.audit(DATA, draws=1000)
    elbo = Trace_ELBO(num_particles=1000, vectorize_particles=True, max_plate_nesting=1)
    torch.manual_seed(1)
    losses = torch.tensor([-elbo.loss(conjugate, guide, DATA) for _ in range(8)])
    error = math.hypot(losses.std().item() / math.sqrt(8), found.elbo_upper_error)
    # Training's estimator of the entropy is a lower bound itself; it has not learned anything here.
    assert losses.mean().item() < found.elbo_upper + 4 * error
    assert losses.mean().item() > found.elbo_lower - 1.0 - 4 * error


def test_members_are_audited_one_by_one() -> None:
    guide = bent(conjugate, noise_dim=0, members=3, example_args=(DATA,))
    found = guide.audit(DATA, draws=100)
    assert found.n_members == len(found.members) == 3
    assert found.elbo_lower == pytest.approx(sum(part.elbo_lower for part in found.members) / 3)
    assert len({part.elbo_lower for part in found.members}) == 3
    assert found.psis is not None
    assert len(found.psis.khat) == 3


def test_a_row_of_an_amortised_guide() -> None:
    y, scale = local_data(3)
    guide = bent(local, noise_dim=0, context=local_context, example_args=(y.double(), scale.double()))
    row = y[1:2].double(), scale[1:2].double()
    found = guide.audit(*row, draws=2000)
    evidence = dist.Normal(0.0, (1.0 + row[1].square()).sqrt()).log_prob(row[0]).item()
    assert found.elbo_lower < evidence
    trace = Trace_ELBO(num_particles=2000, vectorize_particles=True, max_plate_nesting=1)
    loss = trace.loss(local, guide, *row)
    assert found.elbo_lower == pytest.approx(-loss, abs=8 * found.elbo_lower_error)


def test_it_is_repeatable_and_leaves_nothing_behind() -> None:
    guide = bent(conjugate, example_args=(DATA,))
    state, before = torch.random.get_rng_state(), [p.detach().clone() for p in guide.parameters()]
    first = guide.audit(DATA, draws=8, inner=4)
    assert first == guide.audit(DATA, draws=8, inner=4)
    assert first != guide.audit(DATA, draws=8, inner=4, seed=1)
    assert first.psis is None  # of eight draws there is none
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(map(torch.equal, before, guide.parameters()))
    assert not dict(pyro.get_param_store())


def subsampled(y: Tensor, size: int | None = 2) -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", len(y), subsample_size=size) as index:
        pyro.sample("y", dist.Normal(x, 1.0), obs=y[index])


def hidden(y: Tensor) -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    other = pyro.sample("other", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(x + other, 1.0).expand([len(y)]).to_event(1), obs=y)


def test_models_whose_density_is_not_fixed_are_refused() -> None:
    guide = bent(subsampled, example_args=(DATA,))
    with pytest.raises(ValueError, match="subsample_size an argument"):
        guide.audit(DATA, draws=8)
    guide.audit(DATA, None, draws=8, inner=4)  # all rows
    guide = bent(poutine.block(hidden, hide=["other"]), example_args=(DATA,))
    with pytest.raises(ValueError, match="hidden from the guide"):
        guide.audit(DATA, draws=8)


def test_a_density_that_is_nan_at_some_draws_is_no_number_at_all() -> None:
    edge = torch.tensor(math.inf)

    def model() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor("broken", torch.where(x > edge, x * math.nan, 0.0 * x))

    guide = bent(model)
    edge.copy_(guide.median()["x"])
    with pyro.validation_enabled(False), pytest.raises(ValueError, match=r"NaN at \d+ of 64 draws"):
        guide.audit(draws=64, inner=4)


def test_a_guide_without_its_model_says_what_to_do() -> None:
    guide = pickle.loads(pickle.dumps(bent(two_normals, noise_dim=0)))
    with pytest.raises(ValueError, match="state_dict"):
        guide.audit()
