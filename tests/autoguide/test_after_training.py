"""What public Pyro code does with a trained autoguide: predict, summarise, store, weigh, start a sampler."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable, Iterator
from functools import cache, partial

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import MCMC, NUTS, SVI, Importance, Predictive, Trace_ELBO
from pyro.infer.autoguide import AutoGuide, AutoNormal, init_to_value
from torch import Tensor, nn

from bayeshyper import AutoHypernetwork
from tests.autoguide import models

Guide = Callable[..., AutoGuide]
OURS = partial(AutoHypernetwork, search=False)  # no search for a start: the idioms are what is tried here
both = pytest.mark.parametrize("guide_of", [AutoNormal, OURS], ids=["AutoNormal", "AutoHypernetwork"])


@pytest.fixture(autouse=True)
def _empty_param_store() -> Iterator[None]:
    """AutoNormal keeps its parameters in Pyro's store, by name: no test may find another's."""
    pyro.clear_param_store()
    yield
    pyro.clear_param_store()


def trained(guide_of: Guide) -> tuple[models.LinearRegression, AutoGuide]:
    """A regression and a guide of it after a few steps."""
    x, y = models.regression_data()
    torch.manual_seed(0)
    model = models.LinearRegression(2)
    guide = guide_of(model)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.03}), Trace_ELBO())
    for _ in range(30):
        svi.step(x, y)
    return model, guide


@both
def test_predictive_draws_new_rows_where_no_targets_are_given(guide_of: Guide) -> None:
    model, guide = trained(guide_of)
    guide.requires_grad_(False)
    x = torch.randn(7, 2)
    predictive = Predictive(model, guide=guide, num_samples=20)
    draws = predictive(x)
    assert draws["obs"].shape == (20, 7)
    for name, shape in models.REGRESSION_SITES.items():  # with a 1 in place of the plate of rows
        assert draws[name].shape == (20, 1, *shape)
    chosen = Predictive(model, guide=guide, num_samples=5, return_sites=("linear.weight", "obs", "_RETURN"))(
        x
    )
    assert chosen.keys() == {"linear.weight", "obs", "_RETURN"}
    means = x @ chosen["linear.weight"].reshape(5, 2).mT
    spread = (chosen["_RETURN"].mT - means).std(0)  # the bias alone: one number for each draw
    torch.testing.assert_close(spread, torch.zeros(5), atol=1e-4, rtol=0)


@both
def test_predictive_runs_in_parallel(guide_of: Guide) -> None:
    y = torch.ones(4)

    def model(y: Tensor | None = None) -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
        with pyro.plate("data", 4):
            pyro.sample("obs", dist.Normal(loc, 1.0), obs=y)

    guide = guide_of(model)
    guide(y)
    draws = Predictive(model, guide=guide, num_samples=30, parallel=True)()
    assert draws["obs"].shape == (30, 4)
    assert draws["loc"].flatten().unique().numel() == 30


@both
def test_medians_and_quantiles_are_those_of_the_draws(guide_of: Guide) -> None:
    _, guide = trained(guide_of)
    x, y = models.regression_data()
    before = torch.get_rng_state()
    quantiles, median = guide.quantiles([0.1, 0.5, 0.9]), guide.median(x, y)
    assert torch.equal(torch.get_rng_state(), before)
    assert median.keys() == quantiles.keys() == models.REGRESSION_SITES.keys()
    with pyro.plate("particles", 4000, dim=-2), torch.no_grad():
        draws = guide(x, y)
    for name, shape in models.REGRESSION_SITES.items():
        assert median[name].shape == shape
        assert quantiles[name].shape == (3, *shape)
        assert not median[name].requires_grad
        assert not quantiles[name].requires_grad
        torch.testing.assert_close(median[name], quantiles[name][1])
        rows = draws[name].reshape(4000, -1)
        below = (rows[None] < quantiles[name].reshape(3, 1, -1)).float().mean(1)
        expected = torch.tensor([0.1, 0.5, 0.9])[:, None].expand_as(below)
        # Five standard errors of a share of 4 000 draws, and as much again for quantiles found by drawing.
        torch.testing.assert_close(below, expected, atol=0.08, rtol=0)
    again = guide.quantiles([0.1, 0.9])
    assert all(torch.equal(again[name], quantiles[name][[0, 2]]) for name in again)


def test_one_level_that_is_a_number_has_no_dimension_for_it() -> None:
    _, guide = trained(OURS)
    several = guide.quantiles([0.2])
    for level in (0.2, torch.tensor(0.2)):
        for name, value in guide.quantiles(level).items():
            assert torch.equal(value, several[name][0])


@both
def test_the_trained_guide_needs_no_arguments(guide_of: Guide) -> None:
    _, guide = trained(guide_of)
    assert {name: tuple(value.shape) for name, value in guide().items()} == models.REGRESSION_SITES
    assert guide.median().keys() == models.REGRESSION_SITES.keys()


@both
def test_a_plate_around_the_call_draws_many(guide_of: Guide) -> None:
    def model(data: Tensor) -> None:
        pyro.sample("x", dist.Normal(torch.zeros(2), 1.0).to_event(1))

    guide = guide_of(model)
    guide(torch.ones(3))
    with pyro.plate("N", 100):  # as examples/neutra.py takes its samples
        x = guide()["x"]
    assert x.shape == (100, 2)
    assert x[:, 0].unique().numel() == 100


@both
@pytest.mark.parametrize("shape", [(), (6,), (5, 4)], ids=str)
def test_replay_keeps_plates_where_they_are(guide_of: Guide, shape: tuple[int, ...]) -> None:
    guide = guide_of(models.every_support)
    with pyro.plate_stack("particles", shape, rightmost_dim=-3):
        trace = poutine.trace(guide).get_trace()
        replayed = poutine.trace(poutine.replay(models.every_support, trace)).get_trace()
    for name, inner in models.EVERY_SHAPE.items():
        event = {"vector": 1, "simplex": 1, "corr": 2, "events": 1}.get(name, 0)
        batch, tail = inner[: len(inner) - event], inner[len(inner) - event :]
        full = (*shape, *(1,) * (2 - len(batch)), *batch, *tail) if shape else inner
        assert replayed.nodes[name]["value"].shape == full, name
        if shape:
            assert replayed.nodes[name]["value"].unique().numel() > math.prod(inner)


@both
def test_the_guide_is_stored_and_copied_with_its_parameters(guide_of: Guide) -> None:
    with pyro.settings.context(module_local_params=guide_of is AutoNormal):
        _, guide = trained(guide_of)
        expected = guide.median()
        copied = copy.deepcopy(guide)
        file = io.BytesIO()
        torch.save(guide, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        for other in (copied, loaded):
            assert {name: tuple(v.shape) for name, v in other().items()} == models.REGRESSION_SITES
            for name, value in other.median().items():
                torch.testing.assert_close(value, expected[name])
        with torch.no_grad():
            for parameter in copied.parameters():
                parameter.add_(1.0)
        assert all(torch.equal(value, expected[name]) for name, value in guide.median().items())


def test_storing_ours_leaves_it_as_it_was() -> None:
    model, guide = trained(OURS)
    torch.save(guide, io.BytesIO())
    assert guide.model is not None
    assert math.isfinite(Trace_ELBO().loss(model, guide, *models.regression_data()))


def test_a_copy_of_ours_knows_the_model_which_is_not_copied() -> None:
    model, guide = trained(OURS)
    copied = copy.deepcopy(guide)
    x, y = models.regression_data()
    assert copied.audit(x, y, draws=50, inner=8) == guide.audit(x, y, draws=50, inner=8)
    svi = SVI(model, copied, pyro.optim.Adam({"lr": 0.03}), Trace_ELBO())
    svi.step(x, y)
    assert {id(parameter) for parameter in copied.parameters()}.isdisjoint(map(id, guide.parameters()))
    unseen = copy.deepcopy(OURS(model))
    assert {name: tuple(value.shape) for name, value in unseen(x, y).items()} == models.REGRESSION_SITES


def test_ours_without_its_model_says_what_to_do() -> None:
    _, guide = trained(OURS)
    model = models.LinearRegression(2)
    unseen = pickle.loads(pickle.dumps(OURS(model)))
    loaded, (x, y) = pickle.loads(pickle.dumps(guide)), models.regression_data()
    what = r"without its model, .*state_dict\(\)"
    for ask in (partial(unseen, x, y), partial(loaded.audit, x, y), partial(loaded.to_arviz, x, y, draws=2)):
        with pytest.raises(ValueError, match=what):
            ask()
    assert loaded.to_arviz(draws=2, groups="posterior").posterior.sizes["draw"] == 2


def test_ours_cannot_take_a_state_dict_before_it_has_parameters() -> None:
    model, guide = trained(OURS)
    for fresh in (OURS(model), nn.Sequential(OURS(model))):
        prefix = "" if isinstance(fresh, AutoHypernetwork) else "0."
        state = {prefix + name: value for name, value in guide.state_dict().items()}
        with pytest.raises(RuntimeError, match=r"not seen its model yet.*example_args"):
            fresh.load_state_dict(state)


@both
def test_a_state_dict_moves_to_a_fresh_guide(guide_of: Guide) -> None:
    x, y = models.regression_data()
    with pyro.settings.context(module_local_params=True):
        model, guide = trained(guide_of)
        fresh = guide_of(model)
        fresh(x, y)
        fresh.load_state_dict(guide.state_dict())
        for name, value in fresh.median().items():
            torch.testing.assert_close(value, guide.median()[name])


@both
def test_importance_weights_need_the_density_of_each_draw(guide_of: Guide) -> None:
    y = torch.tensor([0.5, 1.5, 0.9])
    torch.manual_seed(0)
    guide = guide_of(models.conjugate)
    svi = SVI(
        models.conjugate,
        guide,
        pyro.optim.Adam({"lr": 0.05}),
        Trace_ELBO(num_particles=8, vectorize_particles=True),
    )
    for _ in range(150):
        svi.step(y)
    importance = Importance(models.conjugate, guide, num_samples=200).run(y)
    # The guide is near the exact posterior, so the weights are near ln p(y) one by one.
    torch.testing.assert_close(
        importance.get_log_normalizer().item(), models.conjugate_evidence(y), atol=0.08, rtol=0
    )
    assert importance.get_ESS() > 150


@both
def test_a_median_starts_a_sampler(guide_of: Guide) -> None:
    guide = guide_of(models.two_sites)
    guide()
    kernel = NUTS(models.two_sites, init_strategy=init_to_value(values=guide.median()))
    mcmc = MCMC(kernel, num_samples=3, warmup_steps=3, disable_progbar=True)
    mcmc.run()
    assert mcmc.get_samples().keys() == {"x", "y"}


def test_ours_has_no_posterior_in_closed_form_and_says_what_to_use() -> None:
    with pytest.raises(NotImplementedError, match="sample_posterior"):
        AutoHypernetwork(models.two_sites).get_posterior()


@cache
def forecasting_data() -> Tensor:
    """A random walk of 12 steps with one number each, (12, 1)."""
    return torch.randn(12, 1, generator=torch.Generator().manual_seed(0)).cumsum(0)


@both
def test_a_forecaster_trains_it_and_looks_beyond_its_data(guide_of: Guide) -> None:
    from pyro.contrib.forecast import Forecaster, ForecastingModel

    class Walk(ForecastingModel):
        def model(self, zero_data: Tensor, covariates: Tensor) -> None:
            scale = pyro.sample("scale", dist.LogNormal(-1.0, 1.0))
            with self.time_plate:
                step = pyro.sample("step", dist.Normal(0.0, 0.5))
            level = step.cumsum(-1).unsqueeze(-1)
            self.predict(dist.Normal(0.0, scale[..., None]), level)

    model, data = Walk(), forecasting_data()
    forecaster = Forecaster(model, data, torch.empty(12, 0), guide=guide_of(model), num_steps=20, log_every=0)
    forecast = forecaster(data, torch.empty(15, 0), num_samples=6)
    assert forecast.shape == (6, 3, 1)
