"""Plates and densities under an autoguide: subsamples unbiased, particles many draws, Jacobians counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO, TraceEnum_ELBO, TraceGraph_ELBO, TraceMeanField_ELBO
from pyro.infer.autoguide import AutoGuide, AutoGuideList, AutoNormal

from bayeshyper import AutoHypernetwork
from tests.autoguide import models

Guide = Callable[..., AutoGuide]
OURS = partial(AutoHypernetwork, search=False)  # no search for a start: the idioms are what is tried here
both = pytest.mark.parametrize("guide_of", [AutoNormal, OURS], ids=["AutoNormal", "AutoHypernetwork"])
ROWS = torch.tensor([1.2, -0.4, 3.1, 0.3, 2.2, -1.0])


@pytest.fixture(autouse=True)
def _empty_param_store() -> Iterator[None]:
    """AutoNormal keeps its parameters in Pyro's store, by name: no test may find another's."""
    pyro.clear_param_store()
    torch.manual_seed(0)
    yield
    pyro.clear_param_store()


def mean_loss(
    model: Callable[..., object], guide: AutoGuide, *args: object, times: int, elbo: type = Trace_ELBO
) -> tuple[float, float]:
    """The mean of the loss over calls of their own, and its standard error."""
    with torch.no_grad():
        losses = torch.tensor([elbo().loss(model, guide, *args) for _ in range(times)])
    return losses.mean().item(), losses.std().item() / math.sqrt(times)


def agree(one: tuple[float, float], other: tuple[float, float]) -> None:
    """Two means that differ by less than five standard errors of their difference."""
    assert abs(one[0] - other[0]) < 5 * math.hypot(one[1], other[1]), (one, other)


@pytest.mark.parametrize("model", [models.shared_mean, models.row_means], ids=lambda model: model.__name__)
def test_the_loss_of_subsamples_is_that_of_all_rows_in_the_mean(model: Callable[..., object]) -> None:
    guide = OURS(model)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
    for _ in range(30):
        svi.step(ROWS, 2)
    subsampled = mean_loss(model, guide, ROWS, 2, times=200)
    # The same parameters under a plate of all rows.
    every_row = OURS(model)
    every_row(ROWS, None)
    every_row.load_state_dict(guide.state_dict())
    full = mean_loss(model, every_row, ROWS, None, times=200)
    agree(subsampled, full)


@both
def test_rows_in_a_subsampled_plate_have_latents_of_their_own(guide_of: Guide) -> None:
    guide = guide_of(models.row_means)
    svi = SVI(models.row_means, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
    for _ in range(250):
        svi.step(ROWS, 3)
    draw = guide(ROWS, 3)
    assert draw["mean"].shape == draw["scale"].shape == (3,)
    median = guide.median()
    assert median["mean"].shape == (6,)
    # Each row's mean lies between its own observation and the rows' mean: their order is that of the rows.
    assert torch.equal(median["mean"].argsort()[[0, -1]], ROWS.argsort()[[0, -1]])


@both
@pytest.mark.parametrize("in_a_list", [False, True])
def test_the_rows_of_a_data_loader_are_the_guides_rows(guide_of: Guide, in_a_list: bool) -> None:
    y = torch.tensor([-5.0, 5.0, 0.0, 4.0, -4.0])
    if in_a_list:
        guide: AutoGuide = AutoGuideList(models.given_rows, create_plates=models.plates_of_given_rows)
        guide.append(guide_of(poutine.block(models.given_rows, expose=["loc"])))
        guide.append(guide_of(poutine.block(models.given_rows, hide=["loc"])))
    else:
        guide = guide_of(models.given_rows, create_plates=models.plates_of_given_rows)
    svi = SVI(models.given_rows, guide, pyro.optim.ClippedAdam({"lr": 0.1, "lrd": 0.98}), Trace_ELBO())
    for _ in range(60):
        for rows in torch.randperm(5).split(2):  # the last batch is smaller
            svi.step(y[rows], rows, 5)
    mean = guide.median()["mean"]
    # N(y/2 + loc/2, …): half way between each observation and about 0.
    torch.testing.assert_close(mean, y / 2, atol=1.0, rtol=0)


def test_particles_in_a_plate_are_particles_in_a_loop() -> None:
    guide = OURS(models.every_support)
    looped = mean_loss(models.every_support, guide, times=150)
    with torch.no_grad():
        elbo = Trace_ELBO(num_particles=60, vectorize_particles=True, max_plate_nesting=2)
        losses = torch.tensor([elbo.loss(models.every_support, guide) for _ in range(20)])
    agree(looped, (losses.mean().item(), losses.std().item() / math.sqrt(20)))


@pytest.mark.parametrize("elbo", [TraceGraph_ELBO, TraceMeanField_ELBO, TraceEnum_ELBO])
@pytest.mark.filterwarnings("ignore:.*TraceMeanField_ELBO:UserWarning")
@pytest.mark.filterwarnings("ignore:.*[Ee]numerat:UserWarning")
def test_every_elbo_has_the_same_mean(elbo: type) -> None:
    # AutoNormal's is another under TraceMeanField_ELBO: Pyro's KL of a Delta drops the Jacobian.
    guide = OURS(models.every_site_is_positive)
    expected = mean_loss(models.every_site_is_positive, guide, times=150)
    agree(mean_loss(models.every_site_is_positive, guide, times=150, elbo=elbo), expected)


@both
def test_an_exact_posterior_behind_a_transform_is_found_with_its_evidence(guide_of: Guide) -> None:
    y = torch.tensor([0.5, 1.5, 0.9, 2.0])
    guide = guide_of(models.conjugate)
    elbo = Trace_ELBO(num_particles=32, vectorize_particles=True)
    steps = 250
    svi = SVI(models.conjugate, guide, pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.05 ** (1 / steps)}), elbo)
    for _ in range(steps):
        svi.step(y)
    loss = Trace_ELBO(num_particles=4000, vectorize_particles=True).loss(models.conjugate, guide, y)
    # With a Jacobian lost or counted twice, this would be off by E|ln z|, about 0.3 nats, or more.
    assert loss == pytest.approx(-models.conjugate_evidence(y), abs=0.02)
    with pyro.plate("particles", 4000, dim=-2), torch.no_grad():
        log_z = guide(y)["z"].log()
    assert log_z.mean().item() == pytest.approx(float(y.log().sum()) / 5, abs=0.05)
    assert log_z.std().item() == pytest.approx(math.sqrt(1 / 5), rel=0.1)


def test_all_rows_in_another_order_are_picked_by_their_numbers() -> None:
    order = torch.tensor([2, 0, 1])
    guide = OURS(models.given_rows, create_plates=models.plates_of_given_rows)
    y = torch.tensor([1.0, 2.0, 3.0])
    guide(y, torch.arange(3), 3)
    torch.manual_seed(1)
    straight = guide(y, torch.arange(3), 3)["mean"]
    torch.manual_seed(1)
    assert torch.equal(guide(y[order], order, 3)["mean"], straight[order])
