"""A likelihood of your own in ten lines, through model, fit and prediction.

Counts are not Gaussian: here they are negative binomial, with a dispersion that is inferred together with
the network's weights. A likelihood says which scalar unknowns it has and what the network's output means;
all else (the posterior, its training, mixing over weight draws) is the library's.
"""

from typing import ClassVar

import torch
from pyro.distributions import GammaPoisson

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
from bayeshyper.models import MLP, FanInPrior, Latent, Likelihood


class Counts(Likelihood):
    """Negative binomial counts, whose mean is exp(f(x))."""

    task = "regression"
    latents: ClassVar = {"log_shape": Latent(loc=1.0, scale=1.0)}

    def distribution(self, outputs, latents):
        """Shapes (draws, rows, 1) and (draws, 1) in, batch shape (draws, rows) out."""
        mean, shape = outputs[..., 0].exp(), latents["log_shape"].exp()
        return GammaPoisson(shape.expand_as(mean), shape / mean)


generator = torch.Generator().manual_seed(0)
x = torch.rand(300, 1, generator=generator) * 4 - 2
rate = torch.exp(1.0 + torch.sin(2 * x[:, 0]))
torch.manual_seed(0)
y = GammaPoisson(torch.tensor(5.0), 5.0 / rate).sample()

network = MLP(1, 1, hidden=(20,), activation="tanh")
model = BayesianModel(Target(network), FanInPrior(), Counts(), num_data=len(x))
hypernetwork = HypernetworkSettings(noise_dim=8, hidden=(32,)).build(
    model.prior.loc.unsqueeze(0) + 0.5 * model.prior.scale * torch.randn(1, model.spec.size),
    model.prior.scale,
)
guide = ImplicitGuide(model, hypernetwork)
history = fit(model, guide, x, y, SVISettings(optimizer=OptimizerSettings(steps=600)))
print(f"ELBO per row: {history.elbo_per_datum[0]:.2f} at first, {history.elbo_per_datum[-1]:.2f} at last")

draws = hypernetwork.sample(500, generator=generator).double()
shape = draws[:, model.spec["log_shape"].slice].exp()
print(f"dispersion: {shape.mean():.1f} ± {shape.std():.1f} (5 made the data)\n")

grid = torch.linspace(-2, 2, 5, dtype=torch.float64).unsqueeze(1)
predictive = PredictiveDistribution(model.double(), draws, grid)
low, high = torch.from_numpy(predictive.sample(4000)).quantile(torch.tensor([0.05, 0.95]).double(), dim=0)
print("   x  true mean  predicted  90 % of counts")
for row, at in enumerate(grid[:, 0]):
    true = torch.exp(1.0 + torch.sin(2 * at))
    print(f"{at:4.0f}  {true:9.2f}  {predictive.mean[row]:9.2f}  {low[row]:6.0f} … {high[row]:.0f}")
