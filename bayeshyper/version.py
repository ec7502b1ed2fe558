"""The version, in the one place that everything reads it from."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
