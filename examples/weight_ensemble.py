"""The posterior as an ensemble of networks: take weights out, run them anywhere.

`sample_weights` draws whole weight vectors. Each is an ordinary module; all together are one safetensors
file, which needs nothing of ours to be read: here numpy alone repeats the predictions.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from sklearn.datasets import load_breast_cancer

from bayeshyper import HyperClassifier

X, y = load_breast_cancer(return_X_y=True)
X = (X - X.mean(0)) / X.std(0)  # standardised here, so that the fit's own standardising changes nothing
model = HyperClassifier(random_state=0, settings={"optimizer.steps": 300}).fit(X, y)

ensemble = model.sample_weights(50, seed=0)
print(ensemble)
for name in ensemble.names:
    print(f"  {name:<16} {tuple(ensemble[name].shape)}")

rows = torch.from_numpy(model.encoder_.transform(X[:4])).float()
with torch.no_grad():
    logits = torch.stack([module(rows) for module in ensemble.modules()])[..., 0]
print("\nFour rows, fifty networks, P(benign):")
for mean, std in zip(logits.sigmoid().mean(0), logits.sigmoid().std(0), strict=True):
    print(f"  {mean:.3f} ± {std:.3f}")

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "ensemble.safetensors"
    ensemble.save(path)
    w = load_file(path)

hidden = np.einsum("nf,shf->snh", X[:4], w["layers.0.weight"]) + w["layers.0.bias"][:, None]
again = np.einsum("snh,sh->sn", hidden.clip(0), w["layers.2.weight"][:, 0]) + w["layers.2.bias"]
print(f"\nnumpy and the file alone agree: {np.allclose(again, logits.numpy(), atol=1e-4)}")
