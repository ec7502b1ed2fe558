"""Whatever public Pyro code does to train an autoguide works with ours; AutoNormal is held to the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import (
    SVI,
    RenyiELBO,
    ReweightedWakeSleep,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceGraph_ELBO,
    TraceMeanField_ELBO,
)
from pyro.infer.autoguide import (
    AutoDelta,
    AutoDiscreteParallel,
    AutoGuide,
    AutoGuideList,
    AutoNormal,
    init_to_sample,
    init_to_value,
)
from pyro.infer.reparam import LocScaleReparam
from torch import Tensor

from bayeshyper import AutoHypernetwork
from tests.autoguide import models

Guide = Callable[..., AutoGuide]


@pytest.fixture(autouse=True)
def _empty_param_store() -> Iterator[None]:
    """AutoNormal keeps its parameters in Pyro's store, by name: no test may find another's."""
    pyro.clear_param_store()
    yield
    pyro.clear_param_store()


OURS = partial(AutoHypernetwork, search=False)  # no search for a start: the idioms are what is tried here
both = pytest.mark.parametrize("guide_of", [AutoNormal, OURS], ids=["AutoNormal", "AutoHypernetwork"])


def adam(learning_rate: float = 0.02) -> pyro.optim.PyroOptim:
    """Adam as Pyro's examples make it."""
    return pyro.optim.Adam({"lr": learning_rate})


def parameters_of(guide: AutoGuide) -> dict[str, Tensor]:
    """Copies of a guide's parameters, by name."""
    return {name: p.detach().clone() for name, p in guide.named_parameters()}


@both
def test_the_draw_has_the_sites_shapes_and_supports_of_the_model(guide_of: Guide) -> None:
    guide = guide_of(models.every_support)
    draw = guide()
    assert {name: tuple(value.shape) for name, value in draw.items()} == models.EVERY_SHAPE
    trace = poutine.trace(poutine.replay(models.every_support, poutine.trace(guide).get_trace())).get_trace()
    for name in models.EVERY_SHAPE:
        site = trace.nodes[name]
        assert site["fn"].support.check(site["value"]).all(), name


@both
def test_svi_trains_a_module_with_random_weights(guide_of: Guide) -> None:
    x, y = models.regression_data()
    torch.manual_seed(0)
    model = models.LinearRegression(2)
    guide = guide_of(model)
    svi = SVI(model, guide, adam(), Trace_ELBO())
    pyro.clear_param_store()  # where nearly every example clears it: after making the guide
    losses = torch.tensor([svi.step(x, y) for _ in range(150)])
    assert losses.isfinite().all()
    # A start that is right already has nothing to fall by; the exact optimum is near 40 nats here.
    assert losses[-50:].mean() < min(0.9 * losses[:5].mean(), 55.0) or losses[-50:].mean() < 50.0
    assert {name: tuple(v.shape) for name, v in guide(x, y).items()} == models.REGRESSION_SITES


@both
def test_every_parameter_is_trained(guide_of: Guide) -> None:
    x, y = models.regression_data()
    model = models.LinearRegression(2)
    guide = guide_of(model)
    guide(x, y)
    before = parameters_of(guide)
    svi = SVI(model, guide, adam(), Trace_ELBO())
    for _ in range(5):
        svi.step(x, y)
    assert [name for name, p in guide.named_parameters() if torch.equal(p, before[name])] == []


@both
def test_the_models_own_parameters_are_trained_with_the_guide(guide_of: Guide) -> None:
    y = 0.1 * torch.randn(50, generator=torch.Generator().manual_seed(0))
    guide = guide_of(models.with_parameters)
    svi = SVI(models.with_parameters, guide, adam(0.05), Trace_ELBO())
    for _ in range(100):
        svi.step(y)
    assert pyro.param("noise") < 0.5  # from 2, towards 0.1


@both
@pytest.mark.parametrize("local", [False, True], ids=["shared", "module_local_params"])
def test_torch_optimisers_train_the_elbo_module(guide_of: Guide, local: bool) -> None:
    x, y = models.regression_data()
    with pyro.settings.context(module_local_params=local):
        model = models.LinearRegression(2)
        guide = guide_of(model)
        loss = Trace_ELBO(num_particles=2)(model, guide)
        loss(x, y)  # what a guide without parameters needs, as Pyro's examples say
        made = dict(loss.named_parameters())
        optimizer = torch.optim.Adam(loss.parameters(), lr=0.02)
        values = []
        for _ in range(40):
            optimizer.zero_grad()
            value = loss(x, y)
            value.backward()
            assert all(p.grad is not None and p.grad.isfinite().all() for p in loss.parameters())
            optimizer.step()
            values.append(value.item())
    assert dict(loss.named_parameters()).keys() == made.keys()
    assert sum(values[-15:]) < sum(values[:15])


@both
def test_two_guides_of_one_process_share_nothing(guide_of: Guide) -> None:
    x, y = models.regression_data()
    # AutoNormal needs the setting; with ours it makes no difference.
    with pyro.settings.context(module_local_params=guide_of is AutoNormal):
        model = models.LinearRegression(2)
        first, second = guide_of(model), guide_of(model)
        first(x, y), second(x, y)
        untouched = parameters_of(second)
        svi = SVI(model, first, adam(), Trace_ELBO())
        for _ in range(3):
            svi.step(x, y)
        second(x, y)
    after = parameters_of(second)
    assert after.keys() == untouched.keys()
    assert all(torch.equal(after[name], value) for name, value in untouched.items())


def test_ours_leaves_the_param_store_empty_and_survives_its_clearing() -> None:
    x, y = models.regression_data()
    model = models.LinearRegression(2)
    guide = OURS(model)
    svi = SVI(model, guide, adam(), Trace_ELBO())
    svi.step(x, y)
    assert len(pyro.get_param_store()) == 0
    before = parameters_of(guide)
    pyro.clear_param_store()
    guide(x, y)
    after = parameters_of(guide)
    assert all(torch.equal(after[name], value) for name, value in before.items())


@both
@pytest.mark.parametrize(
    "elbo",
    [
        Trace_ELBO(),
        Trace_ELBO(num_particles=3),
        Trace_ELBO(num_particles=3, vectorize_particles=True),
        Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=2),
        TraceMeanField_ELBO(),
        TraceGraph_ELBO(),
        TraceEnum_ELBO(max_plate_nesting=2, strict_enumeration_warning=False),
        RenyiELBO(alpha=0.5, num_particles=3),
        RenyiELBO(alpha=0.5, num_particles=3, vectorize_particles=True),
    ],
    ids=lambda elbo: f"{type(elbo).__name__}-{elbo.num_particles}-{elbo.vectorize_particles}",
)
@pytest.mark.filterwarnings("ignore:.*TraceMeanField_ELBO:UserWarning")
def test_every_elbo_takes_it(guide_of: Guide, elbo: Any) -> None:
    guide = guide_of(models.every_support)
    svi = SVI(models.every_support, guide, adam(), elbo)
    assert math.isfinite(svi.step())
    assert math.isfinite(svi.step())
    assert math.isfinite(svi.evaluate_loss())


@both
@pytest.mark.parametrize("vectorized", [False, True])
def test_assignments_are_summed_over(guide_of: Guide, vectorized: bool) -> None:
    y = torch.tensor([-4.0, -4.5, -3.8, 4.0, 4.2, 3.7])
    guide = guide_of(models.continuous_part(), init_loc_fn=init_to_value(values={"locs": y[[0, 3]]}))
    elbo = TraceEnum_ELBO(max_plate_nesting=1, num_particles=2, vectorize_particles=vectorized)
    svi = SVI(models.mixture, guide, adam(0.05), elbo)
    losses = [svi.step(y) for _ in range(60)]
    assert all(map(math.isfinite, losses))
    locs = guide.median(y)["locs"].sort().values
    torch.testing.assert_close(locs, torch.tensor([-4.1, 4.0]), atol=0.6, rtol=0)


@both
def test_it_is_one_part_of_a_list(guide_of: Guide) -> None:
    y = torch.tensor([-4.0, -4.5, 4.0, 4.2])
    guide = AutoGuideList(models.mixture)
    guide.append(guide_of(poutine.block(models.mixture, expose=["weights", "scale"])))
    guide.append(AutoDelta(poutine.block(models.mixture, expose=["locs"])))
    guide.append(AutoDiscreteParallel(poutine.block(models.mixture, expose=["assignment"])))
    svi = SVI(models.mixture, guide, adam(), TraceEnum_ELBO(max_plate_nesting=1))
    assert math.isfinite(svi.step(y))
    assert {"weights", "scale", "locs"} <= guide(y).keys()


@both
def test_two_of_a_kind_share_the_sites_of_a_list(guide_of: Guide) -> None:
    guide = AutoGuideList(models.every_support)
    guide.append(guide_of(poutine.block(models.every_support, hide=["table", "rates"])))
    guide.append(guide_of(poutine.block(models.every_support, expose=["table", "rates"])))
    svi = SVI(models.every_support, guide, adam(), Trace_ELBO(num_particles=2, vectorize_particles=True))
    assert math.isfinite(svi.step())
    assert {name: tuple(v.shape) for name, v in guide().items()} == models.EVERY_SHAPE
    median, quantiles = guide.median(), guide.quantiles([0.5])
    assert median.keys() == quantiles.keys() == models.EVERY_SHAPE.keys()


@both
def test_a_first_call_without_gradients_makes_parameters_that_train(guide_of: Guide) -> None:
    x, y = models.regression_data()
    model = models.LinearRegression(2)
    guide = guide_of(model)
    svi = SVI(model, guide, adam(), Trace_ELBO())
    assert math.isfinite(svi.evaluate_loss(x, y))
    before = parameters_of(guide)
    assert all(p.requires_grad for p in guide.parameters())
    svi.step(x, y)
    assert any(not torch.equal(p, before[name]) for name, p in guide.named_parameters())


@both
def test_a_first_call_under_particles_does_not_make_them_part_of_the_sites(guide_of: Guide) -> None:
    guide = guide_of(models.every_support)
    with pyro.plate("particles", 5, dim=-3):
        draw = guide()
    assert draw["table"].shape == (5, 4, 2)
    assert {name: tuple(value.shape) for name, value in guide().items()} == models.EVERY_SHAPE


def test_a_first_call_within_an_elbo_finds_the_start_that_one_before_it_finds() -> None:
    """Particles and enumerated states surround it, take dimensions, and must find them as they left them."""
    y = torch.tensor([-4.0, -4.5, 4.0, 4.2])
    elbo = TraceEnum_ELBO(max_plate_nesting=1, num_particles=3, vectorize_particles=True)
    within, before = (AutoHypernetwork(models.continuous_part()) for _ in range(2))
    before(y)
    assert math.isfinite(elbo.loss(models.mixture, within, y))
    for name, value in before.median().items():
        torch.testing.assert_close(within.median()[name], value, rtol=0.05, atol=0.05)


@both
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: pyro.optim.ClippedAdam({"lr": 0.02, "lrd": 0.99, "clip_norm": 5.0}),
        lambda: pyro.optim.AdagradRMSProp({"eta": 0.1, "t": 0.1}),
        lambda: pyro.optim.DCTAdam({"lr": 0.02}),
        lambda: pyro.optim.Adam(lambda name: {"lr": 0.02 if "loc" in name else 0.01}),
        lambda: pyro.optim.Adam({"lr": 0.02}, {"clip_norm": 1.0}),
        lambda: pyro.optim.ExponentialLR(
            {"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.02}, "gamma": 0.9}
        ),
    ],
    ids=["ClippedAdam", "AdagradRMSProp", "DCTAdam", "by name", "clipped", "scheduled"],
)
def test_every_pyro_optimiser_trains_it(
    guide_of: Guide, optimizer: Callable[[], pyro.optim.PyroOptim]
) -> None:
    guide = guide_of(models.two_sites)
    guide()
    before = parameters_of(guide)
    made = optimizer()
    svi = SVI(models.two_sites, guide, made, Trace_ELBO())
    for _ in range(3):
        svi.step()
        if isinstance(made, pyro.optim.PyroLRScheduler):
            made.step()
    unmoved = [name for name, p in guide.named_parameters() if torch.equal(p, before[name])]
    # What feeds a matrix that starts at 0 has tiny gradients at first, which AdagradRMSProp moves by nothing.
    assert [name for name in unmoved if "recognition" not in name] == []


@both
def test_an_optimisers_state_is_kept_for_each_parameter(guide_of: Guide) -> None:
    guide = guide_of(models.two_sites)
    optimizer = adam()
    SVI(models.two_sites, guide, optimizer, Trace_ELBO()).step()
    assert len(optimizer.get_state()) == len(list(guide.parameters()))


@both
def test_doubles_stay_doubles(guide_of: Guide) -> None:
    x, y = (part.double() for part in models.regression_data())

    def model(x: Tensor, y: Tensor) -> None:
        slope = pyro.sample("slope", pyro.distributions.Normal(x.new_zeros(2), 1.0).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("obs", pyro.distributions.Normal(x @ slope, 1.0), obs=y)

    guide = guide_of(model)
    SVI(model, guide, adam(), Trace_ELBO()).step(x, y)
    assert {p.dtype for p in guide.parameters()} == {torch.float64}
    assert guide(x, y)["slope"].dtype == torch.float64


@both
def test_the_start_and_its_width_can_be_given(guide_of: Guide) -> None:
    start = {"x": torch.tensor(3.0), "y": torch.tensor([-1.0, 1.0])}
    guide = guide_of(models.two_sites, init_loc_fn=init_to_value(values=start), init_scale=0.001)
    with pyro.plate("particles", 200, dim=-1), torch.no_grad():
        draw = guide()
    for name, value in start.items():
        torch.testing.assert_close(draw[name].mean(0).squeeze(), value, atol=0.001, rtol=0)
        torch.testing.assert_close(
            draw[name].std(0).squeeze(), value.new_full(value.shape, 0.001), rtol=0.3, atol=0
        )


@both
def test_a_start_may_be_drawn(guide_of: Guide) -> None:
    guide = guide_of(models.every_support, init_loc_fn=init_to_sample)
    assert {name: tuple(value.shape) for name, value in guide().items()} == models.EVERY_SHAPE


@both
@pytest.mark.parametrize("wrap", ["reparam", "condition", "scale", "mask"])
def test_wrapped_models_are_models(guide_of: Guide, wrap: str) -> None:
    def model() -> None:
        a = pyro.sample("a", pyro.distributions.LogNormal(0.0, 1.0))
        pyro.sample("b", pyro.distributions.Normal(0.0, a))

    wrapped = {
        "reparam": lambda: poutine.reparam(model, config={"b": LocScaleReparam(0.0)}),
        "condition": lambda: poutine.condition(model, {"b": torch.tensor(1.0)}),
        "scale": lambda: poutine.scale(model, 0.5),
        "mask": lambda: poutine.mask(model, mask=torch.tensor(True)),
    }[wrap]()
    names = {"reparam": {"a", "b_decentered"}, "condition": {"a"}}.get(wrap, {"a", "b"})
    guide = guide_of(wrapped)
    svi = SVI(wrapped, guide, adam(), Trace_ELBO())
    assert math.isfinite(svi.step())
    assert guide().keys() == names


def test_reweighted_wake_sleep_is_refused_with_what_to_train_with() -> None:
    """It asks for the density of draws that the guide did not just make."""
    y = torch.ones(3)
    guide = AutoHypernetwork(models.conjugate)
    svi = SVI(
        models.conjugate,
        guide,
        pyro.optim.Adam({"lr": 0.01}),
        ReweightedWakeSleep(num_particles=2, vectorize_particles=False),
    )
    with pytest.raises(ValueError, match="such as Trace_ELBO"):
        svi.step(y)
