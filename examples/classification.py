"""Classification: when a model is unsure, is it the row or the model?

Total uncertainty (entropy) splits in two. Where all plausible networks agree that a row is ambiguous, it is
*aleatoric*, and more data will not help. Where they disagree, it is *epistemic* (the mutual information
between class and weights): the row is unlike the training data, as the last one below is.
"""

import pandas as pd
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

from bayeshyper import HyperClassifier

wine = load_wine(as_frame=True)
X, y = wine.data, wine.target.map(dict(enumerate(["Barolo", "Grignolino", "Barbera"])))
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=50, random_state=0, stratify=y)

model = HyperClassifier(random_state=0, settings={"optimizer.steps": 400}).fit(X_train, y_train)
print(f"accuracy on test rows: {model.score(X_test, y_test):.0%}")
print(f"mean log probability of the right class: {model.log_prob(X_test, y_test).mean():.3f} nats\n")

surest = X_test.iloc[[model.predictive(X_test).entropy.argmin()]]
between = (X_train[y_train == "Barolo"].mean() + X_train[y_train == "Grignolino"].mean()) / 2
strange = X_train.mean() + 6 * X_train.std() * [1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1]
rows = pd.concat([surest, between.to_frame().T, strange.to_frame().T])

predictive = model.predictive(rows)
table = pd.DataFrame(predictive.probs, columns=model.classes_)
table.insert(0, "wine", ["typical", "between two", "like no other"])
table["entropy"] = predictive.entropy
table["aleatoric"] = predictive.aleatoric_entropy
table["epistemic"] = predictive.mutual_information
print(table.round(3).to_string(index=False))
