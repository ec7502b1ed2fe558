"""How good the posterior itself is, whatever it predicts."""

from __future__ import annotations

from bayeshyper.diagnostics.posterior.audit import Audit, audit

__all__ = ["Audit", "audit"]
