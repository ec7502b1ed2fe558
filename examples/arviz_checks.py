"""ArviZ on a fitted model: leave-one-out, summaries, and whether two restarts agree.

Two independent restarts (`n_members=2`) stand as ArviZ's chains. Draws inside one are independent, so R̂
here compares the restarts: near 1 where both found the same function, large where the posterior has more
modes than one of them saw.
"""

import arviz as az
from sklearn.datasets import load_diabetes

from bayeshyper import HyperRegressor

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
model = HyperRegressor(n_members=2, n_draws=2000, random_state=0, settings={"optimizer.steps": 300}).fit(X, y)
idata = model.to_arviz(X, y)
print("groups:", ", ".join(idata.groups()))

print("\nThe noise scale (standardised, in logs) and the function at three rows:")
first = idata.posterior.isel(row=slice(3))
print(
    az.summary(first, var_names=["log_scale", "f"], kind="all", round_to=2)[
        ["mean", "sd", "r_hat"]
    ].to_string()
)

loo = az.loo(idata)
print(f"\nleave-one-out log density: {loo.elpd_loo:.1f} ± {loo.se:.1f}, effective parameters {loo.p_loo:.0f}")
print(f"rows whose estimate can be trusted (Pareto k < 0.7): {float((loo.pareto_k < 0.7).mean()):.0%}")
within = idata.log_likelihood["y"].mean().item() * len(y)
print(f"the same rows, as fitted: {within:.1f} on average over draws")
