"""A fitted model as ArviZ sees it."""

from __future__ import annotations

from bayeshyper.diagnostics.arviz.export import to_arviz

__all__ = ["to_arviz"]
