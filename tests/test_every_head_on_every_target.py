"""Every head on every kind of target: it trains, and what it gains is the audit's to say."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bayeshyper.assembly import build_guide
from bayeshyper.diagnostics import Audit, audit
from bayeshyper.hypernets import HEADS
from bayeshyper.inference import KLSettings, OptimizerSettings, SVISettings, WarmStartSettings, fit
from bayeshyper.models import BayesianModel, FanInPrior, Gaussian, Target
from tests.models.zoo import ZOO

HEAD_TABLES: dict[str, dict[str, Any]] = {
    **{name: {"head": name} for name in HEADS},
    "low-rank": {"head": "low-rank", "rank": 2},
    "adapter": {"head": "adapter", "rank": 2},
    "bounded": {"head": "dense", "bound": 3.0},
    "matrix noise": {"head": "per-layer", "matrix_noise": 1},
    "stable trunk": {"head": "dense", "spectral_norm": True, "constant_norm": True},
}
SETTINGS = SVISettings(
    particles=2,
    batch_size=48,
    warm_start=WarmStartSettings(steps=40),
    optimizer=OptimizerSettings(learning_rate=2e-2, steps=60, head_rate=0.1),
    kl=KLSettings(start=0.1, anneal=0.3),
)


def pairs() -> list[Any]:
    """All; each head on an MLP and each target with a low-rank head are quick enough to run always."""
    return [
        pytest.param(head, target, marks=() if target == "mlp" or head == "low-rank" else pytest.mark.long)
        for head in HEAD_TABLES
        for target in ZOO
    ]


@pytest.mark.parametrize(("head", "target"), pairs())
def test_a_fit_raises_the_audited_elbo(head: str, target: str) -> None:
    network, x, y = ZOO[target]()
    model = BayesianModel(Target(network), FanInPrior(), Gaussian(), num_data=len(x))
    guide = build_guide(
        model, {"hypernetwork": {"noise_dim": 3, "hidden": [8], **HEAD_TABLES[head]}}, SETTINGS
    )

    def audited() -> Audit:
        return audit(model, guide.hypernetwork, x, y, draws=24, inner=64)

    before = audited()
    fit(model, guide, x, y, SETTINGS)
    after = audited()
    # Lower bound after against upper bound before, and both errors: the bounds cannot make it look so.
    error = 3 * (before.elbo_upper_error + after.elbo_lower_error)
    assert after.elbo_lower - before.elbo_upper > error
    # What training believed of the entropy lies between the bounds, give or take a nat and chance.
    assert after.entropy_lower - after.entropy_linearized < 1 + 3 * after.entropy_lower_error
    assert after.entropy_linearized - after.entropy_upper < 1 + 3 * after.entropy_upper_error
    assert bool(torch.isfinite(guide.hypernetwork.sample(50)).all())
