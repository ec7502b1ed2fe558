"""Hypernetworks as implicit posteriors: uncertainty-aware regressors and classifiers.

>>> from bayeshyper import HyperRegressor
>>> from sklearn.datasets import load_diabetes
>>> X, y = load_diabetes(return_X_y=True, as_frame=True)
>>> model = HyperRegressor(random_state=0, settings={"optimizer.steps": 200}).fit(X, y)
>>> mean, std = model.predict(X, return_std=True)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bayeshyper.version import __version__

if TYPE_CHECKING:
    from bayeshyper.autoguide import AutoHypernetwork
    from bayeshyper.errors import (
        ApproximationWarning,
        BayeshyperError,
        BayeshyperWarning,
        CheckpointError,
        CheckpointWarning,
        ClassImbalanceWarning,
        CollapseWarning,
        DataError,
        DataWarning,
        DuplicateRowsWarning,
        ExtrapolationWarning,
        FewRowsWarning,
        MissingValuesWarning,
        ModelFileError,
        NotConvergedWarning,
        RecipeError,
        TooLarge,
        TrainingDiverged,
    )
    from bayeshyper.estimators import HyperClassifier, HyperRegressor, load
    from bayeshyper.hypernets import Hypernetwork, HypernetworkSettings
    from bayeshyper.inference import Checkpoint, ImplicitGuide, SVISettings, fit
    from bayeshyper.models import BayesianModel, Target
    from bayeshyper.prediction import PredictiveDistribution, WeightEnsemble

__all__ = [
    "ApproximationWarning",
    "AutoHypernetwork",
    "BayeshyperError",
    "BayeshyperWarning",
    "BayesianModel",
    "Checkpoint",
    "CheckpointError",
    "CheckpointWarning",
    "ClassImbalanceWarning",
    "CollapseWarning",
    "DataError",
    "DataWarning",
    "DuplicateRowsWarning",
    "ExtrapolationWarning",
    "FewRowsWarning",
    "HyperClassifier",
    "HyperRegressor",
    "Hypernetwork",
    "HypernetworkSettings",
    "ImplicitGuide",
    "MissingValuesWarning",
    "ModelFileError",
    "NotConvergedWarning",
    "PredictiveDistribution",
    "RecipeError",
    "SVISettings",
    "Target",
    "TooLarge",
    "TrainingDiverged",
    "WeightEnsemble",
    "__version__",
    "fit",
    "load",
]

# Looked up when first asked for, so that `bayeshyper --help` need not wait for torch.
_HOMES = {
    "ApproximationWarning": "errors",
    "AutoHypernetwork": "autoguide",
    "BayeshyperError": "errors",
    "BayeshyperWarning": "errors",
    "BayesianModel": "models",
    "Checkpoint": "inference",
    "CheckpointError": "errors",
    "CheckpointWarning": "errors",
    "ClassImbalanceWarning": "errors",
    "CollapseWarning": "errors",
    "DataError": "errors",
    "DataWarning": "errors",
    "DuplicateRowsWarning": "errors",
    "ExtrapolationWarning": "errors",
    "FewRowsWarning": "errors",
    "HyperClassifier": "estimators",
    "HyperRegressor": "estimators",
    "Hypernetwork": "hypernets",
    "HypernetworkSettings": "hypernets",
    "ImplicitGuide": "inference",
    "MissingValuesWarning": "errors",
    "ModelFileError": "errors",
    "NotConvergedWarning": "errors",
    "PredictiveDistribution": "prediction",
    "RecipeError": "errors",
    "SVISettings": "inference",
    "Target": "models",
    "TooLarge": "errors",
    "TrainingDiverged": "errors",
    "WeightEnsemble": "prediction",
    "fit": "inference",
    "load": "estimators",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bayeshyper' has no attribute {name!r}")
    return getattr(importlib.import_module(f"bayeshyper.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
