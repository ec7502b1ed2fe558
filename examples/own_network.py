"""A network of your own as the target: any `nn.Module`, or parts of it.

Here a trend that anybody can read (linear) plus a correction (MLP), in one module. The table is encoded and
standardised before it reaches the network: the module sees `(N, n_encoded)` and answers `(N, 1)`. Globs
choose which of its tensors are uncertain; the others get single values without a prior, and may overfit.
"""

import torch
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from torch import nn

from bayeshyper import HyperRegressor


class TrendAndCorrection(nn.Module):
    """A linear model, and a small network for what it misses."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.trend = nn.Linear(features, 1)
        self.correction = nn.Sequential(nn.Linear(features, 20), nn.Tanh(), nn.Linear(20, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From (N, features) to (N, 1)."""
        return self.trend(x) + 0.3 * self.correction(x)


X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=100, random_state=0)
torch.manual_seed(0)  # of the network's initial weights
network = TrendAndCorrection(X.shape[1])
before = network.trend.weight.clone()

# At temperature 1 the weights have their posterior, which is what their spread is read from below.
settings = {"optimizer.steps": 300, "kl.temperature": 1.0}
whole = HyperRegressor(network=network, settings=settings, random_state=0).fit(X_train, y_train)
print(f"every weight uncertain:    {whole.log_prob(X_test, y_test).mean():.3f} nats per test row")

part = HyperRegressor(network=network, settings={**settings, "target.bayesian": ["trend.*"]}, random_state=0)
part.fit(X_train, y_train)
print(f"the trend's weights alone: {part.log_prob(X_test, y_test).mean():.3f} nats per test row")

slopes = whole.sample_weights(1000)["trend.weight"][:, 0]
print("\nThe trend's slopes, in standard deviations of the target per standard deviation of the column:")
for name, mean, std in zip(X.columns, slopes.mean(0), slopes.std(0), strict=True):
    print(f"  {name:>3}  {mean:+.2f} ± {std:.2f}  {'clear' if abs(mean) > 2 * std else 'open'}")
print(f"\nthe module handed in is untouched: {torch.equal(before, network.trend.weight)}")
