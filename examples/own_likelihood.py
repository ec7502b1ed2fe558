"""A likelihood of your own in ten lines, through model, fit and prediction.

Waiting times are not Gaussian: here they are Gamma distributed, with a shape that is inferred together with
the network's weights. A likelihood says which unknowns it has, which targets it allows and what the network's
output means; all else (the posterior, its training, mixing over weight draws) is the library's. To hold
yours to the laws of a likelihood, subclass `bayeshyper.testing.LikelihoodTestCase` in your tests.
"""

from typing import ClassVar

import torch
from pyro.distributions import Gamma

from bayeshyper import (
    BayesianModel,
    HypernetworkSettings,
    ImplicitGuide,
    PredictiveDistribution,
    SVISettings,
    Target,
    fit,
)
from bayeshyper.inference import OptimizerSettings
from bayeshyper.models import MLP, FanInPrior, Latent, Likelihood, Support


class Waiting(Likelihood):
    """Gamma distributed times, whose mean is exp(f(x))."""

    task = "regression"
    support = Support("positive numbers", lower=0)
    latents: ClassVar = {"log_shape": Latent(loc=1.0, scale=1.0)}

    def distribution(self, outputs, latents):
        """Shapes (draws, rows, 1) and (draws, 1) in, batch shape (draws, rows) out."""
        mean, shape = outputs[..., 0].exp(), latents["log_shape"].exp()
        return Gamma(shape.expand_as(mean), shape / mean)


generator = torch.Generator().manual_seed(0)
x = torch.rand(300, 1, generator=generator) * 4 - 2
mean = torch.exp(1.0 + torch.sin(2 * x[:, 0]))
torch.manual_seed(0)
y = Gamma(torch.tensor(5.0), 5.0 / mean).sample()

network = MLP(1, 1, hidden=(20,), activation="tanh")
model = BayesianModel(Target(network), FanInPrior(), Waiting(), num_data=len(x))
hypernetwork = HypernetworkSettings(noise_dim=8, hidden=(32,)).build(
    model.prior.loc.unsqueeze(0) + 0.5 * model.prior.scale * torch.randn(1, model.spec.size),
    model.prior.scale,
)
guide = ImplicitGuide(model, hypernetwork)
history = fit(model, guide, x, y, SVISettings(optimizer=OptimizerSettings(steps=600)))
print(f"ELBO per row: {history.elbo_per_datum[0]:.2f} at first, {history.elbo_per_datum[-1]:.2f} at last")

draws = hypernetwork.sample(500, generator=generator).double()
shape = draws[:, model.spec["log_shape"].slice].exp()
print(f"shape: {shape.mean():.1f} ± {shape.std():.1f} (5 made the data)\n")

grid = torch.linspace(-2, 2, 5, dtype=torch.float64).unsqueeze(1)
predictive = PredictiveDistribution(model.double(), draws, grid)
low, high = predictive.interval(0.9).T
print("   x  true mean  predicted  90 % of times")
for row, at in enumerate(grid[:, 0]):
    true = torch.exp(1.0 + torch.sin(2 * at))
    print(f"{at:4.0f}  {true:9.2f}  {predictive.mean[row]:9.2f}  {low[row]:6.1f} … {high[row]:.1f}")
