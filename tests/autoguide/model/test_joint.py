"""The log joint density: draws at once have what each has alone; what is not fixed has none."""

from __future__ import annotations

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide.initialization import InitMessenger, init_to_feasible
from torch import Tensor

from bayeshyper import AutoHypernetwork
from bayeshyper.autoguide.model.joint import AT_ONCE, LogJoint
from bayeshyper.autoguide.model.sites import LatentSites
from tests.autoguide import models

Y = torch.tensor([0.5, -1.0, 2.0, 0.3, 1.1, -0.2])


def joint_of(model: object, *args: Tensor) -> tuple[LogJoint, LatentSites]:
    started = InitMessenger(init_to_feasible)(model)
    sites = LatentSites(poutine.trace(started).get_trace(*args))
    return LogJoint(started, sites, args), sites


def normal(mean: object, scale: float, at: object) -> Tensor:
    density: Tensor = dist.Normal(torch.as_tensor(mean), scale).log_prob(torch.as_tensor(at))
    return density


def soft_sum_to_zero() -> None:
    z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([4]).to_event(1))
    pyro.sample("soft", dist.Normal(z.sum(), 0.5), obs=torch.tensor(0.0))  # over all draws at once
    pyro.factor("rest", torch.tensor(-20000.0))


def soft_sum_by_hand(flat: Tensor) -> Tensor:
    return normal(0.0, 1.0, flat).sum(-1) + normal(flat.sum(-1), 0.5, 0.0) - 20000.0


def branch_on_all() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(x if (x > 0).all() else 3 * x, 1.0), obs=torch.tensor(1.0))


def branch_on_all_by_hand(flat: Tensor) -> Tensor:
    x = flat[:, 0]
    return normal(0.0, 1.0, x) + normal(torch.where(x > 0, x, 3 * x), 1.0, 1.0)


def rare_branch_on_any() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(3 * x if (x > 30).any() else x, 1.0), obs=torch.tensor(1.0))


def rare_branch_by_hand(flat: Tensor) -> Tensor:
    x = flat[:, 0]
    return normal(0.0, 1.0, x) + normal(torch.where(x > 30, 3 * x, x), 1.0, 1.0)


def first_of_all() -> None:
    z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([4]).to_event(1))
    pyro.sample("y", dist.Normal(z[0].sum(), 100.0), obs=torch.tensor(0.0))


def first_by_hand(flat: Tensor) -> Tensor:
    return normal(0.0, 1.0, flat).sum(-1) + normal(flat[:, 0], 100.0, 0.0)


@pytest.mark.parametrize(
    ("model", "by_hand"),
    [
        (soft_sum_to_zero, soft_sum_by_hand),
        (branch_on_all, branch_on_all_by_hand),
        (rare_branch_on_any, rare_branch_by_hand),
        (first_of_all, first_by_hand),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_models_that_mix_draws_up_have_each_draws_own_density(
    model: Callable[[], None], by_hand: Callable[[Tensor], Tensor], dtype: torch.dtype
) -> None:
    joint, sites = joint_of(model)
    flat = 0.3 * torch.randn(300, sites.size, generator=torch.Generator().manual_seed(0)).to(dtype)
    flat[:8] = flat[:8].abs()  # the first ones tell nothing of the others
    flat[170] = 40.0
    expected = by_hand(flat).double()
    torch.testing.assert_close(joint.at_draws(flat), expected, rtol=1e-6, atol=1e-4)


def test_a_model_of_every_support_is_run_once_for_many_draws() -> None:
    runs = 0

    def counted() -> None:
        nonlocal runs
        runs += 1
        models.every_support()

    joint, sites = joint_of(counted)
    flat = torch.randn(40, sites.size, generator=torch.Generator().manual_seed(0))
    joint(flat)
    before = runs
    found = joint(flat)
    assert runs == before + 1
    before = runs
    joint.at_draws(flat.repeat(7, 1)[: 2 * AT_ONCE])
    assert runs == before + 2 + 2 * (1 + 2)  # the first draw twice; each chunk, and two of its draws alone
    alone = torch.cat([joint(draw.unsqueeze(0)) for draw in flat])
    torch.testing.assert_close(found, alone, rtol=1e-5, atol=1e-4)


def test_a_hidden_site_is_named_at_every_seed() -> None:
    def model() -> None:
        rare = pyro.sample("rare", dist.Bernoulli(0.01))
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x + rare, 1.0), obs=torch.tensor(1.0))

    joint, _ = joint_of(poutine.block(model, hide=["rare"]))
    for seed in range(5):
        torch.manual_seed(seed)
        assert not joint.is_fixed(torch.zeros(1, 1))
        with pytest.raises(ValueError, match=r"'rare'.*hidden from the guide.*enumerate"):
            joint.at_draws(torch.zeros(2, 1))


def test_a_site_that_is_drawn_at_some_values_only_is_named() -> None:
    def model() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        if x > 100.0:
            pyro.sample("far out", dist.Normal(0.0, 1.0))

    joint, _ = joint_of(model)
    assert torch.isfinite(joint.at_draws(torch.tensor([[0.0], [99.0]]))).all()
    with pytest.raises(ValueError, match=r"'far out'.*draw it always"):
        joint.at_draws(torch.tensor([[0.0], [101.0]]))


def test_rows_of_local_latents_have_to_be_all_and_the_guides() -> None:
    guide = AutoHypernetwork(models.row_means, search=False, example_args=(Y, 3))
    with pytest.raises(ValueError, match=r"a model that subsamples.*give all rows"):
        guide.audit(Y, 3, draws=8, inner=4)
    assert guide.audit(Y, draws=8, inner=4).elbo_lower < 0.0
    for rows in (4, 1, 7):
        with pytest.raises(ValueError, match=rf"'mean' has shape \({rows},\) .* had \(6,\)"):
            guide.audit(torch.randn(rows), draws=8, inner=4)
