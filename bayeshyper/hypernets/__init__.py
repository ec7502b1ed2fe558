"""Noise to weights: trunks, heads, and the hypernetwork that joins them."""

from .heads import HEADS, Head, LinearHead
from .heads.bounded import BoundedHead
from .heads.dense import DenseHead
from .heads.matrix_noise import MatrixNoiseHead
from .hypernetwork import Hypernetwork, WeightDraw
from .settings import MIN_OUTPUT_NOISE, HypernetworkSettings, HypernetworkSize, head_options
from .trunk import Trunk

__all__ = [
    "HEADS",
    "MIN_OUTPUT_NOISE",
    "BoundedHead",
    "DenseHead",
    "Head",
    "Hypernetwork",
    "HypernetworkSettings",
    "HypernetworkSize",
    "LinearHead",
    "MatrixNoiseHead",
    "Trunk",
    "WeightDraw",
    "head_options",
]
