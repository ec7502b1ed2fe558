"""Discrete sites that are hidden from a guide are summed out of the density that it starts from."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO, config_enumerate
from pyro.infer.autoguide.initialization import InitMessenger, init_to_feasible
from torch import Tensor

from bayeshyper.autoguide.model.joint import LogJoint
from bayeshyper.autoguide.model.marginal import unblocked
from bayeshyper.autoguide.model.sites import LatentSites
from tests.autoguide import models

Y = torch.tensor([-4.0, -4.5, -3.8, 4.0, 4.2, 3.7])


def joint_of(model: object, *args: Tensor) -> tuple[LogJoint, LatentSites]:
    started = InitMessenger(init_to_feasible)(model)
    sites = LatentSites(poutine.trace(started).get_trace(*args))
    return LogJoint(started, sites, args), sites


def mixture_by_hand(values: dict[str, Tensor]) -> Tensor:
    """ln p(θ) + Σᵢ ln Σ_k π_k N(yᵢ; m_k, s), for draws in the first dimension."""
    weights, scale, locs = values["weights"], values["scale"], values["locs"]
    parts = dist.Normal(locs.unsqueeze(1), scale[:, None, None]).log_prob(Y[None, :, None])
    likelihood = torch.logsumexp(weights.log().unsqueeze(1) + parts, -1).sum(-1)
    prior = dist.Dirichlet(torch.full((2,), 2.0)).log_prob(weights) + dist.LogNormal(0.0, 1.0).log_prob(scale)
    return likelihood + prior + dist.Normal(0.0, 10.0).log_prob(locs).sum(-1)


@pytest.mark.parametrize("hide", [["assignment"], ["assignment", "data"]], ids=str)
def test_a_mixtures_assignments_are_summed_out(hide: list[str]) -> None:
    joint, sites = joint_of(poutine.block(models.mixture, hide=hide), Y)
    flat = torch.randn(7, sites.size, generator=torch.Generator().manual_seed(0))
    expected = mixture_by_hand(sites.values(flat)) + sites.log_volume(flat)
    torch.testing.assert_close(joint(flat), expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(
        torch.cat([joint(draw[None]) for draw in flat]), expected, rtol=1e-5, atol=1e-4
    )
    assert joint.is_fixed(flat[:1])


def test_a_chain_of_states_is_summed_out() -> None:
    """A hidden Markov model of two states, against its transition matrix to the power of the steps."""

    @config_enumerate  # type: ignore[untyped-decorator]
    def chain(y: Tensor) -> None:
        stay = pyro.sample("stay", dist.Beta(2.0, 2.0))
        state: Tensor | int = 0
        for t in pyro.markov(range(len(y))):
            moves = torch.stack([stay, 1 - stay], -1)
            probs = torch.where(torch.as_tensor(state)[..., None] == 0, moves, moves.flip(-1))
            state = pyro.sample(f"state_{t}", dist.Categorical(probs))
            pyro.sample(f"y_{t}", dist.Normal(2.0 * state, 1.0), obs=y[t])

    y = torch.tensor([0.1, 1.8, 2.2])
    joint, sites = joint_of(poutine.block(chain, expose=["stay"]), y)
    flat = torch.tensor([[-1.0], [0.0], [2.0]])
    stay = flat.sigmoid()[:, 0]
    moves = torch.stack([torch.stack([stay, 1 - stay], -1), torch.stack([1 - stay, stay], -1)], -2)
    forward = torch.tensor([[1.0, 0.0]]).expand(3, 2).unsqueeze(-2)
    for value in y:
        forward = forward @ moves * dist.Normal(torch.tensor([0.0, 2.0]), 1.0).log_prob(value).exp()
    expected = forward.sum((-1, -2)).log() + dist.Beta(2.0, 2.0).log_prob(stay) + sites.log_volume(flat)
    torch.testing.assert_close(joint(flat), expected, rtol=1e-5, atol=1e-5)


def test_what_is_observed_counts_though_it_is_hidden() -> None:
    exposed = poutine.block(models.conjugate, expose=["z"])
    y = torch.tensor([0.5, 2.0])
    flat = torch.tensor([[0.0], [1.0]])
    blocked, whole = joint_of(exposed, y)[0], joint_of(models.conjugate, y)[0]
    assert torch.equal(blocked(flat), whole(flat))


def test_states_that_are_drawn_at_random_leave_no_density_to_start_from() -> None:
    def drawn(y: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(y)):
            shift = pyro.sample("shift", dist.Bernoulli(0.5))
            pyro.sample("obs", dist.Normal(loc + 3.0 * shift, 1.0), obs=y)

    joint, _ = joint_of(poutine.block(drawn, hide=["shift"]), Y)
    torch.manual_seed(0)
    assert not joint.is_fixed(torch.zeros(1, 1))


def test_rows_in_subsamples_leave_none_either() -> None:
    joint, _ = joint_of(lambda y: models.shared_mean(y, 2), Y)
    assert not joint.is_fixed(torch.zeros(1, 1))


def test_other_handlers_stay() -> None:
    scaled = poutine.scale(poutine.block(models.two_sites, hide=["x"]), 0.5)
    trace = poutine.trace(unblocked(scaled)).get_trace()
    assert {name for name, node in trace.nodes.items() if node["type"] == "sample"} == {"x", "y"}
    assert trace.nodes["x"]["scale"] == 0.5


def two_states(y: Tensor) -> None:
    """With a discrete site for all rows, and one for each."""
    loc = pyro.sample("loc", dist.Normal(0.0, 3.0))
    side = pyro.sample("side", dist.Bernoulli(0.3), infer={"enumerate": "parallel"})
    with pyro.plate("rows", len(y)), poutine.mask(mask=y.abs() < 4.1):
        k = pyro.sample("k", dist.Categorical(torch.tensor([0.2, 0.3, 0.5])), infer={"enumerate": "parallel"})
        pyro.sample("y", dist.Normal(loc + k + side, 1.0), obs=y)


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_masks_and_scales_count_as_in_pyros_own_sum(scale: float) -> None:
    model = poutine.scale(two_states, scale)
    joint, _ = joint_of(poutine.block(model, hide=["side", "k"]), Y)
    flat = torch.tensor([[-1.0], [0.5], [3.0]])
    elbo = TraceEnum_ELBO(max_plate_nesting=1)
    given = [poutine.condition(model, data={"loc": value[0]}) for value in flat]
    expected = torch.tensor([-elbo.loss(one, lambda y: None, Y) for one in given])
    assert joint.is_fixed(flat[:1])
    torch.testing.assert_close(joint(flat), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.cat([joint(one[None]) for one in flat]), expected, rtol=1e-5, atol=1e-5)


def test_masked_rows_are_as_if_they_were_not_there() -> None:
    shown = Y.abs() < 4.1
    masked, _ = joint_of(poutine.block(two_states, hide=["side", "k"]), Y)
    left_out, _ = joint_of(poutine.block(two_states, hide=["side", "k"]), Y[shown])
    flat = torch.tensor([[-1.0], [0.5], [3.0]])
    torch.testing.assert_close(masked(flat), left_out(flat), rtol=1e-5, atol=1e-5)


def test_a_sum_over_sites_of_different_scales_is_refused() -> None:
    def model() -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 3.0))
        k = pyro.sample("k", dist.Bernoulli(0.3), infer={"enumerate": "parallel"})
        with poutine.scale(scale=2.0):
            pyro.sample("y", dist.Normal(loc + k, 1.0), obs=torch.tensor(1.0))

    joint, _ = joint_of(poutine.block(model, hide=["k"]))
    assert not joint.is_fixed(torch.zeros(1, 1))
    with pytest.raises(ValueError, match=r"different scales at the sites 'k', 'y'.*poutine.scale"):
        joint.at_draws(torch.zeros(2, 1))
