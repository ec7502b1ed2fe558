"""HyperRegressor and HyperClassifier: the whole toolkit behind scikit-learn's fit and predict."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from bayeshyper.data import TargetScaler
from bayeshyper.errors import ModelFileError
from bayeshyper.modelfile import read_model_file
from bayeshyper.stored import StoredEstimator
from bayeshyper.tasks import TableClassifier, TableRegressor

__all__ = ["HyperClassifier", "HyperRegressor", "load"]

# Types of labels, as numpy writes them: booleans, numbers, texts and objects; and the bytes of all of them.
LABELS = re.compile(r"[|]b1|[<>|][iuf]\d{1,2}|[<>]U\d{1,8}|[|]O")
MOST_LABELS = 2**26


class HyperRegressor(TableRegressor, StoredEstimator):
    """A regressor with honest uncertainty: a hypernetwork posterior over a network's weights.

    Inputs and targets are standardised inside; everything that comes out is in the target's own units. A
    likelihood for counts or shares is chosen by ``settings={"likelihood.family": "poisson"}``, say, and sees
    its targets as they are. Targets of K columns have predictions ``(N, K)``.

    Args:
        model: A model recipe: the name of a ready-made one, the path of a TOML file, or a dict.
            ``"mean-field"`` and ``"low-rank"`` are baselines in the same family.
        inference: An inference recipe likewise; None takes the one that the model recipe names.
        settings: Dotted overrides of either: ``{"hypernetwork.noise_dim": 8, "optimizer.steps": 500}``.
        network: An ``nn.Module`` of your own instead of the recipe's network; it is copied, never touched.
        n_members: Independent restarts mixed into one posterior; None takes the recipe's ``members``.
        n_draws: Weight vectors drawn at the end of the fit, which all predictions use.
        random_state: Seed of everything random.
        verbose: True shows a progress bar, False none, None only where the fit takes over two seconds and
            standard error is a terminal.

    Attributes:
        history_: The `History` of the fit.
        n_features_in_: Columns of the training table.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(-2, 2, (60, 1))
        >>> y = np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=60)
        >>> model = HyperRegressor(random_state=0, settings={"optimizer.steps": 300}).fit(X, y)
        >>> mean, std = model.predict(X[:3], return_std=True)
        >>> model.predict_quantiles(X[:3], [0.05, 0.95]).shape
        (3, 2)
    """

    def _target_record(self) -> dict[str, Any]:
        return {
            "mean": np.asarray(self._scaler.mean).tolist(),
            "scale": np.asarray(self._scaler.scale).tolist(),
        }

    def _restore_target(self, record: Mapping[str, Any]) -> None:
        mean, scale = (np.array(record[name]) for name in ("mean", "scale"))
        if not {mean.dtype.kind, scale.dtype.kind} <= set("if"):
            raise ValueError("Got a target's mean or scale that is no number.")
        mean, scale = mean.astype(np.float64), scale.astype(np.float64)
        if mean.shape != scale.shape or mean.ndim > 1 or not mean.size:
            raise ValueError(
                f"Got a target's mean {mean.shape} and scale {scale.shape}, expected one per column."
            )
        # The array of a single number is that number.
        self._scaler = TargetScaler(mean=mean[()], scale=scale[()])


class HyperClassifier(TableClassifier, StoredEstimator):
    """A classifier with honest probabilities: a hypernetwork posterior over a network's weights.

    Args: as for `HyperRegressor`.

    Attributes:
        classes_: The labels, sorted, or in the order of an ordered categorical; the columns of
            ``predict_proba``.
        history_: The `History` of the fit.
        n_features_in_: Columns of the training table.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(60, 2))
        >>> y = np.where(X[:, 0] > 0, "right", "left")
        >>> model = HyperClassifier(random_state=0, settings={"optimizer.steps": 300}).fit(X, y)
        >>> model.predict_proba(X[:3]).shape, model.classes_.tolist()
        ((3, 2), ['left', 'right'])
    """

    def _target_record(self) -> dict[str, Any]:
        labels: list[Any] = self.classes_.tolist()
        kind = self.classes_.dtype.str
        return {"classes": labels, "kind": kind if _is_usual(kind, len(labels)) else "|O"}

    def _restore_target(self, record: Mapping[str, Any]) -> None:
        labels, kind = record["classes"], record["kind"]
        if not isinstance(labels, list) or not all(isinstance(one, (str, int, float)) for one in labels):
            raise ValueError("Got classes that are no texts or numbers.")
        if any(isinstance(one, float) and not math.isfinite(one) for one in labels):
            raise ValueError("Got a class that is infinite, or no number.")
        if not _is_usual(kind, len(labels)):
            raise ValueError(f"Got classes of type {kind[:40]}, expected a usual one of a few bytes.")
        self.classes_ = np.array(labels, dtype=kind)
        if len(set(labels)) < max(2, len(labels)) or self.classes_.tolist() != labels:
            raise ValueError("Got the same class twice, or one alone, or one that its type cannot hold.")


def _is_usual(kind: str, count: int) -> bool:
    """Whether a file may ask for so many labels of a type."""
    return bool(LABELS.fullmatch(kind)) and count * np.dtype(kind).itemsize <= MOST_LABELS


def load(path: str | Path, network: nn.Module | None = None) -> HyperRegressor | HyperClassifier:
    """Read a model file, whichever estimator it holds.

    Raises:
        FileNotFoundError: There is no such file.
        ModelFileError: The file is truncated, damaged, of a newer format, or not ours.
    """
    record, tensors = read_model_file(Path(path))
    kinds: dict[str, type[HyperRegressor | HyperClassifier]] = {
        kind.__name__: kind for kind in (HyperRegressor, HyperClassifier)
    }
    if record.estimator not in kinds:
        raise ModelFileError(
            f"{path} holds a {record.estimator[:40]!r}, expected one of {', '.join(kinds)}; "
            "update bayeshyper."
        )
    return kinds[record.estimator]._from_file(path, record, tensors, network)
