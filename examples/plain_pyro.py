"""The pieces under stock Pyro: a Bayesian network and its implicit guide, trained by `pyro.infer.SVI`.

No `fit` of ours and no plate of yours: `BayesianModel` is a Pyro model, `ImplicitGuide` its guide. Both are
plain modules, so nothing is left in Pyro's parameter store.
"""

import pyro
import torch
from pyro.infer import SVI, Trace_ELBO

from bayeshyper import BayesianModel, Hypernetwork, ImplicitGuide, Target
from bayeshyper.models import MLP, FanInPrior, Gaussian

torch.manual_seed(0)
x = torch.linspace(-2, 2, 80).unsqueeze(1)
y = torch.sin(2 * x[:, 0]) + 0.1 * torch.randn(80)

network = MLP(1, 1, hidden=(20,), activation="tanh")
model = BayesianModel(Target(network), FanInPrior(), Gaussian(), num_data=80, particles=8)
start = torch.cat([model.target.spec.flatten(dict(network.named_parameters())), torch.tensor([-1.0])])
hypernetwork = Hypernetwork(start.detach().unsqueeze(0), model.prior.scale)
guide = ImplicitGuide(model, hypernetwork)
svi = SVI(model, guide, pyro.optim.ClippedAdam({"lr": 2e-2, "lrd": 0.997}), loss=Trace_ELBO())
for step in range(1, 801):
    loss = svi.step(x, y)
    if step in (1, 10, 100, 400, 800):
        print(f"step {step:>3}: ELBO {-loss:9.1f}")

draws = hypernetwork.sample(200)
with torch.no_grad():
    model.particles = None
    inside, outside = model.predictive(draws, torch.tensor([[0.5], [4.0]])).mean.std(0)
    density = model.log_predictive(draws, x, y).mean()
print(f"log predictive density per row: {density:.2f} (the noise alone would give {0.88:.2f})")
print(f"spread of the function at x = 0.5: {inside:.2f}, far from the data at x = 4: {outside:.2f}")
print(f"parameters in Pyro's store: {len(pyro.get_param_store())}")
