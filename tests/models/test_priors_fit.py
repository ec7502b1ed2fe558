"""What a fit makes of each prior: exact answers on a linear model, stock Pyro, and the estimators."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from bayeshyper import HyperRegressor
from bayeshyper.diagnostics import audit
from bayeshyper.errors import RecipeError
from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import (
    ImplicitGuide,
    KLSettings,
    NaturalGaussian,
    OptimizerSettings,
    StoppingSettings,
    SVISettings,
    elbo_terms,
    fit,
)
from bayeshyper.inference.warmstart import warm_start
from bayeshyper.models import (
    MLP,
    PRIORS,
    BayesianModel,
    Gaussian,
    HierarchicalPrior,
    LearnedPrior,
    Prior,
    Target,
)
from tests.inference.toys import KnownNoise

SCALE, NOISE = 0.3, 0.5

# -- a linear model, whose evidence is known at every scale -----------------------------------------------


@dataclass(frozen=True)
class Linear:
    """y = Xβ + b + noise with β ~ N(0, (SCALE·τ)²): twenty coefficients, drawn at τ = 2.5."""

    x: Tensor
    y: Tensor

    @classmethod
    def draw(cls) -> Linear:
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(60, 20, generator=generator)
        noise = NOISE * torch.randn(60, generator=generator)
        return cls(x, x @ (2.5 * SCALE * torch.randn(20, generator=generator)) + noise)

    def log_evidence(self, log_tau: float) -> float:
        """log p(y | τ): y is a Gaussian with covariance NOISE² I + (SCALE·τ)² XXᵀ + 11ᵀ."""
        x = self.x.double()
        covariance = NOISE**2 * torch.eye(60).double() + 1.0 + (SCALE * math.exp(log_tau)) ** 2 * x @ x.mT
        law = torch.distributions.MultivariateNormal(torch.zeros(60).double(), covariance)
        return law.log_prob(self.y.double()).item()

    def fitted(self, prior: Prior) -> tuple[BayesianModel, ImplicitGuide]:
        """A posterior of full rank, so that it holds the exact one given τ."""
        network = nn.Linear(20, 1)
        with torch.no_grad():
            network.weight.zero_()
            network.bias.zero_()
        model = BayesianModel(Target(network), prior, KnownNoise(NOISE), num_data=60)
        family = HypernetworkSettings(noise_dim=model.spec.size, hidden=(), gain=0.2, output_noise=0.2)
        net = family.build(torch.zeros(1, model.spec.size), model.prior.scale)
        net.reset_parameters(torch.Generator().manual_seed(0))
        guide = ImplicitGuide(model, net)
        recipe = SVISettings(
            optimizer=OptimizerSettings(steps=800, learning_rate=3e-2, warmup=20),
            kl=KLSettings(anneal=0.1),
            stopping=StoppingSettings(evaluate_every=800),
        )
        fit(model, guide, self.x, self.y, recipe)
        return model, guide


def test_a_learned_scale_maximises_the_evidence() -> None:
    problem = Linear.draw()
    best = minimize_scalar(lambda t: -problem.log_evidence(t), bounds=(-3, 3), method="bounded").x
    assert abs(best) > 0.5  # it has a way to go from τ = 1
    model, guide = problem.fitted(LearnedPrior(scale=SCALE))
    # The evidence's curvature in log τ is about 2·20, so a hundredth of a nat below its top is 0.02 away.
    assert math.log(model.prior.factors()["weight"]) == pytest.approx(best, abs=0.03)
    result = audit(model, guide.hypernetwork, problem.x, problem.y)
    top = problem.log_evidence(best)
    assert top - 0.3 - 4 * result.elbo_lower_error < result.elbo_lower < top + 4 * result.elbo_lower_error
    assert torch.equal(guide.hypernetwork.unit, model.prior.scale)  # the posterior's unit stays


def test_an_inferred_scale_has_its_exact_posterior() -> None:
    problem = Linear.draw()
    model, guide = problem.fitted(HierarchicalPrior(scale=SCALE, spread=0.7))
    grid = np.linspace(-3, 3, 601)
    log_joint = np.array([problem.log_evidence(t) for t in grid]) - 0.5 * (grid / 0.7) ** 2
    masses = np.exp(log_joint - log_joint.max())
    masses /= masses.sum()
    mean = (masses * grid).sum()
    spread = math.sqrt((masses * (grid - mean) ** 2).sum())
    place = model.spec["prior.log_scale.weight"].start
    draws = guide.hypernetwork.sample(4000, generator=torch.Generator().manual_seed(0))[:, place]
    # The family is Gaussian, the exact posterior of (β, log τ) nearly so: it is a little too narrow.
    assert draws.mean().item() == pytest.approx(mean, abs=0.25 * spread)
    assert draws.std().item() == pytest.approx(spread, rel=0.15)
    # The ELBO is below the evidence ∫ p(y | τ) p(τ) dτ, by little.
    step = math.log(grid[1] - grid[0]) - 0.5 * math.log(2 * math.pi * 0.7**2)
    evidence = log_joint.max() + math.log(np.exp(log_joint - log_joint.max()).sum()) + step
    result = audit(model, guide.hypernetwork, problem.x, problem.y)
    assert evidence - 0.5 < result.elbo_lower < evidence + 4 * result.elbo_lower_error


# -- every family -----------------------------------------------------------------------------------------


def small(family: type[Prior]) -> tuple[BayesianModel, ImplicitGuide, Tensor, Tensor]:
    torch.manual_seed(0)
    x = torch.randn(24, 3)
    model = BayesianModel(Target(MLP(3, 1, hidden=(5,))), family(), Gaussian(), num_data=24, particles=4)
    family_of_guide = HypernetworkSettings(noise_dim=2, hidden=(4,), gain=0.3, output_noise=0.1)
    net = family_of_guide.build(0.3 * torch.randn(2, model.spec.size), model.prior.scale)
    return model, ImplicitGuide(model, net), x, x[:, 0].sin()


@pytest.mark.parametrize("family", PRIORS.values(), ids=PRIORS)
def test_stock_pyro_scores_and_trains_it(family: type[Prior]) -> None:
    model, guide, x, y = small(family)
    torch.manual_seed(1)
    ours = elbo_terms(model, guide, x, y).loss.item()
    torch.manual_seed(1)
    assert Trace_ELBO().loss(model, guide, x, y) == pytest.approx(ours, rel=1e-5)
    before = {name: p.detach().clone() for name, p in [*model.named_parameters(), *guide.named_parameters()]}
    SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss=Trace_ELBO()).step(x, y)
    after = dict([*model.named_parameters(), *guide.named_parameters()])
    trained = [name for name, p in after.items() if p.requires_grad]
    assert ("prior.log_factor" in trained) == (family is LearnedPrior)
    assert [name for name in trained if torch.equal(after[name], before[name])] == []


@pytest.mark.parametrize("family", PRIORS.values(), ids=PRIORS)
def test_natural_gradients_are_for_normal_priors_alone(family: type[Prior]) -> None:
    model, guide, _, _ = small(family)
    if model.prior.is_normal:
        NaturalGaussian(model, guide.hypernetwork.mean, temperature=1.0)
    else:
        with pytest.raises(RecipeError, match=f"Got the prior {family.__name__}.*expected a Normal one"):
            NaturalGaussian(model, guide.hypernetwork.mean, temperature=1.0)


def test_a_warm_start_trains_weights_and_leaves_their_scales() -> None:
    model, guide, x, y = small(HierarchicalPrior)
    before = guide.hypernetwork.mean.detach().clone()
    warm_start(model, guide.hypernetwork, itertools.repeat((x, y)), SVISettings(), 20)
    moved = (guide.hypernetwork.mean != before).any(0)
    scales = [model.spec[name].start for name in model.prior_latents]
    assert not moved[scales].any()
    assert moved.sum() == model.spec.size - len(scales)


@pytest.mark.parametrize("family", [name for name in PRIORS if name != "fan-in"])
def test_an_estimator_fits_saves_and_loads_it(family: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    y = x[:, 0] + 0.1 * rng.normal(size=60)
    settings = {
        "target.hidden": [4],
        "prior.family": family,
        "prior.center": "initial",
        "hypernetwork.noise_dim": 0,  # whose audit takes no time
        "optimizer.steps": 20,
        "warm_start.steps": 5,
    }
    model = HyperRegressor(settings=settings, random_state=0, verbose=False).fit(x, y)
    assert type(model._model.prior) is PRIORS[family]
    # The default's natural gradients know Normal priors only; for others it hands over to the recipe bayes.
    assert (model.settings_.otherwise == "bayes") == (family == "normal")
    result = model.audit()
    assert math.isfinite(result.elbo_lower)
    model.save(tmp_path / "model.bayeshyper")
    again = HyperRegressor.load(tmp_path / "model.bayeshyper")
    assert np.array_equal(again.predict(x), model.predict(x))
    weights = model.sample_weights(3).weights
    assert torch.equal(again._model.prior().log_prob(weights), model._model.prior().log_prob(weights))
    ensemble = model.sample_weights(3)
    ensemble.save(tmp_path / "ensemble.safetensors")
    assert ensemble.names == type(ensemble).load(tmp_path / "ensemble.safetensors").names
