"""How it is learned: the guide, entropy estimators, the SVI loop."""

from .channels import Channel, LatentChannel, channel_of
from .checkpoints import Checkpoint
from .density import InformationBounds, information_bounds, log_density
from .draw import ImplicitDraw
from .entropies import ENTROPIES, Entropy, EntropyEstimator, linearized_entropy
from .guide import ImplicitGuide
from .history import History
from .natural import NaturalGaussian
from .noise import NoiseLevel, measure_noise
from .objectives import OBJECTIVES, ElboTerms, Objective, elbo_terms
from .projection import start_from_gaussian
from .settings import (
    CalibrationSettings,
    KLSettings,
    OptimizerSettings,
    StoppingSettings,
    SVISettings,
    WarmStartSettings,
)
from .svi import Progress, fit, take_holdout

__all__ = [
    "ENTROPIES",
    "OBJECTIVES",
    "CalibrationSettings",
    "Channel",
    "Checkpoint",
    "ElboTerms",
    "Entropy",
    "EntropyEstimator",
    "History",
    "ImplicitDraw",
    "ImplicitGuide",
    "InformationBounds",
    "KLSettings",
    "LatentChannel",
    "NaturalGaussian",
    "NoiseLevel",
    "Objective",
    "OptimizerSettings",
    "Progress",
    "SVISettings",
    "StoppingSettings",
    "WarmStartSettings",
    "channel_of",
    "elbo_terms",
    "fit",
    "information_bounds",
    "linearized_entropy",
    "log_density",
    "measure_noise",
    "start_from_gaussian",
    "take_holdout",
]
