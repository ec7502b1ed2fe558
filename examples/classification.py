"""Classification: when a model is unsure, is it the row or the model?

Total uncertainty (entropy) splits in two. Where all plausible networks agree that a row is ambiguous, it is
*aleatoric*, and more data will not help. Where they disagree, it is *epistemic* (the mutual information
between class and weights): the row is unlike the training data. Here one kind of wine is never shown to the
model, which must then call it one of the two it knows. The epistemic part tells such bottles from others.
"""

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from bayeshyper import HyperClassifier

wine = load_wine(as_frame=True)
X, y = wine.data, wine.target.map(dict(enumerate(["Barolo", "Grignolino", "Barbera"])))
known = y != "Barbera"
X_train, X_test, y_train, y_test = train_test_split(
    X[known], y[known], test_size=40, random_state=0, stratify=y[known]
)
model = HyperClassifier(random_state=0).fit(X_train, y_train)
print(f"accuracy on test rows of known kinds: {model.score(X_test, y_test):.0%}")
print(f"mean log probability of the right class: {model.log_prob(X_test, y_test).mean():.3f} nats\n")

rows = pd.concat([X_test, X[~known]])
strange = np.arange(len(rows)) >= len(X_test)
predictive = model.predictive(rows)

print("Five bottles of a known kind, five of the kind never seen:")
table = pd.DataFrame(predictive.probs, columns=model.classes_)
table["entropy"] = predictive.entropy
table["aleatoric"] = predictive.aleatoric_entropy
table["epistemic"] = predictive.mutual_information
table.insert(0, "bottle", np.where(strange, "never seen", "known"))
shown = [*range(5), *range(len(X_test), len(X_test) + 5)]
print(table.iloc[shown].round(3).to_string(index=False))

print("\nHow well each picks out the unseen kind (1 is always, 0.5 is chance):")
for part in ("entropy", "aleatoric", "epistemic"):
    print(f"  {part:<9}  {roc_auc_score(strange, table[part]):.2f}")
