"""What a prediction is to the diagnostics, and predictions of plain arrays: draws, normals, probabilities."""

from __future__ import annotations

from bayeshyper.diagnostics.predictives.classes import ClassPredictive
from bayeshyper.diagnostics.predictives.numbers import NormalPredictive, NumbersPredictive
from bayeshyper.diagnostics.predictives.protocol import Predictive
from bayeshyper.diagnostics.predictives.rowwise import pit_values
from bayeshyper.diagnostics.predictives.samples import SamplePredictive

__all__ = [
    "ClassPredictive",
    "NormalPredictive",
    "NumbersPredictive",
    "Predictive",
    "SamplePredictive",
    "pit_values",
]
