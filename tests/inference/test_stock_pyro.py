"""Model and guide under plain Pyro: SVI as it stands, its other ELBOs, its own particles, Predictive."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Iterator, Mapping

import pyro
import pytest
import torch
from pyro.infer import SVI, Predictive, Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn
from torch.distributions import Distribution

from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import ImplicitGuide, elbo_terms
from bayeshyper.models import MLP, BayesianModel, FanInPrior, Gaussian, Target
from tests.inference.toys import same_bits, small_problem, state_of


@pytest.fixture(autouse=True)
def _empty_param_store() -> Iterator[None]:
    """Whatever is tried here, nothing may end up in Pyro's global store."""
    assert len(pyro.get_param_store()) == 0
    yield
    assert len(pyro.get_param_store()) == 0


def test_ten_lines_of_plain_pyro_train_it() -> None:
    torch.manual_seed(0)
    x, y = torch.linspace(-2, 2, 40).unsqueeze(-1), torch.linspace(-2, 2, 40).sin()
    model = BayesianModel(Target(MLP(1, 1, hidden=(8,))), FanInPrior(), Gaussian(), num_data=40, particles=4)
    net = HypernetworkSettings(noise_dim=2, hidden=(4,)).build(
        torch.zeros(1, model.spec.size), model.prior.scale
    )
    guide = ImplicitGuide(model, net)
    before = {name: p.detach().clone() for name, p in guide.named_parameters()}
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 2e-2}), loss=Trace_ELBO())
    losses = [svi.step(x, y) for _ in range(100)]
    # The first losses are near 100 nats, with a standard deviation of about a tenth of that.
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])
    unmoved = [name for name, p in guide.named_parameters() if torch.equal(p, before[name])]
    assert unmoved == []


def test_clipped_and_scheduled_pyro_optimisers_work_too() -> None:
    model, guide, x, y = small_problem(particles=4)
    scheduler = pyro.optim.ExponentialLR(
        {"optimizer": torch.optim.Adam, "optim_args": {"lr": 1e-2}, "gamma": 0.5}
    )
    before = state_of(guide)
    svi = SVI(model, guide, scheduler, loss=Trace_ELBO())
    svi.step(x, y)
    scheduler.step()
    svi.step(x, y)
    assert not same_bits(before, state_of(guide))
    assert math.isfinite(svi.evaluate_loss(x, y))


def test_point_estimates_of_the_network_are_trained_too() -> None:
    torch.manual_seed(0)
    model = BayesianModel(
        Target(MLP(3, 1, hidden=(4,)), bayesian=["layers.2.*"]),
        FanInPrior(),
        Gaussian(),
        num_data=10,
        particles=2,
    )
    net = HypernetworkSettings(noise_dim=1, hidden=()).build(
        torch.zeros(1, model.spec.size), model.prior.scale
    )
    guide = ImplicitGuide(model, net)
    plain = [p for p in model.parameters() if p.requires_grad]
    assert len(plain) == 2
    before = [p.detach().clone() for p in plain]
    SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss=Trace_ELBO()).step(
        torch.randn(10, 3), torch.randn(10)
    )
    assert not any(map(torch.equal, before, plain))


def mean_and_error(values: list[float]) -> tuple[float, float]:
    tensor = torch.tensor(values)
    return tensor.mean().item(), tensor.std().item() / math.sqrt(len(values))


def agree(first: list[float], second: list[float]) -> bool:
    (one, error_one), (other, error_other) = mean_and_error(first), mean_and_error(second)
    return abs(one - other) < 4 * math.hypot(error_one, error_other)


def test_every_elbo_of_pyro_estimates_the_same_loss() -> None:
    model, guide, x, y = small_problem(particles=8)
    torch.manual_seed(0)
    reference = [elbo_terms(model, guide, x, y).loss.item() for _ in range(100)]
    losses = {
        "mean field": TraceMeanField_ELBO(),
        "loop": Trace_ELBO(num_particles=2),
        "vectorised": Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=2),
    }
    for name, loss in losses.items():
        values = [float(loss.loss(model, guide, x, y)) for _ in range(40)]
        assert agree(values, reference), name


def test_without_particles_of_its_own_the_model_takes_pyros() -> None:
    model, guide, x, y = small_problem(particles=None)
    torch.manual_seed(0)
    loop = Trace_ELBO(num_particles=6)
    vectorised = Trace_ELBO(num_particles=6, vectorize_particles=True, max_plate_nesting=1)
    results = [[float(loss.loss(model, guide, x, y)) for _ in range(30)] for loss in (loop, vectorised)]
    assert agree(*results)
    # Six particles that are copies of one would have six times the variance of the loop's.
    variances = [torch.tensor(values).var().item() for values in results]
    assert variances[1] < 3.3 * variances[0]  # F(29, 29) stays below 3.3 in 99.9 % of cases


class Listening(Gaussian):
    """A Gaussian likelihood that keeps what it was given."""

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        self.outputs, self.latent = outputs.detach(), latents["log_scale"].detach()
        return super().distribution(outputs, latents)


@pytest.mark.parametrize("particles", [None, 2])
@pytest.mark.parametrize("members", [1, 3])
def test_vectorised_particles_are_different_draws(particles: int | None, members: int) -> None:
    listener = Listening()
    model, guide, x, y = small_problem(particles=particles, members=members, likelihood=listener)
    lead, nesting = ((5,), 1) if particles is None else ((5, particles), 2)
    Trace_ELBO(num_particles=5, vectorize_particles=True, max_plate_nesting=nesting).loss(model, guide, x, y)
    assert listener.outputs.shape == (*lead, len(x), 1)
    assert listener.latent.shape == (*lead, 1)
    assert len(listener.latent.unique()) == math.prod(lead)
    assert len(listener.outputs[..., 0, 0].unique()) == math.prod(lead)


@pytest.mark.parametrize("elbo", [Trace_ELBO(), TraceMeanField_ELBO()])
def test_elbo_module_trains_with_torchs_own_optimiser(elbo: Trace_ELBO) -> None:
    model, guide, x, y = small_problem(particles=8)
    torch.manual_seed(0)
    loss = elbo(model, guide)
    optimizer = torch.optim.Adam(guide.parameters(), lr=2e-2)
    before = {name: p.detach().clone() for name, p in guide.named_parameters()}
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        value = loss(x, y)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert [name for name, p in guide.named_parameters() if torch.equal(p, before[name])] == []
    assert torch.equal(guide.hypernetwork.unit, model.prior.scale)  # a buffer, and not trained


def test_a_deep_copy_and_a_pickle_draw_the_same_and_share_nothing() -> None:
    model, guide, x, y = small_problem(particles=4, members=2)
    SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss=Trace_ELBO()).step(x, y)
    for twin in (copy.deepcopy(guide), pickle.loads(pickle.dumps(guide))):
        assert same_bits(state_of(guide), state_of(twin))
        losses = []
        for one in (guide, twin):
            torch.manual_seed(4)
            losses.append(elbo_terms(one.model, one, x, y).loss.item())
        assert losses[0] == losses[1]
        before = state_of(guide, guide.model)
        SVI(twin.model, twin, pyro.optim.Adam({"lr": 1e-2}), loss=Trace_ELBO()).step(x, y)
        assert same_bits(before, state_of(guide, guide.model))
        assert not same_bits(state_of(guide), state_of(twin))


def test_a_fresh_guide_takes_a_saved_state_before_it_has_seen_data() -> None:
    model, guide, x, y = small_problem(particles=4, seed=1)
    SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss=Trace_ELBO()).step(x, y)
    _, fresh, _, _ = small_problem(particles=4, seed=2)
    assert not same_bits(state_of(guide), state_of(fresh))
    fresh.load_state_dict(guide.state_dict())
    assert same_bits(state_of(guide), state_of(fresh))
    drawn = [g.hypernetwork.sample(3, generator=torch.Generator().manual_seed(0)) for g in (guide, fresh)]
    assert torch.equal(*drawn)


def test_the_guides_state_has_no_part_of_the_model() -> None:
    model, guide, _, _ = small_problem()
    assert {name.split(".")[0] for name in guide.state_dict()} == {"hypernetwork"}
    theirs = {id(p) for p in model.parameters()}
    assert not any(id(p) in theirs for p in guide.parameters())


@pytest.mark.parametrize("members", [1, 3])
def test_predictive_draws_weights_and_targets(members: int) -> None:
    model, guide, x, _ = small_problem(members=members, particles=None)
    torch.manual_seed(0)
    predictive = Predictive(model, guide=guide, num_samples=400, return_sites=("weights", "obs"))
    drawn = predictive(x)
    assert drawn["weights"].shape[0] == 400
    assert drawn["weights"].reshape(400, -1).shape == (400, model.spec.size)
    assert drawn["obs"].shape == (400, len(x))
    # The targets are those of our own predictive distribution: mean and spread of each row.
    weights = guide.hypernetwork.sample(4000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        law = model.predictive(weights, x)
    mean, spread = law.mean.mean(0), (law.variance.mean(0) + law.mean.var(0)).sqrt()
    score = (drawn["obs"].mean(0) - mean) / (spread / math.sqrt(400))
    assert score.abs().max().item() < 4.5  # 24 rows, the reference's own error a tenth of this in square
    ratio = drawn["obs"].std(0) / spread
    assert bool(((ratio > 0.75) & (ratio < 1.33)).all())


def test_a_model_alone_draws_from_its_prior() -> None:
    model, _, x, _ = small_problem()
    torch.manual_seed(0)
    drawn = Predictive(model, num_samples=300, return_sites=("weights",))(x)["weights"]
    score = (drawn.mean(0) - model.prior.loc) / (model.prior.scale / math.sqrt(300))
    assert score.abs().max().item() < 4.5


def test_a_wrong_size_is_refused_when_it_is_built() -> None:
    model, _, _, _ = small_problem()
    net = HypernetworkSettings().build(torch.zeros(1, 5), torch.ones(5))
    with pytest.raises(ValueError, match=f"expected the model's D = {model.spec.size}"):
        ImplicitGuide(model, net)


def test_the_users_network_is_never_touched() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    before = state_of(network)
    model = BayesianModel(Target(network), FanInPrior(), Gaussian(), num_data=10, particles=4)
    net = HypernetworkSettings(noise_dim=2, hidden=(4,)).build(
        torch.zeros(1, model.spec.size), model.prior.scale
    )
    svi = SVI(model, ImplicitGuide(model, net), pyro.optim.Adam({"lr": 0.1}), loss=Trace_ELBO())
    svi.step(torch.randn(10, 3), torch.randn(10))
    assert same_bits(before, state_of(network))
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
