"""Figures: what they hold is what was measured, and both renderers draw it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from bayeshyper.diagnostics import Evaluation, evaluate
from bayeshyper.inference import History
from bayeshyper.report.drawing.png import png
from bayeshyper.report.drawing.svg import draw, svg
from bayeshyper.report.figures.axes import nice_ticks, number_axis, share_axis
from bayeshyper.report.figures.corp import corp_figure
from bayeshyper.report.figures.coverage import coverage_figure
from bayeshyper.report.figures.decisions import risk_figure
from bayeshyper.report.figures.figure import Bars, Figure, Line
from bayeshyper.report.figures.posterior import audit_figure
from bayeshyper.report.figures.training import training_figures
from bayeshyper.report.sections.calibration import calibration_section
from tests.diagnostics.fakes import ClassPredictive, GaussianPredictive, classification, regression
from tests.report.examples import audit, history, three_models


def calibration_figures(models: dict[str, Evaluation]) -> tuple[Figure, ...]:
    return calibration_section(models).figures


def test_the_curve_drawn_is_the_curve_measured() -> None:
    found = evaluate(*regression(90))
    figure = coverage_figure({"one": found})
    line = next(layer for layer in figure.layers if isinstance(layer, Line) and layer.series == 0)
    assert found.coverage is not None
    assert list(line.y) == [0.0, *found.coverage.observed, 1.0]
    bars = next(layer for layer in calibration_figures({"one": found})[1].layers if isinstance(layer, Bars))
    assert sum(bars.height) == 90


def test_every_model_has_a_line_and_a_column() -> None:
    first, others = three_models()
    figure = coverage_figure({"ours": first, **others})
    labels = [label for kind, _, label in figure.legend if kind == "line"]
    assert labels == ["Calibrated", "ours", *others]
    assert figure.header == ("Stated", "ours", *others, "Calibrated models")
    assert all(len(row) == len(figure.header) for row in figure.rows)


@pytest.mark.filterwarnings("ignore::bayeshyper.FewRowsWarning")  # as few as one
@pytest.mark.parametrize(
    "models",
    [
        lambda: {"a": evaluate(*regression(1))},
        lambda: {"a": evaluate(*regression(40))},
        lambda: {"a": evaluate(GaussianPredictive(np.zeros(30), np.ones(30)), np.zeros(30))},
        lambda: {"a": evaluate(*classification(1))},
        lambda: {"a": evaluate(*classification(200)), "b $x^2$": evaluate(*classification(200, sharpen=3.0))},
        lambda: {"a": evaluate(ClassPredictive(np.tile([1.0, 0.0], (30, 1)), ["a", "b"]), ["a"] * 30)},
        lambda: {"a": evaluate(ClassPredictive(np.tile([1.0, 0.0], (30, 1)), ["a", "b"]), ["b"] * 30)},
    ],
)
def test_extremes_can_be_drawn(models: Callable[[], dict[str, Evaluation]]) -> None:
    for figure in calibration_figures(models()):
        drawing = draw(figure)
        for shape in (*drawing.frame, *drawing.content):
            for value in shape.attributes.values():
                assert "nan" not in str(value)
                assert "inf" not in str(value)
        assert png(figure).startswith(b"\x89PNG")
        ElementTree.fromstring(svg(figure))


def test_bars_stand_on_the_axis_and_inside_the_plot() -> None:
    figure = calibration_figures({"a": evaluate(*regression(300))})[1]
    drawing = draw(figure)
    left, top, width, height = drawing.plot
    bars = [shape.attributes for shape in drawing.content if shape.tag == "rect"]
    assert len(bars) == 15
    for bar in bars:
        assert float(bar["y"]) + float(bar["height"]) == pytest.approx(top + height)
        assert left <= float(bar["x"]) < float(bar["x"]) + float(bar["width"]) <= left + width


def test_the_audit_spans_its_errors() -> None:
    figure = audit_figure(audit(gap=9.0))
    assert figure.x.low < -612.5 - 0.8
    assert figure.x.high > -612.1 + 9.0 + 0.9
    exact = audit_figure(audit(gap=0.0).__class__(*[1.0] * 3, *[0.0] * 3, *[1.0] * 3, *[0.0] * 3))
    assert exact.x.low < 1.0 < exact.x.high


def test_training_curves_survive_gaps_and_short_runs() -> None:
    broken = history()
    broken.elbo_per_datum[5] = float("nan")
    broken.elbo_per_datum[0] = -1e300
    figures = training_figures(broken)
    assert [figure.name for figure in figures] == ["training", "heldout"]
    assert figures[0].y.low > -10.0  # the climb does not flatten the rest
    assert training_figures(History()) == []
    (short,) = training_figures(History([10], [-1.0]))
    assert png(short)
    assert draw(short).content
    assert training_figures(History([10], [float("nan")])) == []


def test_long_histories_are_thinned() -> None:
    steps = list(range(1, 50_001))
    (figure,) = training_figures(History(steps, [-1.0 / step for step in steps]))
    line = next(layer for layer in figure.layers if isinstance(layer, Line))
    assert len(line.x) <= 800
    assert line.x[-1] == 50_000


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-614.2, -611.0), (0, 4000), (1e-7, 3e-7), (0, 22.5)])
def test_ticks_are_round_few_and_inside(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 3 <= len(ticks) <= 9
    assert min(ticks) >= low - 1e-9 * abs(high)
    assert max(ticks) <= high + 1e-9 * abs(high)
    assert len({text for _, text in number_axis("", low, high).ticks}) == len(ticks)


def test_an_svg_file_stands_alone() -> None:
    models = {"ours <b>": evaluate(*regression(90)), "theirs & co": evaluate(*regression(90, stated_std=2.0))}
    for figure in (*calibration_figures(models), audit_figure(audit()), *training_figures(history())):
        text = svg(figure).decode()
        root = ElementTree.fromstring(text)
        said = "".join(root.itertext())
        assert figure.title in said
        assert all(label in said for _, _, label in figure.legend)
        assert "var(" not in text  # not every program knows them
        assert not re.search(r"@import|url\((?!#)|href", text)


def test_a_curve_outside_its_band_is_no_verdict() -> None:
    found = evaluate(*regression(200))
    assert found.coverage is not None
    inside = replace(found.coverage, observed=found.coverage.levels)
    outside = replace(found.coverage, observed=np.where(inside.levels == 0.5, 0.9, inside.levels))
    for curve, words in (
        (inside, "stays inside the band"),
        (outside, "leaves the band of calibrated models at 1 of"),
    ):
        figure = coverage_figure({"a": replace(found, coverage=curve)})
        assert words in figure.summary
        assert "one calibrated model in twenty leaves it" in figure.caption


@pytest.mark.parametrize(("p_value", "words"), [(0.43, "chance may explain it"), (0.001, "more than chance")])
def test_the_isotonic_curve_is_read_by_its_p_value(p_value: float, words: str) -> None:
    found = evaluate(*classification(300)).corp
    assert found is not None
    figure = corp_figure({"a": replace(found, p_value=p_value)}, "b")
    assert words in figure.summary
    assert "one point at a time" in figure.caption


def test_no_two_ticks_read_the_same_where_nothing_is_wrong() -> None:
    for found in (
        evaluate(ClassPredictive(np.tile([1.0, 0.0], (30, 1)), ["a", "b"]), ["a"] * 30),
        evaluate(GaussianPredictive(np.zeros(30), np.ones(30)), np.zeros(30)),
    ):
        assert found.risk is not None
        texts = [text for _, text in risk_figure({"a": found.risk}, found.task).y.ticks]
        assert 3 <= len(texts) == len(set(texts))
    fine = [text for _, text in share_axis("", 0.0, 0.0004).ticks]
    assert len(fine) == len(set(fine))
