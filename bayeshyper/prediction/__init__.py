"""What a posterior says: weight ensembles and predictive distributions."""

from .ensemble import WeightEnsemble
from .predictive import PredictiveDistribution

__all__ = ["PredictiveDistribution", "WeightEnsemble"]
