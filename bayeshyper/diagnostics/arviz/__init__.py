"""A fitted model as ArviZ sees it."""

from __future__ import annotations

from bayeshyper.diagnostics.arviz.checks import PredictiveCheck, compare, loo, loo_pit, ppc
from bayeshyper.diagnostics.arviz.export import to_arviz

__all__ = ["PredictiveCheck", "compare", "loo", "loo_pit", "ppc", "to_arviz"]
