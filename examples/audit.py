"""The audit: how good is the posterior, and can that number be trusted?

Training maximises the ELBO with a fast estimate of the posterior's entropy. The audit bounds the true entropy
from both sides by importance sampling, and so the ELBO. Two things to read off: whether the fast estimate was
honest (it lies between the bounds, or is flagged), and which of two posteriors is closer to the exact one
(of the same model: every nat of ELBO is a nat of KL divergence less).
"""

from sklearn.datasets import load_diabetes

from bayeshyper import HyperRegressor

X, y = load_diabetes(return_X_y=True, as_frame=True)
X, y = X[:200], y[:200]
settings = {"optimizer.steps": 400, "kl.temperature": 1.0}  # at 1 the ELBO itself is what is maximised
audits = {}
for name in ("mlp", "mean-field"):
    model = HyperRegressor(name, "svi", n_members=1, settings=settings, random_state=0).fit(X, y)
    audits[name] = audit = model.audit()
    print(f"{name}, in nats (± standard error)")
    print(f"  entropy, lower bound  {audit.entropy_lower:8.2f} ± {audit.entropy_lower_error:.2f}")
    print(f"  entropy, upper bound  {audit.entropy_upper:8.2f} ± {audit.entropy_upper_error:.2f}")
    verdict = "flagged" if audit.flagged else "honest"
    print(f"  entropy, as trained   {audit.entropy_linearized:8.2f} ({verdict})")
    print(f"  ELBO, lower bound     {audit.elbo_lower:8.2f} ± {audit.elbo_lower_error:.2f}")
    print(f"  ELBO, upper bound     {audit.elbo_upper:8.2f} ± {audit.elbo_upper_error:.2f}\n")

gain = audits["mlp"].elbo_lower - audits["mean-field"].elbo_upper
print(f"The hypernetwork is at least {gain:.1f} nats closer to the exact posterior (± the errors above).")
