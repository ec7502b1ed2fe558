from __future__ import annotations

import math

import pytest
import torch

from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import ImplicitGuide, OptimizerSettings, SVISettings, WarmStartSettings, fit
from bayeshyper.models import BayesianModel, FanInPrior, Gaussian, Target
from tests.models.zoo import ZOO

SETTINGS = SVISettings(
    particles=4, optimizer=OptimizerSettings(steps=60), warm_start=WarmStartSettings(steps=60)
)


@pytest.mark.parametrize("name", ZOO)
def test_every_kind_of_network_is_fitted_and_predicts(name: str) -> None:
    """A few steps explain most of the targets, and give them more density than their own normal law."""
    network, x, y = ZOO[name]()
    model = BayesianModel(Target(network), FanInPrior(), Gaussian(), num_data=len(x))
    mean = torch.cat([model.target.spec.flatten(model.target.initial()), model.prior.loc[-1:]])
    hypernetwork = HypernetworkSettings(noise_dim=4).build(mean.unsqueeze(0), model.prior.scale)
    hypernetwork.reset_parameters(torch.Generator().manual_seed(0))
    fit(model, ImplicitGuide(model, hypernetwork), x, y, SETTINGS)
    weights = hypernetwork.sample(50, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = model.outputs(weights, x)[..., 0]
        density = model.log_predictive(weights, x, y).mean()
    assert (y - outputs.mean(0)).square().mean() < 0.2  # of variance 1
    assert outputs.std(0).min() > 0
    assert density > -0.5 * math.log(2 * math.pi) - 0.5
