"""Priors over the weights: a location and a scale for each, and the law of what lies between them."""

from .base import Prior
from .flat import FlatLocationScale, FlatNormal
from .normal import FanInPrior, NormalPrior

__all__ = ["PRIORS", "FanInPrior", "FlatLocationScale", "FlatNormal", "NormalPrior", "Prior"]

PRIORS: dict[str, type[Prior]] = {"normal": NormalPrior, "fan-in": FanInPrior}
