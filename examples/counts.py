"""Counts: how many bicycles will be rented in an hour, and how sure can one be?

Counts are whole, never negative, and spread more where they are larger. A Gaussian knows none of this. A
Poisson does, but its spread is tied to its mean; real hours with the same forecast differ more than that. The
negative binomial learns how much more. All three are scored on hours that they have not seen. (A density is
no probability; but over steps of one it sums to nearly one, so that the three scores can be compared.)
"""

import numpy as np
import pandas as pd

from bayeshyper import HyperRegressor

rng = np.random.default_rng(0)


def hours(n):
    """Rentals by hour, temperature and weekend: no real city, but like one."""
    hour, weekend, celsius = rng.integers(0, 24, n), rng.random(n) < 2 / 7, rng.normal(15, 8, n)
    commute = np.exp(-((hour - 8.0) ** 2) / 12) + np.exp(-((hour - 17.5) ** 2) / 16)
    leisure = np.exp(-((hour - 14.0) ** 2) / 40)
    log_mean = 1.0 + 3.0 * np.where(weekend, leisure, commute) + 0.04 * celsius
    mood = rng.gamma(6.0, 1 / 6.0, n)  # rain, a concert, a strike: nothing of it is in the table
    X = pd.DataFrame({"hour": hour, "weekend": weekend, "celsius": celsius.round(1)})
    return X, pd.Series(rng.poisson(np.exp(log_mean) * mood), name="rentals")


(X, y), (X_test, y_test) = hours(800), hours(1000)
print("On 1,000 unseen hours  log score  in 90 %")
models = {}
for family in ("gaussian", "poisson", "negative-binomial"):
    settings = {"likelihood.family": family}
    models[family] = model = HyperRegressor(settings=settings, random_state=0).fit(X, y)
    low, high = model.predictive(X_test).interval(0.9).T
    held = np.mean((low <= y_test) & (y_test <= high))
    print(f"{family:<21}  {model.log_prob(X_test, y_test).mean():9.3f}  {held:7.0%}")

model = models["negative-binomial"]
scale = model.sample_weights(500)["log_scale"].exp()
print(
    f"\nHours that look alike differ by {scale.mean():.0%} ± {scale.std():.0%} (41% made the data; what the"
)
print("network has not learned of the rest counts as noise, too).")

day = pd.DataFrame({"hour": [4, 8, 12, 17, 22], "weekend": False, "celsius": 15.0})
predictive = model.predictive(day)
day["mean"] = predictive.mean.round(1)
day[["from", "to"]] = predictive.interval(0.9).astype(int)
day["none at all"] = np.exp(predictive.log_prob(np.zeros(5))).round(3)
day["over 100"] = (1 - predictive.cdf(np.full(5, 100))).round(3)
print("\nA working day at 15 degrees, with 90 % intervals and two questions that a mean cannot answer:")
print(day.drop(columns=["weekend", "celsius"]).to_string(index=False))
