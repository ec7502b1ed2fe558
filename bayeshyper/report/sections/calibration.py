"""Calibration: the plots behind the verdict."""

from __future__ import annotations

from bayeshyper.diagnostics import Evaluation
from bayeshyper.report.figures.corp import corp_figure
from bayeshyper.report.figures.coverage import coverage_figure, pit_difference_figure, pit_figure
from bayeshyper.report.figures.reliability import confidence_figure, reliability_figure
from bayeshyper.report.sections.section import Section


def calibration_section(models: dict[str, Evaluation]) -> Section:
    """Shows the calibration of the first model, with the others beside it where that stays readable."""
    first = next(iter(models.values()))
    if first.task == "regression":
        figures = [coverage_figure(models), pit_figure(first)]
        if first.pit_difference is not None:
            figures.append(pit_difference_figure(first.pit_difference, first.n_rows))
    else:
        figures = [reliability_figure(models), confidence_figure(first)]
        curves = {name: model.corp for name, model in models.items() if model.corp is not None}
        event = f"{first.classes[1]}" if len(first.classes) == 2 else "its likeliest class"
        figures += [corp_figure(curves, event)] if curves else []
    return Section("calibration", "Calibration", figures=tuple(figures))
