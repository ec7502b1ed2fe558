"""Regression on a table as it comes: text and missing values in, a distribution per row out.

Shows what a fitted `HyperRegressor` says of a new row (mean, quantiles, and how much of its doubt more data
would remove), how to score it honestly, and that a saved model predicts the same to the bit.
"""

import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from bayeshyper import HyperRegressor

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X["sex"] = X["sex"].map({1.0: "female", 2.0: "male"}).astype("category")
X.loc[::10, "bmi"] = np.nan  # every tenth body mass index was never written down
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=100, random_state=0)

model = HyperRegressor(random_state=0, settings={"optimizer.steps": 400}).fit(X_train, y_train)
predictive = model.predictive(X_test)

print("What is predicted for the first rows, in the target's own units:")
table = (
    X_test[["age", "sex", "bmi"]]
    .head(5)
    .assign(
        progression=y_test,
        mean=predictive.mean[:5].round(0),
        low=predictive.quantiles([0.05])[:5, 0].round(0),
        high=predictive.quantiles([0.95])[:5, 0].round(0),
        epistemic=predictive.epistemic[:5].round(0),  # more data would shrink this part of the spread …
        aleatoric=predictive.aleatoric[:5].round(0),  # … and leave this one
    )
)
print(table.to_string(index=False))

low, high = predictive.interval(0.9).T
print(f"\n90 % intervals hold {np.mean((low <= y_test) & (y_test <= high)):.0%} of the test rows")
print(f"mean log density of the test rows: {model.log_prob(X_test, y_test).mean():.3f} nats")

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "diabetes.bayeshyper"
    model.save(path)
    again = HyperRegressor.load(path)
    same = np.array_equal(again.predict(X_test), model.predict(X_test))
    print(f"saved to {path.stat().st_size / 1e6:.1f} MB and loaded: same predictions to the bit: {same}")
