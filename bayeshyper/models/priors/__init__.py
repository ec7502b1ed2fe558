"""Priors over the weights: a location and a scale for each, and the law of what lies between them."""

from .base import Prior
from .flat import FlatLocationScale, FlatNormal
from .hierarchical import FlatHierarchical, HierarchicalPrior
from .horseshoe import HorseshoePrior
from .laplace import LaplacePrior
from .learned import LearnedPrior
from .mixture import ScaleMixturePrior
from .normal import FanInPrior, NormalPrior
from .student import StudentTPrior

__all__ = [
    "PRIORS",
    "FanInPrior",
    "FlatHierarchical",
    "FlatLocationScale",
    "FlatNormal",
    "HierarchicalPrior",
    "HorseshoePrior",
    "LaplacePrior",
    "LearnedPrior",
    "NormalPrior",
    "Prior",
    "ScaleMixturePrior",
    "StudentTPrior",
]

PRIORS: dict[str, type[Prior]] = {
    "normal": NormalPrior,
    "fan-in": FanInPrior,
    "laplace": LaplacePrior,
    "student-t": StudentTPrior,
    "scale-mixture": ScaleMixturePrior,
    "horseshoe": HorseshoePrior,
    "hierarchical": HierarchicalPrior,
    "learned": LearnedPrior,
}
