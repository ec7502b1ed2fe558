"""Noise to weights: trunks, heads, and the hypernetwork that joins them."""

from .heads import HEADS, DenseHead, Head
from .hypernetwork import MIN_OUTPUT_NOISE, Hypernetwork, HypernetworkSettings, WeightDraw
from .trunk import Trunk

__all__ = [
    "HEADS",
    "MIN_OUTPUT_NOISE",
    "DenseHead",
    "Head",
    "Hypernetwork",
    "HypernetworkSettings",
    "Trunk",
    "WeightDraw",
]
