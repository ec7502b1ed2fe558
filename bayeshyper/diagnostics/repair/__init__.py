"""Repairs: they learn from rows that the model was not trained on, and give the same kind of prediction."""

from __future__ import annotations

from bayeshyper.diagnostics.repair.comparison import (
    REPAIRS,
    RepairComparison,
    RepairResult,
    before_and_after,
)
from bayeshyper.diagnostics.repair.conformal import ConformalIntervals, ConformalQuantiles
from bayeshyper.diagnostics.repair.isotonic import IsotonicCalibration
from bayeshyper.diagnostics.repair.protocol import FitsRepair, Repair
from bayeshyper.diagnostics.repair.recalibration import QuantileRecalibration
from bayeshyper.diagnostics.repair.sets import ConformalSets, credible_sets
from bayeshyper.diagnostics.repair.spread import SpreadScaling
from bayeshyper.diagnostics.repair.temperature import TemperatureScaling

__all__ = [
    "REPAIRS",
    "ConformalIntervals",
    "ConformalQuantiles",
    "ConformalSets",
    "FitsRepair",
    "IsotonicCalibration",
    "QuantileRecalibration",
    "Repair",
    "RepairComparison",
    "RepairResult",
    "SpreadScaling",
    "TemperatureScaling",
    "before_and_after",
    "credible_sets",
]
