"""Any Pyro model: the hypernetwork's posterior as an automatic guide."""

from .guide import AutoHypernetwork

__all__ = ["AutoHypernetwork"]
