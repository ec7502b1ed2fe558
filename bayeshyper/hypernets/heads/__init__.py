"""Heads: features φ(z) to weights. Each file of this folder holds one, and is found by itself."""

import importlib
import pkgutil

from .base import HEADS, Head, LinearHead

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["HEADS", "Head", "LinearHead"]
