"""Importance weights: wrong guides set right, hopeless ones found out, and evidence without bias."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Importance
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from bayeshyper import ApproximationWarning
from bayeshyper.autoguide import AutoHypernetwork, WeightedDraws
from bayeshyper.autoguide.model.joint import LogJoint
from bayeshyper.autoguide.results.density import LatentDensity
from tests.autoguide.amortised import local, local_context, local_data
from tests.autoguide.bent import assign, bent
from tests.autoguide.models import conjugate, conjugate_evidence

DATA = torch.tensor([0.5, 2.0, 1.2], dtype=torch.float64)


def correlated() -> None:
    """A posterior in three dimensions that is known: x, and a pair whose exponentials are the site."""
    x = pyro.sample("x", dist.Normal(1.0, 2.0))
    pyro.sample("pair", dist.LogNormal(torch.stack([0.5 * x, -x], -1), 0.5).to_event(1))


def gaussian_guide(*, width: float = 1.0, shift: float = 0.0) -> AutoHypernetwork:
    """A guide that is the posterior of `correlated`, but for its width, and a shift in its own units."""
    torch.set_default_dtype(torch.float64)
    guide = AutoHypernetwork(correlated, noise_dim=0, search=False)
    factor = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [-2.0, 0.0, 0.5]])
    posterior = guide.posterior
    with torch.no_grad():
        posterior.frame.location.copy_(torch.tensor([1.0, 0.5, -1.0]) + factor @ torch.full((3,), shift))
        posterior.frame.factor.copy_(factor)  # type: ignore[operator, union-attr]
        posterior.hypernetwork.mean.zero_()
        assign(posterior.hypernetwork, "log_output_noise", torch.full((1, 3), width - 1e-4).log())
    return guide


def test_the_exact_posterior_has_equal_weights() -> None:
    found = gaussian_guide().importance(500)
    assert (found.khat, found.psis.source) == (0.0, "exact")
    assert found.ess == pytest.approx(500)
    assert found.log_evidence == pytest.approx(0.0, abs=1e-10)
    assert found.log_evidence_error < 1e-10
    torch.testing.assert_close(found.weights, torch.full((500,), 1 / 500))
    torch.testing.assert_close(found.mean()["x"], found.values["x"].mean())
    torch.testing.assert_close(found.std()["pair"], found.values["pair"].std(0, correction=0))
    assert "may be used;" in found.sentence
    assert "500 draws amount to 500" in found.sentence


@pytest.mark.parametrize(("width", "shift"), [(1.3, 0.0), (1.2, 0.4)])
def test_a_guide_too_wide_or_beside_it_is_set_right(width: float, shift: float) -> None:
    guide = gaussian_guide(width=width, shift=shift)
    found = guide.importance(8000)
    assert found.khat < found.psis.threshold
    mean, sd = torch.tensor(1.0), torch.tensor(2.0)
    error = 4 / math.sqrt(found.ess)
    assert abs(found.mean()["x"] - mean).item() < error * sd.item()
    assert abs(found.std()["x"] / sd - 1).item() < error
    # Of the lognormal pair the logarithm's moments are what Monte Carlo can tell at all.
    logs = found.values["pair"].log()
    log_mean = (found.weights.unsqueeze(-1) * logs).sum(0)
    normal = dist.Normal(torch.tensor([0.5, -1.0]), torch.tensor([1.25, 4.25]).sqrt())
    assert bool(((log_mean - normal.loc).abs() < error * normal.scale).all())
    # … and quantiles are the transform's of a Normal's.
    quantiles = found.quantiles([0.1, 0.5, 0.9])["pair"]
    exact = normal.icdf(torch.tensor([[0.1], [0.5], [0.9]])).exp()
    assert bool(((quantiles.log() - exact.log()).abs() < 2 * error * normal.scale).all())
    assert abs(found.log_evidence) < 4 * found.log_evidence_error
    # Without the weights it is wrong, by far more than chance.
    wrong = (found.values["x"].std() / sd - 1).abs() + (found.values["x"].mean() - mean).abs() / sd
    assert wrong.item() > 0.15


def test_a_guide_too_narrow_is_flagged() -> None:
    guide = gaussian_guide(width=0.3)
    with pytest.warns(ApproximationWarning, match="not to be used") as seen:
        found = guide.importance(2000)
    assert seen[0].filename == __file__
    # In one dimension P(p/q > t) falls as t^(−1/(1 − w²)): k̂ is at least 1 − w² = 0.91.
    assert found.khat > 0.7
    assert found.psis.word == "far"
    assert "not to be used" in found.sentence
    assert found.ess < 200


def test_no_warning_where_there_is_nothing_to_warn_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gaussian_guide(width=1.2).importance(200)


def test_draws_chosen_by_weight_need_none() -> None:
    found = gaussian_guide(width=1.3, shift=0.2).importance(4000)
    n = 4000
    drawn = found.resample(n, generator=torch.Generator().manual_seed(1))
    assert drawn["pair"].shape == (n, 2)
    mean, sd = found.mean()["x"], found.std()["x"]
    assert abs(drawn["x"].mean() - mean).item() < 4 * sd.item() / math.sqrt(n)
    assert abs(drawn["x"].std() / sd - 1).item() < 4 / math.sqrt(n)
    # Joint draws stay joint: the pair depends on x.
    known = dict(zip(found.values["x"].tolist(), found.values["pair"].tolist(), strict=True))
    assert all(known[x] == pair for x, pair in zip(drawn["x"].tolist(), drawn["pair"].tolist(), strict=True))
    again = found.resample(n, generator=torch.Generator().manual_seed(1))
    assert torch.equal(drawn["x"], again["x"])


def test_weighted_quantiles_invert_the_weighted_distribution_function() -> None:
    generator = torch.Generator().manual_seed(0)
    values = {"x": torch.randn(7, 2, 3, generator=generator)}
    counts = torch.tensor([1, 4, 0, 2, 1, 1, 3])
    equal = gaussian_guide().importance(50)
    weighted = WeightedDraws(values, (counts / counts.sum()).log(), equal.psis, 0.0, 0.0)
    levels = [0.05, 0.3, 0.52, 0.77, 1.0]  # no sum of weights, which rounding could tip
    # The same as every draw repeated as often as it weighs.
    repeated = values["x"].repeat_interleave(counts, 0).numpy()
    expected = np.quantile(repeated, levels, axis=0, method="inverted_cdf")
    np.testing.assert_allclose(weighted.quantiles(levels)["x"].numpy(), expected)
    assert weighted.quantiles(torch.tensor([0.5]))["x"].shape == (1, 2, 3)
    assert torch.equal(weighted.quantiles(0.3)["x"], weighted.quantiles([0.3])["x"][0])
    np.testing.assert_allclose(weighted.mean()["x"].numpy(), repeated.mean(0), rtol=1e-5)
    np.testing.assert_allclose(weighted.std()["x"].numpy(), repeated.std(0), rtol=1e-5)


@pytest.mark.parametrize("members", [1, 3])
def test_the_evidence_is_unbiased_however_few_the_noises(members: int) -> None:
    # One noise beside the true one: log q̂ is far from log q, and E[p/q̂] is p(data) all the same.
    guide = bent(conjugate, log_width=1.0, members=members, example_args=(DATA,))
    density = LatentDensity(guide.posterior, torch.Generator().manual_seed(0))
    latents, log_q = density.scored(600, inner=1)
    assert guide.sites is not None
    weights = (LogJoint(conjugate, guide.sites, (DATA,))(latents) - log_q - conjugate_evidence(DATA)).exp()
    error = weights.std().item() / math.sqrt(600)
    assert error < 0.1
    assert abs(weights.mean().item() - 1) < 4 * error
    exact = density(latents, inner=512)
    assert (log_q - exact).std().item() > 0.05  # it is the estimate that was tested


def test_members_are_drawn_from_alike_in_random_order() -> None:
    guide = bent(conjugate, members=3, noise_dim=0, example_args=(DATA,))
    with torch.no_grad():
        guide.posterior.frame.location.copy_(torch.tensor([[-50.0], [0.0], [50.0]]))
    latents, _ = LatentDensity(guide.posterior, torch.Generator().manual_seed(0)).scored(100, inner=1)
    nearest = (latents[:, 0] / 50.0).round()
    assert sorted((nearest == place).sum().item() for place in (-1, 0, 1)) == [33, 33, 34]
    assert len(nearest.unique_consecutive()) > 30


def test_draws_without_density_have_no_weight() -> None:
    def model() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor("positive", torch.where(x > 0.0, 0.0, -math.inf))

    torch.set_default_dtype(torch.float64)
    with pyro.validation_enabled(False):
        guide = AutoHypernetwork(model, noise_dim=0, search=False, init_scale=1.0, init_loc_fn=_start)
        found = guide.importance(4000)
    assert found.weights[found.values["x"] < 0.0].sum().item() < 1e-200
    assert found.log_evidence == pytest.approx(math.log(0.5), abs=0.1)
    assert found.mean()["x"].item() == pytest.approx(math.sqrt(2 / math.pi), abs=0.1)


def _start(site: object) -> Tensor:
    return torch.tensor(0.1)


def test_what_cannot_be_weighted_is_refused() -> None:
    with pytest.raises(ValueError, match="Got n = 49, expected a whole number, 50 or more"):
        gaussian_guide().importance(49)

    def impossible() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor("never", torch.where(x > edge, -math.inf, 0.0 * x))

    edge = torch.tensor(math.inf)
    with pyro.validation_enabled(False):
        guide = AutoHypernetwork(impossible, noise_dim=0)
        edge.fill_(-math.inf)
        with pytest.raises(ValueError, match="0 at all draws"):
            guide.importance(64)


def test_a_row_of_an_amortised_guide() -> None:
    torch.manual_seed(0)
    y, scale = (part.double() for part in local_data(3))
    guide = bent(local, log_width=3.0, noise_dim=0, context=local_context, example_args=(y, scale))
    row = y[1:2], scale[1:2]
    found = guide.importance(4000, *row)
    assert found.values["theta"].shape == (4000, 1)
    evidence = dist.Normal(0.0, (1.0 + row[1].square()).sqrt()).log_prob(row[0]).item()
    assert abs(found.log_evidence - evidence) < 4 * found.log_evidence_error


# -- weights by hand, as Pyro's own tools make them ------------------------------------------------------


def trace_weights(guide: AutoHypernetwork, n: int) -> Tensor:
    """n weights p/q̂ of traces, by a plate of particles around guide and model."""

    def guided() -> object:
        with pyro.plate("particles", n, dim=-2):
            return guide(DATA)

    def model() -> object:
        with pyro.plate("particles", n, dim=-2):
            return conjugate(DATA)

    traced = poutine.trace(guided).get_trace()
    replayed = poutine.trace(poutine.replay(model, trace=traced)).get_trace()
    total = torch.zeros(n)
    for trace, sign in ((replayed, 1.0), (traced, -1.0)):
        trace.compute_log_prob()
        for node in trace.nodes.values():
            if node["type"] == "sample" and not site_is_subsample(node):
                total = total + sign * node["log_prob"].reshape(n, -1).sum(-1)
    return (total - conjugate_evidence(DATA)).exp().detach()


@pytest.mark.parametrize("members", [1, 2])
def test_weights_from_traces_have_the_evidence_for_their_mean(members: int) -> None:
    guide = bent(conjugate, log_width=1.0, members=members, example_args=(DATA,))
    torch.manual_seed(0)
    weights = trace_weights(guide, 20_000)
    error = weights.std().item() / math.sqrt(len(weights))
    assert error < 0.02
    assert abs(weights.mean().item() - 1) < 4 * error


def test_an_estimator_that_is_no_bound_gives_itself_away() -> None:
    # The tangent's density is not q's where scales vary: its weights miss the evidence, and so would
    # the hierarchical ones if they were wrong.
    guide = bent(conjugate, log_width=1.0, entropy="linearized", example_args=(DATA,))
    torch.manual_seed(0)
    weights = trace_weights(guide, 20_000)
    error = weights.std().item() / math.sqrt(len(weights))
    assert abs(weights.mean().item() - 1) > 4 * error


def test_pyros_own_importance_sampler_takes_the_guide() -> None:
    guide = bent(conjugate, log_width=1.0, example_args=(DATA,))
    torch.manual_seed(0)
    sampler = Importance(conjugate, guide, num_samples=400).run(DATA)
    log_weights = torch.stack([weight.detach() for weight in sampler.log_weights])
    weights = (log_weights - conjugate_evidence(DATA)).exp()
    error = weights.std().item() / math.sqrt(400)
    assert error < 0.1
    assert abs(weights.mean().item() - 1) < 4 * error
    assert sampler.get_ESS().item() > 100
    assert not dict(pyro.get_param_store())
