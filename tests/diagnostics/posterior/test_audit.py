"""The audit of a fitted posterior: ordered bounds, exact cases, and a fold that is flagged."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields, replace

import pytest
import torch
from torch import Tensor, nn

from bayeshyper.diagnostics import Audit, audit, psis
from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import (
    ImplicitGuide,
    KLSettings,
    OptimizerSettings,
    StoppingSettings,
    SVISettings,
    elbo_terms,
    fit,
)
from bayeshyper.models import MLP, BayesianModel, FanInPrior, Gaussian, NormalPrior, Target
from tests.inference.toys import FoldedHypernetwork, KnownNoise, same_bits, small_problem, state_of

QUANTITIES = ("entropy", "elbo")


@pytest.fixture(scope="module")
def regression() -> tuple[BayesianModel, ImplicitGuide, Tensor, Tensor]:
    """A small regression, fitted: sin x from 40 rows with a network of eight units."""
    generator = torch.Generator().manual_seed(0)
    x = torch.linspace(-2, 2, 40).unsqueeze(-1)
    y = x[:, 0].sin() + 0.1 * torch.randn(40, generator=generator)
    network = MLP(1, 1, hidden=(8,), activation="tanh")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.5, generator=generator)
    model = BayesianModel(Target(network), FanInPrior(), Gaussian(), num_data=40)
    mean = torch.zeros(1, model.spec.size)
    mean[0, :-1] = model.target.spec.flatten(model.target.initial())
    mean[0, -1] = -1.5
    net = HypernetworkSettings(noise_dim=4, hidden=(16,), output_noise=0.05).build(mean, model.prior.scale)
    net.reset_parameters(generator)
    guide = ImplicitGuide(model, net)
    recipe = SVISettings(
        optimizer=OptimizerSettings(steps=500, learning_rate=2e-2),
        kl=KLSettings(anneal=0.3),
        stopping=StoppingSettings(evaluate_every=500),
    )
    fit(model, guide, x, y, recipe)
    return model, guide, x, y


def test_a_trained_posterior_lies_between_its_bounds(
    regression: tuple[BayesianModel, ImplicitGuide, Tensor, Tensor],
) -> None:
    model, guide, x, y = regression
    result = audit(model, guide.hypernetwork, x, y, draws=400, inner=128, temperature=0.5)
    for name in QUANTITIES:
        values = asdict(result)
        lower, upper = values[f"{name}_lower"], values[f"{name}_upper"]
        error = math.hypot(values[f"{name}_lower_error"], values[f"{name}_upper_error"])
        assert lower <= upper + 2 * error
        linearized = values[f"{name}_linearized"]
        error = math.hypot(error, values[f"{name}_linearized_error"])
        assert lower - 0.5 - 2 * error < linearized < upper + 0.5 + 2 * error
    assert not result.flagged
    # The data's part is the same in all three ELBOs.
    joints = [
        getattr(result, f"elbo_{x}") - getattr(result, f"entropy_{x}")
        for x in ("lower", "upper", "linearized")
    ]
    assert joints == pytest.approx([joints[0]] * 3)
    assert (result.n_members, result.temperature) == (1, 0.5)


def test_the_linearised_elbo_is_the_one_that_training_sees(
    regression: tuple[BayesianModel, ImplicitGuide, Tensor, Tensor],
) -> None:
    model, guide, x, y = regression
    result = audit(model, guide.hypernetwork, x, y, draws=2000, inner=1)
    model.particles = 50
    torch.manual_seed(0)
    with torch.no_grad():
        values = torch.tensor([elbo_terms(model, guide, x, y).value() for _ in range(40)])
    model.particles = None
    error = math.hypot(values.std().item() / math.sqrt(40), result.elbo_linearized_error)
    assert abs(values.mean().item() - result.elbo_linearized) < 4 * error


def test_the_training_temperature_and_the_state_of_the_model_do_not_matter() -> None:
    model, guide, x, y = small_problem()
    first = audit(model, guide.hypernetwork, x, y, draws=16, inner=4)
    model.kl_weight, model.particles = 0.01, 7
    guide.train()
    again = audit(model, guide.hypernetwork, x, y, draws=16, inner=4)
    assert first == again
    assert audit(model, guide.hypernetwork, x, y, draws=16, inner=4, seed=1) != first


def test_the_global_generator_is_left_alone() -> None:
    model, guide, x, y = small_problem()
    before = torch.random.get_rng_state()
    audit(model, guide.hypernetwork, x, y, draws=8, inner=4)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_audit_leaves_the_posterior_ready_for_training() -> None:
    model, guide, x, y = small_problem()
    state = state_of(guide, model)
    audit(model, guide.hypernetwork, x, y, draws=8, inner=4)
    assert same_bits(state, state_of(guide, model))
    assert all(p.requires_grad and p.grad is None for p in guide.parameters())


def test_mean_field_is_exact() -> None:
    model, guide, x, y = small_problem(noise_dim=0)
    result = audit(model, guide.hypernetwork, x, y, draws=50)
    net = guide.hypernetwork
    exact = torch.distributions.Normal(net.mean[0], net.unit * net.output_noise[0]).entropy().sum().item()
    for name in ("lower", "upper", "linearized"):
        assert getattr(result, f"entropy_{name}") == pytest.approx(exact, abs=1e-4)  # float32 parameters
        assert getattr(result, f"entropy_{name}_error") == 0.0
    assert result.elbo_lower == result.elbo_upper == result.elbo_linearized
    assert result.elbo_lower_error > 0
    assert not result.flagged


def test_members_are_averaged_with_the_errors_of_a_mean() -> None:
    model, guide, x, y = small_problem(members=3, noise_dim=0)
    net = guide.hypernetwork
    whole = audit(model, net, x, y, draws=2000)
    parts = [audit(model, net.member(index), x, y, draws=2000, seed=index + 1) for index in range(3)]
    assert whole.n_members == 3
    assert whole.entropy_lower == pytest.approx(sum(part.entropy_lower for part in parts) / 3, rel=1e-6)
    error = math.sqrt(sum(part.elbo_lower_error**2 for part in parts)) / 3
    assert whole.elbo_lower_error == pytest.approx(error, rel=0.2)
    mean = sum(part.elbo_lower for part in parts) / 3
    assert abs(whole.elbo_lower - mean) < 4 * math.hypot(whole.elbo_lower_error, error)


def test_rows_and_draws_in_chunks_are_all_counted() -> None:
    model, guide, x, y = small_problem(rows=10, noise_dim=0)
    many_x, many_y = x.repeat(450, 1), y.repeat(450)  # 4 500 rows: three chunks
    few = audit(model, guide.hypernetwork, x, y, draws=70)
    many = audit(model, guide.hypernetwork, many_x, many_y, draws=70)
    assert few.entropy_lower == many.entropy_lower
    # The same 70 draws: the likelihood counts 450 times, prior and entropy once.
    net = guide.hypernetwork
    generator = torch.Generator().manual_seed(0)
    weights = net.draw(70, generator=generator, with_jacobian=False).weights[0]
    with torch.no_grad():
        likelihood = model.log_likelihood(weights, x, y).double().sum(1).mean().item()
    assert many.elbo_lower - few.elbo_lower == pytest.approx(449 * likelihood, rel=1e-4)


def folded_audit(noise_dim: int) -> Audit:
    model = BayesianModel(
        Target(nn.Linear(60, 1, bias=False)), NormalPrior(), KnownNoise(1.0), num_data=5
    ).double()
    x = torch.zeros(5, 60, dtype=torch.float64)
    draws = 2500 if noise_dim == 1 else 300  # log 2 is not far above the tolerance of 0.5
    return audit(model, FoldedHypernetwork(noise_dim, noise=0.02), x, x[:, 0], draws=draws, inner=64)


@pytest.mark.parametrize("noise_dim", [1, 2, 3])
def test_a_planted_fold_is_flagged(noise_dim: int) -> None:
    # Training's entropy is up to d log 2 too large: 2ᵈ noises give the same weights. A proposal that does not
    # find them all has an upper bound that is too large as well; the lower bound stays below the truth.
    result = folded_audit(noise_dim)
    error = math.hypot(result.entropy_lower_error, result.entropy_linearized_error)
    assert result.entropy_linearized - result.entropy_lower > 0.6 * noise_dim - 2 * error
    assert result.flagged


def test_the_flag_is_in_the_record_and_is_not_taken_from_it() -> None:
    result = replace(EVEN, entropy_linearized=2.0)
    record = result.to_dict()
    assert record["flagged"] is True
    assert Audit.from_dict({**record, "flagged": False}) == result


EVEN = Audit(**{f.name: 0.0 for f in fields(Audit)} | {"n_members": 1, "temperature": 1.0, "psis": None})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "flagged"),
    [
        ({}, False),
        ({"entropy_linearized": 0.49}, False),
        ({"entropy_linearized": 0.51}, True),
        ({"entropy_linearized": -0.49}, False),
        ({"entropy_linearized": -0.51}, True),
        (
            {"entropy_linearized": 1.4, "entropy_lower_error": 0.5, "entropy_upper_error": 0.5},
            False,
        ),  # chance
        ({"entropy_linearized": 1.6, "entropy_lower_error": 0.5, "entropy_upper_error": 0.5}, True),
        ({"entropy_linearized": -1.4, "entropy_linearized_error": 0.5}, False),
        ({"entropy_linearized": -1.6, "entropy_linearized_error": 0.5}, True),
    ],
)
def test_what_is_flagged_is_a_distance_to_the_bounds_beyond_chance(
    changes: dict[str, float], flagged: bool
) -> None:
    assert replace(EVEN, **changes).flagged is flagged  # type: ignore[arg-type]


def test_the_record_survives_json() -> None:
    model, guide, x, y = small_problem(noise_dim=0)
    result = audit(model, guide.hypernetwork, x, y, draws=64, temperature=0.3)
    assert result.psis is not None
    assert Audit.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_a_record_of_an_earlier_version_has_no_khat() -> None:
    record = EVEN.to_dict()
    del record["psis"]
    assert Audit.from_dict(record) == EVEN


def test_the_khat_is_that_of_psis_at_other_draws() -> None:
    model, guide, x, y = small_problem(members=2)
    weights = audit(model, guide.hypernetwork, x, y, draws=400, inner=4).psis
    fresh = psis(model, guide.hypernetwork, x, y, draws=400, source="linearised", seed=1)
    assert weights is not None
    assert (weights.source, weights.n_draws, len(weights.khat)) == ("linearised", 400, 2)
    assert weights.khat == pytest.approx(fresh.khat, abs=0.5)


def test_too_few_draws_have_no_khat() -> None:
    model, guide, x, y = small_problem()
    assert audit(model, guide.hypernetwork, x, y, draws=49, inner=4).psis is None
