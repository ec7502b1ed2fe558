"""How good the posterior itself is, whatever it predicts."""

from __future__ import annotations

from bayeshyper.diagnostics.posterior.audit import Audit, audit
from bayeshyper.diagnostics.posterior.collapse import Collapse, collapse
from bayeshyper.diagnostics.posterior.convergence import Convergence, convergence
from bayeshyper.diagnostics.posterior.psis import PSIS, pareto_khat, psis
from bayeshyper.diagnostics.posterior.simulation import (
    SimulationCalibration,
    calibrate_fits,
    simulation_based_calibration,
)

__all__ = [
    "PSIS",
    "Audit",
    "Collapse",
    "Convergence",
    "SimulationCalibration",
    "audit",
    "calibrate_fits",
    "collapse",
    "convergence",
    "pareto_khat",
    "psis",
    "simulation_based_calibration",
]
