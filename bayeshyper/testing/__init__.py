"""Test cases for your own parts: subclass one, say how your part is made, and run pytest."""

from .heads import HeadTestCase
from .likelihoods import LikelihoodTestCase
from .priors import PriorTestCase

__all__ = ["HeadTestCase", "LikelihoodTestCase", "PriorTestCase"]
