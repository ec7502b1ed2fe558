"""Estimators of the posterior's entropy, by the names that inference recipes give them."""

from .contrastive import PriorContrastiveEntropy
from .estimator import Entropy, EntropyEstimator, options_of
from .hierarchical import HierarchicalEntropy
from .linearized import LinearizedEntropy, linearized_entropy, linearized_information
from .semi_implicit import SemiImplicitEntropy
from .singular import SmallestSingularValueEntropy
from .stein import SteinEntropy, stein_score

__all__ = [
    "ENTROPIES",
    "Entropy",
    "EntropyEstimator",
    "HierarchicalEntropy",
    "LinearizedEntropy",
    "PriorContrastiveEntropy",
    "SemiImplicitEntropy",
    "SmallestSingularValueEntropy",
    "SteinEntropy",
    "linearized_entropy",
    "linearized_information",
    "options_of",
    "stein_score",
]

ENTROPIES: dict[str, type[Entropy]] = {
    "linearized": LinearizedEntropy,
    "smallest-singular-value": SmallestSingularValueEntropy,
    "hierarchical": HierarchicalEntropy,
    "semi-implicit": SemiImplicitEntropy,
    "stein": SteinEntropy,
    "prior-contrastive": PriorContrastiveEntropy,
}
