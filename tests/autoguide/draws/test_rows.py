"""One posterior for each row of a plate: of the rows that are present, in any plate, beside other guides."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.infer.autoguide import AutoGuideList
from torch import Tensor

from bayeshyper import AutoHypernetwork
from bayeshyper.autoguide.posterior.conditional import ConditionalPosterior
from tests.autoguide.amortised import (
    guide_of_rows,
    local,
    local_context,
    local_data,
    pooled,
)


@pytest.fixture
def of_rows() -> AutoHypernetwork:
    return guide_of_rows()


def hierarchical(y: Tensor) -> None:
    mean = pyro.sample("mean", dist.Normal(0.0, 10.0))
    with pyro.plate("rows", len(y)):
        z = pyro.sample("z", dist.Normal(mean, 1.0))
        pyro.sample("y", dist.Normal(z, 1.0), obs=y)


def of(context: Callable[..., Any], model: Callable[..., Any] = local, *args: Any) -> None:
    AutoHypernetwork(model, context=context, example_args=args or local_data(5))


def test_batches_of_a_subsampled_plate_have_the_loss_of_all_rows(of_rows: AutoHypernetwork) -> None:
    torch.manual_seed(1)
    y, scale = local_data(60)
    elbo = Trace_ELBO(num_particles=400, vectorize_particles=True, max_plate_nesting=1)
    with torch.no_grad():
        full = elbo.loss(local, of_rows, y, scale)
        batches = [
            elbo.loss(local, of_rows, y[start : start + 15], scale[start : start + 15], 60)
            for start in range(0, 60, 15)
        ]
    # Of 400 draws of 60 rows, each of which has a loss of a spread below 1.
    assert sum(batches) / 4 == pytest.approx(full, abs=4 * math.sqrt(2 * 60 / 400))
    assert abs(full) > 60  # the scales of batches are 4, and none that is missed would pass


def test_the_plate_of_each_call_is_scaled_by_its_own_size(of_rows: AutoHypernetwork) -> None:
    y, scale = local_data(10)
    for size in (None, 40, 10):
        trace = poutine.trace(of_rows).get_trace(y, scale, size)
        latent = trace.nodes[f"_{of_rows._pyro_name}_latent"]
        assert latent["scale"] == trace.nodes["theta"]["scale"] == (size or 10) / 10
        assert latent["fn"].batch_shape == trace.nodes["theta"]["value"].shape == (10,)


def crossed(y: Tensor) -> None:
    """Rows at dim −2, between a plate of parts and one of columns: y ``(4, B, 3)``."""
    with pyro.plate("parts", 4, dim=-3), pyro.plate("rows", y.shape[1], dim=-2):
        part = pyro.sample("part", dist.Dirichlet(torch.ones(2)))
        with pyro.plate("columns", 3, dim=-1):
            level = pyro.sample("level", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(level + part[..., 0], 1.0), obs=y)


def crossed_context(y: Tensor) -> Tensor:
    return y.movedim(1, 0).flatten(1)


def test_rows_may_stand_at_any_dim_and_sites_in_other_plates() -> None:
    """What a row's latents are depends on that row's data alone, wherever its plate stands."""
    torch.manual_seed(0)
    y = torch.randn(4, 5, 3)
    guide = AutoHypernetwork(crossed, context=crossed_context, noise_dim=2, hidden=(4,))
    guide(y)
    assert guide.sites is not None
    assert guide.sites.size == 4 * 1 + 4 * 3
    with torch.no_grad():  # away from the start, where nothing depends on the context
        for parameter in guide.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    other = y.clone()
    other[:, 3] += 1.0
    for data, rows in ((y, 5), (y[:, :2], 2)):
        values = guide(data)
        assert values["part"].shape == (4, rows, 1, 2)
        assert values["level"].shape == (4, rows, 3)
    seed = torch.Generator()
    first = guide.sample_posterior(6, y, generator=seed.manual_seed(1))
    second = guide.sample_posterior(6, other, generator=seed.manual_seed(1))
    for name in ("part", "level"):
        changed = (first[name] != second[name]).flatten(3).any(-1).any(0).any(0)
        assert changed.tolist() == [False, False, False, True, False]
    flat = guide.sites.flatten(first)
    assert flat.shape == (6, 5, 16)
    for name, value in guide.sites.values(flat).items():
        torch.testing.assert_close(value, first[name])
    for particles in (False, True):
        elbo = Trace_ELBO(num_particles=3, vectorize_particles=particles, max_plate_nesting=3)
        assert math.isfinite(elbo.loss(crossed, guide, y))


def test_particles_at_once_have_the_loss_of_one_at_a_time(of_rows: AutoHypernetwork) -> None:
    torch.manual_seed(0)
    y, scale = local_data(20)
    losses = [
        Trace_ELBO(num_particles=100, vectorize_particles=together, max_plate_nesting=1).loss(
            local, of_rows, y, scale
        )
        for together in (False, True)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=4 * math.sqrt(2 * 20 / 100))


def test_features_of_all_rows_serve_a_plate_that_subsamples() -> None:
    y, scale = local_data(12)

    def model(y: Tensor, scale: Tensor) -> None:
        with pyro.plate("rows", 12, subsample_size=4) as index:
            theta = pyro.sample("theta", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(theta, scale[index]), obs=y[index])

    guide = AutoHypernetwork(model, context=local_context, noise_dim=0, hidden=(), example_args=(y, scale))
    with torch.no_grad():
        posterior = guide._modules["posterior_"]
        assert isinstance(posterior, ConditionalPosterior)
        posterior.matrix[0, 0, 0] = 100.0  # the location is 100 y, and the scale 0.1
    trace = poutine.trace(guide).get_trace(y, scale)
    present = trace.nodes["rows"]["value"]
    torch.testing.assert_close(trace.nodes["theta"]["value"], 100 * y[present], rtol=0, atol=1.0)
    assert guide.sample_posterior(2, y, scale)["theta"].shape == (2, 12)


def test_global_latents_go_to_a_guide_beside() -> None:
    """m ~ N(0, 10²), z_i ~ N(m, 1), y_i ~ N(z_i, 1): the best q(m) q(z | y) has exact means."""
    torch.manual_seed(0)
    y = 1.0 + math.sqrt(2.0) * torch.randn(100)
    guide = AutoGuideList(hierarchical)
    shared = poutine.block(hierarchical, hide=["z"])
    rows = poutine.block(hierarchical, expose=["z"])
    guide.append(AutoHypernetwork(shared, noise_dim=1, hidden=(8,)))
    guide.append(AutoHypernetwork(rows, context=lambda y: y[:, None], noise_dim=0, hidden=()))
    elbo = Trace_ELBO(5, vectorize_particles=True, max_plate_nesting=1)
    svi = SVI(hierarchical, guide, pyro.optim.ClippedAdam({"lr": 0.04, "lrd": 0.99}), elbo)
    for _ in range(300):
        svi.step(y)
    exact = (y.sum() / 2 / (len(y) / 2 + 1 / 100)).item()
    mean = guide[0].sample_posterior(2000)["mean"]
    assert mean.mean().item() == pytest.approx(exact, abs=0.05)
    # Of independent parts each has its spread given the others: here 1/(N + 1/100).
    assert mean.std().item() == pytest.approx(len(y) ** -0.5, rel=0.2)
    new = torch.tensor([-1.0, 1.0, 3.0])
    z = guide[1].sample_posterior(2000, new)["z"]
    torch.testing.assert_close(z.mean(0), (new + exact) / 2, rtol=0, atol=0.1)
    torch.testing.assert_close(z.std(0), torch.full((3,), math.sqrt(0.5)), rtol=0.1, atol=0)
    assert set(guide.median(y)) == {"mean", "z"}
    assert not dict(pyro.get_param_store())


def test_predictive_takes_new_rows(of_rows: AutoHypernetwork) -> None:
    y, scale = local_data(9)
    expected = of_rows.sample_posterior(4000, y, scale)["theta"]
    mean, sd = expected.mean(0), expected.std(0)
    for parallel in (False, True):
        predictive = Predictive(
            local, guide=of_rows, num_samples=50, parallel=parallel, return_sites=["theta"]
        )
        draws = predictive(y, scale)["theta"].reshape(50, 9)
        assert ((draws.mean(0) - mean) / sd).abs().max() < 5 / math.sqrt(50)


def test_arviz_has_the_posterior_of_the_rows_given(of_rows: AutoHypernetwork) -> None:
    y, scale = local_data(9)
    gathered = of_rows.to_arviz(y, scale, draws=20, groups=["posterior"])
    assert gathered["posterior"]["theta"].shape == (1, 20, 9)


def test_a_guide_that_was_stored_draws_for_new_rows(of_rows: AutoHypernetwork) -> None:
    stored = pickle.loads(pickle.dumps(of_rows))
    y, scale = local_data(7)
    with torch.no_grad():
        assert stored(y, scale)["theta"].shape == (7,)
    draws = Predictive(local, guide=stored, num_samples=3)(y, scale)
    assert draws["theta"].shape == (3, 7)
    with pytest.raises(ValueError, match="7 rows for a guide that was stored, and so has no model"):
        stored(y, scale)
    state = torch.Generator()
    ours, theirs = (
        guide.sample_posterior(2, y, scale, generator=state.manual_seed(0))["theta"]
        for guide in (of_rows, stored)
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_rows_that_are_of_no_plate_are_refused_and_latents_outside_named() -> None:
    y, _ = local_data(5)
    with pytest.raises(ValueError, match=r"of 4 rows, expected those of a plate .* 'rows' of 5"):
        of(lambda y, scale: local_context(y, scale)[:4])
    with pytest.raises(ValueError, match=r"there is none\. For features of the whole data set return"):
        of(lambda y: y[:, None], pooled, y)
    with pytest.raises(ValueError, match=r"'rows', in which 'mean' does not stand.*hide=\['mean'\]"):
        of(lambda y: y[:, None], hierarchical, y)

    def square(y: Tensor) -> None:
        with pyro.plate("first", 5, dim=-2), pyro.plate("second", 5, dim=-1):
            pyro.sample("z", dist.Normal(0.0, 1.0))

    with pytest.raises(ValueError, match=r"'(first|second)' and '(first|second)' both have so many"):
        of(lambda y: y[:, None], square, y)


def test_rows_that_do_not_fit_the_plate_of_a_call_are_refused(of_rows: AutoHypernetwork) -> None:
    y, scale = local_data(5)
    guide = AutoHypernetwork(
        local, context=lambda y, scale, *size: local_context(y, scale)[:5], example_args=(y, scale)
    )
    with pytest.raises(
        ValueError, match=r"Got a context of 5 rows, expected 7, one for each row of the plate"
    ):
        guide(*local_data(7))
    with pytest.raises(ValueError, match=r"5 rows, expected 7, one for each .* present, or 20, one for each"):
        guide(*local_data(7), 20)
    parts = AutoGuideList(local)
    parts.append(AutoHypernetwork(local, context=local_context))
    parts(y, scale)
    with pytest.raises(
        ValueError, match=r"the plate 'rows' of size 7 in the model and of size 5 in the guide"
    ):
        parts(*local_data(7))
    parts = AutoGuideList(local, create_plates=lambda y, scale: pyro.plate("rows", len(y), dim=-1))
    parts.append(AutoHypernetwork(local, context=local_context))
    for rows in (5, 7):
        assert parts(*local_data(rows))["theta"].shape == (rows,)


def test_a_model_that_leaves_the_plate_is_refused() -> None:
    y, scale = local_data(5)
    guide = AutoHypernetwork(
        local, context=lambda y, scale, *_: local_context(y, scale), example_args=(y, scale)
    )
    with pytest.raises(ValueError, match=r"'theta' has shape \(5, 1\) now and had \(5,\) when the guide"):
        guide(y, scale, None, -2)
    with torch.no_grad(), pytest.raises(ValueError, match="do not stand in the plate 'rows' at dim -1 now"):
        guide(y, scale, None, -2)
