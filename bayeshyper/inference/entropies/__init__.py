"""Estimators of the posterior's entropy, by the names that inference recipes give them."""

from bayeshyper.inference.draw import EntropyEstimator

from .linearized import linearized_entropy, linearized_information

__all__ = ["ENTROPIES", "linearized_entropy", "linearized_information"]

ENTROPIES: dict[str, EntropyEstimator] = {"linearized": linearized_entropy}
