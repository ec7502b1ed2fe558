"""What uncertainty is for: leaving rows to somebody else, finding strange ones, knowing why one is unsure."""

from __future__ import annotations

from bayeshyper.diagnostics.decisions.novelty import Novelty, novelty, strangeness
from bayeshyper.diagnostics.decisions.selective import RiskCoverage, risk_coverage, selective_risk
from bayeshyper.diagnostics.decisions.uncertainty import UncertaintySplit, knows_its_parts, uncertainty_split

__all__ = [
    "Novelty",
    "RiskCoverage",
    "UncertaintySplit",
    "knows_its_parts",
    "novelty",
    "risk_coverage",
    "selective_risk",
    "strangeness",
    "uncertainty_split",
]
