"""Calibration: the plots behind the verdict."""

from __future__ import annotations

from bayeshyper.diagnostics import CalibrationError, Evaluation
from bayeshyper.diagnostics._words import percent
from bayeshyper.report.figures.corp import corp_figure
from bayeshyper.report.figures.coverage import coverage_figure, pit_difference_figure, pit_figure
from bayeshyper.report.figures.reliability import confidence_figure, reliability_figure
from bayeshyper.report.sections.section import Cell, Column, Section, Table


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
    tables = (errors_table(first.calibration_errors),) if first.calibration_errors else ()
    return Section("calibration", "Calibration", figures=tuple(figures), tables=tables)


def errors_table(errors: tuple[CalibrationError, ...]) -> Table:
    """Lays out the ways to average the calibration error, each beside what chance alone gives."""
    return Table(
        name="errors",
        caption="Calibration errors, and what chance alone gives",
        columns=(
            Column("Error", numeric=False, first=""),
            Column("Value", first="descending"),
            Column("By chance", first="descending"),
        ),
        rows=tuple(
            (
                Cell(error.label, error.explanation),
                Cell("not available")
                if error.value is None
                else Cell(percent(error.value, 1000), order=error.value),
                Cell(percent(error.if_calibrated, 1000), order=error.if_calibrated),
            )
            for error in errors
        ),
        narrow=True,
    )
