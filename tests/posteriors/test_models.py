"""What guides may count on: float64, broadcast particles, one numbering of parameters, a start inside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO
from pyro.infer.autoguide import AutoDelta, AutoNormal
from pyro.infer.autoguide.initialization import init_to_value

from bayeshyper.errors import DataError
from tests.posteriors.evaluation import POSTERIORS, log_joint, posterior, posteriors, unconstrained

CLOSE = {"rtol": 1e-11, "atol": 1e-11}


@pytest.fixture(autouse=True)
def _empty_param_store() -> Iterator[None]:
    pyro.clear_param_store()
    yield
    pyro.clear_param_store()


@pytest.mark.parametrize("name", POSTERIORS)
def test_sites_and_parameters_are_the_same_numbers(name: str, folder: Path) -> None:
    target = posterior(name, folder)
    assert target.reference.shape == (10_000, len(target.names))
    sites = target.sites(target.reference)
    torch.testing.assert_close(target.parameters(sites), target.reference, **CLOSE)
    prototype = poutine.trace(target.model).get_trace()
    assert set(sites) == set(prototype.stochastic_nodes)
    for site, values in sites.items():
        node = prototype.nodes[site]
        assert values.shape[1:] == node["value"].shape == node["fn"].event_shape
        assert node["value"].dtype == torch.float64


@pytest.mark.parametrize("name", POSTERIORS)
def test_the_reference_lies_in_the_support(name: str, folder: Path) -> None:
    target = posterior(name, folder)
    free = unconstrained(target.model, target.sites(target.reference))
    assert all(values.isfinite().all() for values in free.values())


@pytest.mark.parametrize("name", POSTERIORS)
def test_particles_side_by_side_have_the_densities_that_they_have_alone(name: str, folder: Path) -> None:
    target = posterior(name, folder)
    sites = target.sites(target.reference[:4])
    together = log_joint(target.model, sites)
    alone = [
        poutine.trace(poutine.condition(target.model, {site: values[row] for site, values in sites.items()}))
        .get_trace()
        .log_prob_sum()
        for row in range(4)
    ]
    torch.testing.assert_close(together, torch.stack(alone), **CLOSE)


@pytest.mark.parametrize("name", POSTERIORS)
def test_the_loss_of_vectorised_particles_is_that_of_the_loop(name: str, folder: Path) -> None:
    """At a guide without noise, both are one number: −log p(sites, data)."""
    target = posterior(name, folder)
    sites = target.sites(target.reference[:1])
    values = {site: value[0] for site, value in sites.items()}
    guide = AutoDelta(target.model, init_loc_fn=init_to_value(values=values))
    shared = {"num_particles": 8, "max_plate_nesting": 0}
    loop = Trace_ELBO(**shared).loss(target.model, guide)
    vectorised = Trace_ELBO(**shared, vectorize_particles=True).loss(target.model, guide)
    assert vectorised == pytest.approx(loop, rel=1e-11)
    assert loop == pytest.approx(-log_joint(target.model, sites).item(), rel=1e-11)


@pytest.mark.parametrize("name", POSTERIORS)
def test_a_guide_starts_where_the_density_is_finite(name: str, folder: Path) -> None:
    target = posterior(name, folder)
    torch.manual_seed(0)
    guide = AutoNormal(target.model)
    elbo = Trace_ELBO(num_particles=8, vectorize_particles=True, max_plate_nesting=0)
    loss = elbo.differentiable_loss(target.model, guide)
    assert loss.isfinite()
    gradients = torch.autograd.grad(loss, list(guide.parameters()))
    assert all(gradient.isfinite().all() and gradient.dtype == torch.float64 for gradient in gradients)


def test_an_unknown_name_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no posterior 'nes1900-nes': expected one of .*nes1976-nes"):
        posteriors.posterior("nes1900-nes", tmp_path)
    with pytest.raises(DataError, match=r"no reference posteriors in .*: index\.json"):
        posteriors.posterior("nes1976-nes", tmp_path)
