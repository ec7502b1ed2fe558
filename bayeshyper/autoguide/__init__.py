"""Any Pyro model: the hypernetwork's posterior as an automatic guide, and simulation-based calibration."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .guide import AutoHypernetwork

if TYPE_CHECKING:
    from .results.importance import WeightedDraws
    from .results.simulation import calibrate_model

__all__ = ["AutoHypernetwork", "WeightedDraws", "calibrate_model"]

# Looked up when first asked for: they know the diagnostics, whose ArviZ takes seconds to import.
_HOMES = {"WeightedDraws": "importance", "calibrate_model": "simulation"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".results.{_HOMES[name]}", __name__), name)
