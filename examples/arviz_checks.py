"""ArviZ on a fitted model: summaries, whether two restarts agree, and leave-one-out.

Two independent restarts (`n_members=2`) stand as ArviZ's chains. Draws inside one are independent, so R̂
here compares the restarts: near 1 where both found the same function, large where the posterior has more
modes than one of them saw. Leave-one-out asks what the model would have said of each row had it not seen it:
of fitted rows only, since others were never in. It compares models; its PIT is uniform where a model is
calibrated. Replicated targets should look like the observed ones.
"""

import warnings

import arviz as az
from sklearn.datasets import load_diabetes

from bayeshyper import HyperRegressor
from bayeshyper.diagnostics import compare, convergence, loo_pit, pit_difference, ppc

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X = X[["bmi", "bp", "s5"]]  # body mass index, blood pressure, a blood lipid
settings = {"optimizer.steps": 300, "kl.temperature": 1.0}  # ArviZ wants draws of the posterior itself
model = HyperRegressor(n_members=2, n_draws=1000, random_state=0, settings=settings).fit(X, y)
idata = model.to_arviz(X, y)

print("The log noise scale (standardised), and the function at three rows:")
three = idata.posterior.isel(row=slice(3))
summary = az.summary(three, var_names=["log_scale", "f"], kind="all", round_to=2)
print(summary[["mean", "sd", "r_hat"]].to_string())

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # of single rows with a high Pareto k: the table counts them
    loo = az.loo(idata)
print(f"\n{loo}")

seen = model.log_prob(X, y).sum()
print(f"\n{convergence(idata.posterior['f']).sentence}")

other = HyperRegressor("mean-field", n_draws=1000, random_state=0, settings=settings).fit(X, y)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    table = compare({"implicit": idata, "mean field": other.to_arviz(X, y)})
    outside = pit_difference(loo_pit(idata)).outside
print(f"\nThe better model first:\n{table.iloc[:, :4].to_string()}")
print(f"\nLOO-PIT: {len(outside)} of 99 quantile levels outside the band of a calibrated model.")
for name, check in ppc(idata).items():
    both = f"observed {check.observed:5.1f}, replicated {check.replicated:5.1f}"
    print(f"{name:>4}: {both}, p = {check.p_value:.2f}")

print(f"\nThe same rows, seen: {seen:.1f}. The model's optimism is the difference.")
