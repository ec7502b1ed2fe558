"""What uncertainty is for: leaving rows to somebody else, finding strange ones, knowing why one is unsure."""

from __future__ import annotations

from bayeshyper.diagnostics.decisions.novelty import Novelty, novelty
from bayeshyper.diagnostics.decisions.selective import RiskCoverage, risk_coverage, selective_risk
from bayeshyper.diagnostics.decisions.uncertainty import UncertaintySplit, uncertainty_split

__all__ = [
    "Novelty",
    "RiskCoverage",
    "UncertaintySplit",
    "novelty",
    "risk_coverage",
    "selective_risk",
    "uncertainty_split",
]
