"""A calibration report on models that are not ours: a random forest's trees beside Bayesian ridge regression.

The report needs predictions and what happened, nothing else: draws, normals or class probabilities. Each row
here is predicted by models that were fitted without it. What a forest's trees disagree on is less than what
they miss: the report says so, and which repair would help. Run as

    python examples/any_model.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import BayesianRidge
from sklearn.model_selection import KFold

from bayeshyper.diagnostics import NormalPredictive, SamplePredictive, evaluate, paired_difference
from bayeshyper.report import write_report

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
mean, std, trees = np.empty(len(y)), np.empty(len(y)), np.empty((300, len(y)))
for fitted, held in KFold(5, shuffle=True, random_state=0).split(X):
    inputs, targets = X.iloc[fitted], y.iloc[fitted]
    mean[held], std[held] = BayesianRidge().fit(inputs, targets).predict(X.iloc[held], return_std=True)
    forest = RandomForestRegressor(300, min_samples_leaf=10, random_state=0).fit(inputs.to_numpy(), targets)
    trees[:, held] = [tree.predict(X.iloc[held].to_numpy()) for tree in forest.estimators_]

found = evaluate(SamplePredictive(trees), y, by=X, repair=True)
linear = evaluate(NormalPredictive(mean, std), y, by=X)
print(f"forest: {found.verdict.headline}")
for finding in (*found.verdict.findings, *found.verdict.actions):
    print(f"        {finding}")
print(f"ridge:  {linear.verdict.headline}")
gap = paired_difference(found, linear, "crps")
print(f"CRPS of the forest less the ridge's: {gap.value:+.2f} ({gap.lower:+.2f} to {gap.upper:+.2f})")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
page = write_report(
    folder,
    found,
    title="How far diabetes has progressed: a random forest's trees",
    name="random forest",
    comparisons={"Bayesian ridge": linear},
    about={"data": f"{len(y)} rows, each predicted by models fitted without it (5 folds, seed 0)"},
    force=True,
)
print(f"Wrote {page}")
