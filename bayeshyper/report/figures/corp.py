"""The CORP reliability curve: reliability without bins."""

from __future__ import annotations

from bayeshyper.diagnostics._checks import Booleans
from bayeshyper.diagnostics._words import percent
from bayeshyper.diagnostics.calibration.corp import CORPCurve
from bayeshyper.report.figures.axes import share_axis
from bayeshyper.report.figures.figure import REFERENCE, Band, Figure, Line
from bayeshyper.report.figures.models import evenly, model_lines


def corp_figure(curves: dict[str, CORPCurve], event: str) -> Figure:
    """Draws the probability that isotonic regression would put in the place of each that was stated.

    Args:
        curves: Name of a model to its curve; the band is the first one's.
        event: What the probability is of: "its likeliest class".
    """
    (_, first), *_ = curves.items()
    outside = (first.recalibrated < first.lower) | (first.recalibrated > first.upper)
    return Figure(
        name="corp",
        title="What do its probabilities mean?",
        x=share_axis(f"Stated probability of {event}"),
        y=share_axis("How often it happened (isotonic)"),
        layers=(
            Band(
                first.probability.tolist(),
                first.lower.tolist(),
                first.upper.tolist(),
                f"Where {percent(first.level)} of calibrated models stay, at each point",
            ),
            Line((0.0, 1.0), (0.0, 1.0), REFERENCE, "Calibrated"),
            *model_lines(
                {name: (curve.probability, curve.recalibrated) for name, curve in curves.items()},
                "Observed",
                lambda name, i: (
                    f"stated {percent(curves[name].probability[i])}, happened in "
                    f"{percent(curves[name].recalibrated[i])}"
                ),
            ),
        ),
        caption="Reliability without bins (CORP): the curve is what each stated probability should have "
        "been. Below the diagonal the event happened less often than stated. The band is for one point at a "
        "time: the curve of a calibrated model often leaves it somewhere. Of its Brier score, "
        f"{first.miscalibration:.4f} is miscalibration, which recalibration would gain; chance alone gives "
        f"about {first.miscalibration_if_calibrated:.4f} here.",
        summary=f"{_where(outside)} All points together, its miscalibration of {first.miscalibration:.4f} "
        f"has the p-value {first.p_value:.2g}{_meaning(first.p_value)}",
        header=("Stated", "Happened", "Calibrated models"),
        rows=tuple(
            (
                percent(first.probability[i]),
                percent(first.recalibrated[i]),
                f"{percent(first.lower[i])} to {percent(first.upper[i])}",
            )
            for i in evenly(first.probability)
        ),
        models=len(curves) > 1,
    )


def _where(outside: Booleans) -> str:
    if not outside.any():
        return "The curve stays inside the band that holds at each point."
    return "Taken point by point, the curve leaves the band in places."


def _meaning(p_value: float) -> str:
    return ": chance may explain it." if p_value >= 0.05 else ": more than chance explains."
