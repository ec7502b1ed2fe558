"""Sites to a flat vector and back, with the volume that goes with it."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import constraints

from bayeshyper.autoguide.model.sites import LatentSites

F64 = torch.float64


def of_all_supports() -> None:
    zero, one = torch.tensor(0.0, dtype=F64), torch.tensor(1.0, dtype=F64)
    pyro.sample("real", dist.Normal(zero, one))
    pyro.sample("positive", dist.LogNormal(zero, one))
    pyro.sample("interval", dist.Uniform(-2 * one, 3 * one))
    pyro.sample("simplex", dist.Dirichlet(torch.ones(4, dtype=F64)))
    pyro.sample("ordered", dist.TransformedDistribution(
        dist.Normal(torch.zeros(3, dtype=F64), one).to_event(1), dist.transforms.OrderedTransform()
    ))  # fmt: skip
    pyro.sample("correlation", dist.LKJCholesky(3, one))
    with pyro.plate("rows", 2):
        pyro.sample("vector", dist.Gamma(2 * torch.ones(5, dtype=F64), one).to_event(1))
    pyro.sample("observed", dist.Normal(zero, one), obs=one)


def sites_of(model: object) -> LatentSites:
    with pyro.poutine.seed(rng_seed=0):  # type: ignore[attr-defined]
        return LatentSites(poutine.trace(model).get_trace())


def test_values_are_on_their_supports_and_come_back() -> None:
    sites = sites_of(of_all_supports)
    assert sites.size == 1 + 1 + 1 + 3 + 3 + 3 + 10
    flat = torch.randn(20, sites.size, dtype=F64, generator=torch.Generator().manual_seed(0))
    values = sites.values(flat)
    assert values["vector"].shape == (20, 2, 5)
    supports = {
        "positive": constraints.positive,
        "interval": constraints.interval(-2.0, 3.0),
        "simplex": constraints.simplex,
        "correlation": constraints.corr_cholesky,
    }
    for name, support in supports.items():
        assert bool(support.check(values[name]).all()), name
    torch.testing.assert_close(sites.flatten(values), flat, rtol=1e-9, atol=1e-9)


def free_coordinates(values: dict[str, Tensor]) -> Tensor:
    """As many numbers of a draw's values as there are degrees of freedom."""
    below = torch.tril_indices(3, 3, offset=-1)
    parts = [
        values["real"], values["positive"], values["interval"], values["simplex"][:-1], values["ordered"],
        values["correlation"][below[0], below[1]], values["vector"],
    ]  # fmt: skip
    return torch.cat([part.reshape(-1) for part in parts])


def test_the_volume_is_the_jacobians_determinant() -> None:
    sites = sites_of(of_all_supports)
    for flat in torch.randn(5, sites.size, dtype=F64, generator=torch.Generator().manual_seed(1)):
        jacobian = torch.autograd.functional.jacobian(
            lambda u: free_coordinates({n: v[0] for n, v in sites.values(u.unsqueeze(0)).items()}), flat
        )
        exact = torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(sites.log_volume(flat.unsqueeze(0))[0], exact, rtol=1e-9, atol=1e-9)


def test_a_subsampled_site_has_all_its_rows() -> None:
    def model() -> None:
        with pyro.plate("rows", 10, subsample_size=3):
            pyro.sample("local", dist.Normal(0.0, 1.0))

    sites = sites_of(model)
    assert sites.size == 10
    assert [site.is_subsampled for site in sites] == [True]


def test_missing_and_misshapen_values_are_named() -> None:
    sites = sites_of(of_all_supports)
    values = sites.values(torch.zeros(2, sites.size, dtype=F64))
    with pytest.raises(ValueError, match="no value for real"):
        sites.flatten({name: value for name, value in values.items() if name != "real"})
    with pytest.raises(ValueError, match="'vector'"):
        sites.flatten({**values, "vector": values["vector"][:, :1]})
