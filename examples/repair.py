"""Repair: a model that is too sure of itself, made honest without training it again.

The diagnostics ask for probabilities, normals or draws, of any model. Here naive Bayes reads handwritten
digits: it is often right, and nearly always certain. A random forest's trees foretell how diabetes goes on:
what they disagree on is less than what they miss. Rows that the models were not trained on teach the repairs,
and other rows, which neither has seen, show what came of it.
"""

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB

from bayeshyper.diagnostics import (
    ClassPredictive,
    ConformalQuantiles,
    ConformalSets,
    SamplePredictive,
    TemperatureScaling,
    before_and_after,
    evaluate,
    interval_coverage,
    sharpness,
)

X, y = load_digits(return_X_y=True)
X_train, X_rest, y_train, y_rest = train_test_split(X, y, test_size=0.6, random_state=0)
model = GaussianNB(var_smoothing=1e-3).fit(X_train, y_train)
X_learn, X_test, y_learn, y_test = train_test_split(X_rest, y_rest, test_size=0.5, random_state=0)
stated = ClassPredictive(model.predict_proba(X_learn), model.classes_)

print("Digits. Each repair, on rows that it did not learn from:")
found = before_and_after(stated, y_learn)
print(f"  {'':<24}  log score  accuracy    ECE  in 90 % sets  labels in them")
for name, scores in [("as it was", found.before), *((each.name, each.scores) for each in found.repairs)]:
    log_score, accuracy, ece, held, size = (
        scores[key].value for key in ("log_score", "accuracy", "ece", "coverage_90", "size_90")
    )
    print(f"  {name:<24}  {log_score:9.3f}  {accuracy:8.1%}  {ece:5.1%}  {held:12.1%}  {size:14.2f}")
print(found.conclusion)

scaling = TemperatureScaling.fit(stated, y_learn)
test = ClassPredictive(model.predict_proba(X_test), model.classes_)
print(f"\nTemperature {scaling.temperature:.1f}, on the test rows:")
print(f"  before: {evaluate(test, y_test).verdict.headline}")
print(f"  after:  {evaluate(scaling(test), y_test).verdict.headline}")

sets = ConformalSets.fit(scaling(stated), y_learn)(scaling(test)).sets(0.95)
print(f"  95 % sets hold the digit in {sets[np.arange(len(y_test)), y_test].mean():.1%} of the rows;")
sizes = np.bincount(sets.sum(axis=1))
print(f"  {sizes[1] / len(sets):.0%} have one label, and the largest {len(sizes) - 1}.")

X, y = load_diabetes(return_X_y=True)
X_train, X_rest, y_train, y_rest = train_test_split(X, y, test_size=0.6, random_state=0)
forest = RandomForestRegressor(200, min_samples_leaf=10, random_state=0).fit(X_train, y_train)
X_learn, X_test, y_learn, y_test = train_test_split(X_rest, y_rest, test_size=0.5, random_state=0)


def trees(rows):
    """What each tree says is one draw."""
    return SamplePredictive(np.stack([tree.predict(rows) for tree in forest.estimators_]))


print("\nDiabetes. 90 % intervals of the forest on the test rows:")
conformal = ConformalQuantiles.fit(trees(X_learn), y_learn)(trees(X_test))
for name, predictive in (("what its trees say", trees(X_test)), ("conformal quantiles", conformal)):
    ends = predictive.interval(0.9)
    print(f"  {name:<20} hold {interval_coverage(ends, y_test):4.0%}, {sharpness(ends):.0f} wide on average")
