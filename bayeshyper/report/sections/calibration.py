"""Calibration: the plots behind the verdict."""

from __future__ import annotations

from bayeshyper.diagnostics import Evaluation
from bayeshyper.report.figures.coverage import coverage_figure, pit_figure
from bayeshyper.report.figures.reliability import confidence_figure, reliability_figure
from bayeshyper.report.sections.section import Section


def calibration_section(models: dict[str, Evaluation]) -> Section:
    """Shows the calibration of the first model, with the others beside it where that stays readable."""
    first = next(iter(models.values()))
    if first.task == "regression":
        figures = [coverage_figure(models), pit_figure(first)]
    else:
        figures = [reliability_figure(models), confidence_figure(first)]
    return Section("calibration", "Calibration", figures=tuple(figures))
