"""Test cases for your own parts: subclass one, say how your part is made, and run pytest."""

from .priors import PriorTestCase

__all__ = ["PriorTestCase"]
