"""Models that cannot be guided are refused in sentences: what was got, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import init_to_value
from pyro.infer.reparam import ProjectedNormalReparam
from torch import Tensor

from bayeshyper import AutoHypernetwork
from bayeshyper.autoguide import WeightedDraws, calibrate_model
from bayeshyper.diagnostics.posterior.psis import PSIS
from tests.autoguide import models

Y = torch.tensor([0.5, -1.0, 2.0])
WEIGHTED = WeightedDraws({"x": Y}, (torch.ones(3) / 3).log(), PSIS((0.0,), (3.0,), 3, "exact"), 0.0, 0.0)


def linear(x: Tensor, y: Tensor, *, scale: float = 1.0) -> None:
    slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(x)):
        pyro.sample("obs", dist.Normal(slope * x, scale), obs=y)


def switched() -> None:
    pyro.sample("x", dist.Normal(0.0, 1.0))
    k = pyro.sample("k", dist.Categorical(torch.ones(2)))
    pyro.sample("obs", dist.Normal(k.float(), 1.0), obs=torch.tensor(1.0))


def test_a_discrete_latent_is_named_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"'k' \(Categorical\).*TraceEnum_ELBO.*hide=\['k'\]"):
        AutoHypernetwork(switched)()
    guide = AutoHypernetwork(poutine.block(switched, hide=["k"]))
    assert guide().keys() == {"x"}


def test_an_enumerated_latent_has_to_be_hidden_too() -> None:
    with pytest.raises(ValueError, match="'assignment'"):
        AutoHypernetwork(models.mixture)(Y)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_model_without_latents_needs_no_guide(hidden: bool) -> None:
    def observed() -> None:
        pyro.sample("obs", dist.Normal(0.0, 1.0), obs=torch.tensor(1.0))

    model = poutine.block(models.two_sites, hide=["x", "y"]) if hidden else observed
    with pytest.raises(ValueError, match=r"without latent sites.*lambda"):
        AutoHypernetwork(model)()


def test_a_latent_in_a_sequential_plate_is_named() -> None:
    def model() -> None:
        for i in pyro.plate("steps", 3):
            pyro.sample(f"x_{i}", dist.Normal(0.0, 1.0))

    with pytest.raises(ValueError, match=r"'x_0' in the sequential plate 'steps'.*with pyro.plate"):
        AutoHypernetwork(model)()


def test_a_support_without_a_transform_is_named() -> None:
    def model() -> None:
        x = pyro.sample("x", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        pyro.sample("direction", dist.ProjectedNormal(x))

    with pytest.raises(ValueError, match=r"'direction' \(ProjectedNormal\).*ProjectedNormalReparam"):
        AutoHypernetwork(model)()
    reparametrized = poutine.reparam(model, config={"direction": ProjectedNormalReparam()})
    assert torch.isfinite(AutoHypernetwork(reparametrized)()["x"]).all()


def test_missing_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"missing a required argument: 'x'.*\(x.*, y.*example_args="):
        AutoHypernetwork(linear)()
    with pytest.raises(ValueError, match="'y'"):
        AutoHypernetwork(linear)(Y)
    with pytest.raises(ValueError, match="unexpected keyword argument 'noise'"):
        AutoHypernetwork(linear)(Y, Y, noise=1.0)
    with pytest.raises(ValueError, match="'y'"):
        AutoHypernetwork(linear, example_args=(Y,))
    with pytest.raises(ValueError, match="'x'"):
        AutoHypernetwork(models.LinearRegression(2))()
    assert AutoHypernetwork(linear)(Y, y=Y).keys() == {"slope"}


def test_a_type_error_of_the_models_own_is_not_ours() -> None:
    def model(x: Tensor) -> None:
        pyro.sample("x", dist.Normal("zero", 1.0))

    with pytest.raises((TypeError, ValueError)) as caught:
        AutoHypernetwork(model)(Y)
    assert "example_args" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "scale", "what"),
    [
        (torch.tensor([0.5, torch.nan, 2.0]), 1.0, r"NaN at the site 'obs'"),
        (Y, 1e-30, r"−inf at the site 'obs'"),
    ],
)
def test_a_density_that_is_not_finite_is_named(data: Tensor, scale: float, what: str) -> None:
    with pyro.validation_enabled(False), pytest.raises(ValueError, match=what + ".*init_loc_fn"):
        AutoHypernetwork(linear)(Y, data, scale=scale)


def test_a_start_outside_of_the_support_is_named() -> None:
    def model() -> None:
        pyro.sample("ok", dist.Normal(0.0, 1.0))
        pyro.sample("share", dist.Beta(2.0, 2.0))

    start = init_to_value(values={"share": torch.tensor(1.5)})
    with pytest.raises(ValueError, match="'share' outside of its support"):
        AutoHypernetwork(model, init_loc_fn=start)()
    start = init_to_value(values={"share": torch.tensor(torch.nan)})
    with pytest.raises(ValueError, match="'share' that is not finite"):
        AutoHypernetwork(model, init_loc_fn=start)()


@pytest.mark.parametrize("wrap", [lambda y: {"y": y}, lambda y: [y], lambda y: ({"y": [y]},)])
def test_rows_that_change_inside_of_a_container_are_seen(wrap: Callable[[Tensor], Any]) -> None:
    def inner(value: Any) -> Tensor:
        while not isinstance(value, Tensor):
            value = next(iter(value.values())) if isinstance(value, dict) else value[0]
        return value

    def model(batch: Any) -> None:
        y = inner(batch)
        with pyro.plate("rows", len(y)):
            mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    guide = AutoHypernetwork(model)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
    svi.step(wrap(torch.zeros(6)))
    with pytest.raises(ValueError, match=r"'mean' has shape \(1,\) now and had \(6,\)"):
        svi.step(wrap(torch.zeros(1)))


def test_a_latent_whose_shape_changes_is_named_with_both_shapes() -> None:
    def model(y: Tensor) -> None:
        with pyro.plate("data", len(y)):
            mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
            pyro.sample("obs", dist.Normal(mean, 1.0), obs=y)

    guide = AutoHypernetwork(model)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
    svi.step(Y)
    with pytest.raises(ValueError, match=r"'mean' has shape \(2,\) now and had \(3,\).*create_plates="):
        svi.step(Y[:2])
    svi.step(Y)  # nothing was broken by it


@pytest.mark.parametrize(("first", "then", "said"), [(1, 2, "was not drawn"), (2, 1, "was drawn")])
def test_a_site_that_comes_and_goes_with_the_data_is_named(first: int, then: int, said: str) -> None:
    def model(y: Tensor) -> None:
        for i in range(len(y)):
            pyro.sample(f"x_{i}", dist.Normal(0.0, 1.0))

    guide = AutoHypernetwork(model)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
    svi.step(Y[:first])
    with pytest.raises(ValueError, match=f"'x_1' {said}"):
        svi.step(Y[:then])


def test_a_site_that_comes_and_goes_with_another_is_named() -> None:
    def model() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 10.0))
        if x > 0:
            pyro.sample("only if positive", dist.Normal(0.0, 1.0))

    with pytest.raises(ValueError, match="'only if positive'"):
        AutoHypernetwork(model)()


@pytest.mark.parametrize("far", [3.0, -3.0])
def test_a_site_that_comes_far_from_the_start_is_named(far: float) -> None:
    def model() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        if x / far > 1.0:
            pyro.sample("only far out", dist.Normal(0.0, 1.0))

    state = torch.random.get_rng_state()
    with pytest.raises(ValueError, match="'only far out'"):
        AutoHypernetwork(model, init_loc_fn=init_to_value(values={"x": torch.tensor(0.0)}))
    assert torch.equal(state, torch.random.get_rng_state())


def test_what_is_masked_may_have_no_density() -> None:
    y = torch.tensor([0.5, torch.nan, 2.0])

    def model() -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("rows", 3), poutine.mask(mask=~y.isnan()):
            pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    with pyro.validation_enabled(False):
        assert torch.isfinite(AutoHypernetwork(model, search=False)()["mean"])


def test_parameters_that_a_distribution_refuses_are_placed() -> None:
    def model() -> None:
        pyro.sample("first", dist.Normal(0.0, 1.0))
        pyro.sample("second", dist.Normal(0.0, torch.tensor(0.0)))

    with pytest.raises(ValueError, match=r"at its site 'first' or after it.*scale") as caught:
        AutoHypernetwork(model)
    assert "Trace Shapes" not in str(caught.value)


def test_predicting_is_no_change_of_structure() -> None:
    x, y = models.regression_data()
    model = models.LinearRegression(2)
    guide = AutoHypernetwork(model, search=False)
    guide(x, y)
    assert guide(x[:3]).keys() == models.REGRESSION_SITES.keys()


def test_two_sites_of_one_name_are_refused() -> None:
    def model() -> None:
        pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(0.0, 1.0))

    with pytest.raises((ValueError, RuntimeError), match="'x'"):
        AutoHypernetwork(model)()


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"noise_dim": -1}, "noise_dim"),
        ({"noise_dim": 2.5}, "noise_dim"),
        ({"hidden": (0,)}, "hidden"),
        ({"hidden": -1}, "hidden"),
        ({"entropy": "none such"}, "none such"),
        ({"init_scale": -1.0}, "init_scale"),
        ({"init_loc_fn": "median"}, r"init_loc_fn = 'median', expected a function"),
        ({"context": 3}, "context = 3, expected a function"),
        ({"create_plates": 3}, "create_plates = 3, expected a function"),
        ({"example_args": 3}, r"example_args of type int, expected a tuple.*\(y,\)"),
        ({"example_args": torch.zeros(2)}, "example_args of type Tensor, expected a tuple"),
        ({"example_kwargs": ["y"]}, "example_kwargs of type list, expected a dictionary"),
    ],
    ids=str,
)
def test_settings_of_nonsense_are_named(settings: dict[str, object], what: str) -> None:
    make: Callable[[], object] = lambda: AutoHypernetwork(models.two_sites, **settings)()  # noqa: E731
    with pytest.raises(ValueError, match=what):
        make()


def test_a_model_that_is_no_function_is_named() -> None:
    with pytest.raises(ValueError, match="model = 3, expected a function"):
        AutoHypernetwork(3)


@pytest.mark.parametrize("n", [-1, 0, 2.5, True, "many"])
def test_draws_are_counted_by_whole_numbers(n: object) -> None:
    guide = AutoHypernetwork(models.two_sites, noise_dim=0, search=False)
    for draw in (guide.sample_posterior, WEIGHTED.resample):
        with pytest.raises(ValueError, match=f"Got n = {n!r}, expected a whole number, 1 or more"):
            draw(n)


@pytest.mark.parametrize("n", [np.int64(3), torch.tensor(3)], ids=repr)
def test_whole_numbers_of_other_libraries_count_too(n: Any) -> None:
    guide = AutoHypernetwork(models.two_sites, noise_dim=0, search=False)
    assert len(guide.sample_posterior(n)["x"]) == 3


@pytest.mark.parametrize("levels", [[95, -1], [0.5, torch.nan], 1.01, "median", None, [[0.1, 0.9]]], ids=repr)
def test_quantiles_have_levels_between_0_and_1(levels: Any) -> None:
    guide = AutoHypernetwork(models.two_sites, noise_dim=0, search=False)
    for quantiles in (guide.quantiles, WEIGHTED.quantiles):
        with pytest.raises(ValueError, match=r"Got the levels .* expected .* between 0 and 1"):
            quantiles(levels)


def test_importances_and_audits_need_draws_and_noises() -> None:
    guide = AutoHypernetwork(models.two_sites, noise_dim=0, search=False)
    asked: list[Callable[..., object]] = [guide.audit, partial(guide.importance, 50)]
    asked.append(partial(guide.log_density, guide.sample_posterior(2)))
    for ask in asked:
        for inner in (0, -1, 1.5):
            with pytest.raises(ValueError, match=f"inner = {inner}, expected a whole number, 1 or more"):
                ask(inner=inner)
    for draws in (0, 1, 60.5):
        with pytest.raises(ValueError, match=f"draws = {draws}, expected a whole number, 2 or more"):
            guide.audit(draws=draws)


def test_arguments_that_a_fitted_guide_lacks_are_named() -> None:
    guide = AutoHypernetwork(linear, search=False, example_args=(Y, Y))
    what = r"missing a required argument: 'x', expected its arguments \(x, y, scale\)\. Give those"
    for ask in (guide.audit, partial(guide.importance, 60), guide.to_arviz):
        with pytest.raises(ValueError, match=what):
            ask()
    with pytest.raises(ValueError, match=r"missing a required argument: 'y'.*args= and kwargs="):
        calibrate_model(linear, lambda model, seed: guide.sample_posterior(63), (Y,), show=False)
