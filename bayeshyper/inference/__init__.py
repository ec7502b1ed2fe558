"""How it is learned: the guide, entropy estimators, the SVI loop."""

from .channel import LatentChannel
from .density import InformationBounds, information_bounds, log_density
from .draw import EntropyEstimator, ImplicitDraw
from .entropy import ENTROPIES, linearized_entropy
from .guide import ImplicitGuide
from .history import History
from .objective import ElboTerms, elbo_terms
from .settings import KLSettings, OptimizerSettings, StoppingSettings, SVISettings
from .svi import Progress, fit, take_holdout

__all__ = [
    "ENTROPIES",
    "ElboTerms",
    "EntropyEstimator",
    "History",
    "ImplicitDraw",
    "ImplicitGuide",
    "InformationBounds",
    "KLSettings",
    "LatentChannel",
    "OptimizerSettings",
    "Progress",
    "SVISettings",
    "StoppingSettings",
    "elbo_terms",
    "fit",
    "information_bounds",
    "linearized_entropy",
    "log_density",
    "take_holdout",
]
