"""The pieces under stock Pyro: a Bayesian network and its implicit guide, trained by `pyro.infer.SVI`.

No `fit` of ours and no plate of yours: `BayesianModel` is a Pyro model, `ImplicitGuide` its guide. Both are
plain modules, so nothing is left in Pyro's parameter store.
"""

import math

import pyro
import torch
from pyro.infer import SVI, Trace_ELBO

from bayeshyper import BayesianModel, HypernetworkSettings, ImplicitGuide, Target
from bayeshyper.models import MLP, FanInPrior, Gaussian

torch.manual_seed(0)
NOISE = 0.1
x = torch.linspace(-2, 2, 80).unsqueeze(1)
y = torch.sin(2 * x[:, 0]) + NOISE * torch.randn(80)

network = MLP(1, 1, hidden=(20,))
model = BayesianModel(Target(network), FanInPrior(), Gaussian(), num_data=80, particles=8)

# The posterior starts narrow, around the network's own initial weights and a guess of the log noise.
start = torch.cat([*(weights.flatten() for weights in network.parameters()), torch.tensor([-1.0])])
settings = HypernetworkSettings(noise_dim=4, hidden=(16,), gain=0.02, output_noise=0.01)
hypernetwork = settings.build(start.detach().unsqueeze(0), model.prior.scale)

guide = ImplicitGuide(model, hypernetwork)
svi = SVI(model, guide, pyro.optim.ClippedAdam({"lr": 2e-2, "lrd": 0.994}), loss=Trace_ELBO())
for step in range(1, 801):
    loss = svi.step(x, y)
    if step in (1, 10, 100, 400, 800):
        print(f"step {step:>3}: ELBO {-loss:9.1f}")

model.particles = None  # they belong to training
draws = hypernetwork.sample(200)
with torch.no_grad():
    density = model.log_predictive(draws, x, y).mean()
    inside, outside = model.predictive(draws, torch.tensor([[0.5], [4.0]])).mean.std(0)
best = -0.5 * math.log(2 * math.pi * math.e * NOISE**2)
print(f"log predictive density per row: {density:.2f} (knowing the truth, it would be about {best:.2f})")
print(f"spread of the function at x = 0.5: {inside:.2f}, far from the data at x = 4: {outside:.2f}")
print(f"parameters in Pyro's store: {len(pyro.get_param_store())}")
