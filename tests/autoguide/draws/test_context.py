"""The amortised form: a guide conditioned on features of data, those of the data set or of each row."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from torch import Tensor, nn

from bayeshyper import AutoHypernetwork
from tests.autoguide.amortised import (
    guide_of_rows,
    local,
    local_context,
    local_data,
    local_exact,
    pooled,
    pooled_context,
    pooled_data,
    pooled_exact,
    train,
)


@pytest.fixture
def of_rows() -> AutoHypernetwork:
    return guide_of_rows()


def test_the_posteriors_of_new_rows_are_the_exact_ones(of_rows: AutoHypernetwork) -> None:
    torch.manual_seed(1)
    y, scale = local_data(300)
    draws = of_rows.sample_posterior(2000, y, scale)["theta"]
    assert draws.shape == (2000, 300)
    mean, sd = local_exact(y, scale)
    assert ((draws.mean(0) - mean) / sd).abs().mean() < 0.08
    assert (draws.std(0) / sd).log().abs().mean() < 0.05


def test_the_posterior_of_another_data_set_is_the_exact_one() -> None:
    torch.manual_seed(0)
    guide = AutoHypernetwork(pooled, context=pooled_context, noise_dim=0, hidden=(16, 16))
    train(pooled, guide, pooled_data, 500, particles=16)
    errors, ratios = [], []
    for _ in range(30):
        (y,) = pooled_data()
        mean, sd = pooled_exact(y)
        draws = guide.sample_posterior(2000, y)["mean"]
        assert draws.shape == (2000,)
        errors.append((draws.mean() - mean).abs().item() / sd)
        ratios.append(abs(math.log(draws.std().item() / sd)))
    assert sum(errors) / 30 < 0.15
    assert sum(ratios) / 30 < 0.1


def test_the_context_matters(of_rows: AutoHypernetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the ELBO, whose loss for contexts of other rows is exact: E KL(q(θ_j) ‖ p(θ_i | y_i))."""
    torch.manual_seed(1)
    y, scale = local_data(500)
    shuffle = torch.randperm(500)
    assert of_rows.context is not None
    losses = []
    for order in (torch.arange(500), shuffle):
        with monkeypatch.context() as patch:
            patch.setattr(of_rows.context, "function", lambda *data, at=order: local_context(*data)[at])
            losses.append(Trace_ELBO(num_particles=5).loss(local, of_rows, y, scale) / 500)
    mean, sd = local_exact(y, scale)
    others = dist.Normal(mean[shuffle], sd[shuffle])
    gap = torch.distributions.kl_divergence(others, dist.Normal(mean, sd)).mean().item()
    assert gap > 0.5
    assert losses[1] - losses[0] == pytest.approx(gap, rel=0.2)


def test_at_the_start_nothing_depends_on_the_context() -> None:
    guide = AutoHypernetwork(local, context=local_context, init_scale=0.2)
    y, scale = local_data(7)
    guide(y, scale)
    draws = guide.sample_posterior(4000, y, scale)["theta"]
    assert draws.mean(0).abs().max() < 0.05
    assert (draws.std(0) / 0.2).log().abs().max() < 0.1


def test_the_density_at_a_context_is_that_of_its_draws(of_rows: AutoHypernetwork) -> None:
    """It integrates to 1, and has the moments of the draws; and it is another one for each row."""
    grid = torch.linspace(-6.0, 6.0, 601, dtype=torch.float64).unsqueeze(1)
    for y, scale in (([1.5], [0.5]), ([-1.0], [1.0])):
        row = torch.tensor(y), torch.tensor(scale)
        density = of_rows.log_density({"theta": grid}, *row).exp()
        step = grid[1, 0] - grid[0, 0]
        assert (density.sum() * step).item() == pytest.approx(1.0, abs=0.01)
        draws = of_rows.sample_posterior(20_000, *row)["theta"].double()
        mean = (density @ grid[:, 0]) * step
        assert (mean - draws.mean()).abs() < 5 * draws.std() / math.sqrt(20_000)
        spread = ((density @ (grid[:, 0] - mean).square()) * step).sqrt()
        assert spread.item() == pytest.approx(draws.std().item(), rel=0.03)
    with pytest.raises(ValueError, match="Got a context of 4 rows, expected one"):
        of_rows.log_density({"theta": torch.zeros(3, 4)}, *local_data(4))


def test_the_audit_at_a_context_is_below_the_evidence(of_rows: AutoHypernetwork) -> None:
    """log p(y) is known, and what is missing to it is KL(q ‖ p): little, for a fitted guide."""
    for y, scale in (([1.5], [0.5]), ([-1.0], [1.0])):
        row = torch.tensor(y), torch.tensor(scale)
        evidence = dist.Normal(0.0, (1.0 + row[1].square()).sqrt()).log_prob(row[0]).item()
        audit = of_rows.audit(*row)
        assert audit.elbo_lower - 4 * audit.elbo_lower_error < evidence
        assert audit.elbo_upper == pytest.approx(evidence, abs=0.05)
    with pytest.raises(ValueError, match="Got a context of 4 rows, expected one"):
        of_rows.audit(*local_data(4))


def test_median_and_quantiles_are_of_each_row(of_rows: AutoHypernetwork) -> None:
    torch.manual_seed(1)
    y, scale = local_data(100)
    mean, sd = local_exact(y, scale)
    low, high = of_rows.quantiles([0.16, 0.84], y, scale)["theta"]
    assert ((high - low) / (2 * sd)).log().abs().mean() < 0.1
    assert ((of_rows.median(y, scale)["theta"] - mean) / sd).abs().mean() < 0.1
    again = of_rows.median(y, scale)["theta"]
    torch.testing.assert_close(again, of_rows.median(y, scale)["theta"], rtol=0, atol=0)


def test_an_encoder_is_trained_with_the_guide_and_saved_with_it() -> None:
    torch.manual_seed(0)
    y, scale = local_data(30)

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 4)

        def forward(self, y: Tensor, scale: Tensor) -> Tensor:
            return torch.tanh(self.layer(local_context(y, scale)))

    encoder = Encoder()
    guide = AutoHypernetwork(local, context=encoder, noise_dim=1, hidden=(4,), example_args=(y, scale))
    before = copy.deepcopy(encoder.state_dict())
    svi = SVI(local, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
    for _ in range(3):
        svi.step(y, scale)
    assert not dict(pyro.get_param_store())
    assert all((before[name] != value).any() for name, value in encoder.state_dict().items())
    assert set(encoder.parameters()) < set(guide.parameters())
    fresh = AutoHypernetwork(local, context=Encoder(), noise_dim=1, hidden=(4,), example_args=(y, scale))
    fresh.load_state_dict(guide.state_dict())
    seed = torch.Generator()
    torch.testing.assert_close(
        fresh.sample_posterior(3, y, scale, generator=seed.manual_seed(0)),
        guide.sample_posterior(3, y, scale, generator=seed.manual_seed(0)),
        rtol=0,
        atol=0,
    )


def of(context: Callable[..., Any], model: Callable[..., Any] = local, *args: Any) -> None:
    AutoHypernetwork(model, context=context, example_args=args or local_data(5))


def test_a_context_that_is_no_features_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Got a context of type tuple, expected a tensor\."):
        of(lambda y, scale: (y, scale))
    with pytest.raises(ValueError, match=r"Got a context of shape \(5, 1, 2\), expected \(C,\), features of"):
        of(lambda y, scale: local_context(y, scale)[:, None])
    with pytest.raises(ValueError, match=r"Got a context of shape \(\), expected \(C,\)"):
        of(lambda y, scale: y.mean())
    with pytest.raises(ValueError, match="NaN or infinite features in 1 of 5 rows, expected finite ones"):
        of(lambda y, scale: local_context(y, scale).index_fill(0, torch.tensor([2]), math.nan))
    with pytest.raises(ValueError, match="The guide cannot read its context: too many positional arguments"):
        of(lambda y: y[:, None])


def test_a_context_that_changes_its_kind_is_refused(of_rows: AutoHypernetwork) -> None:
    guide = AutoHypernetwork(pooled, context=lambda y: y, example_args=(torch.zeros(4),))
    with pytest.raises(ValueError, match=r"context of shape \(5,\), expected \(4,\), as when the guide"):
        guide(torch.zeros(5))
    with pytest.raises(ValueError, match=r"cannot read its context: missing a required argument: 'y'"):
        of_rows.sample_posterior(3)
    with pytest.raises(ValueError, match="Got a context of 4 rows, expected one: each row has a posterior"):
        of_rows.posterior_at(*local_data(4))
    assert of_rows.posterior_at(*local_data(1)).size == 1
