"""Memory and time over size, both axes logarithmic, beside what linear growth would be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLORS = {"low-rank": "#1f2933", "dense": "#b0413e"}
PALE = "#9aa5b1"


class Point(NamedTuple):
    """One head at one size; bytes are beyond the parameters, times in steps of the first point's."""

    head: str
    weights: int
    parameters: int
    held: int
    resident: float
    time: float
    time_kept: float


def draw(points: Sequence[Point], path: Path) -> None:
    """Write the plot; the file's ending says which format."""
    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    memory, time = figure.subplots(1, 2)
    for head, color in COLORS.items():
        some = [point for point in points if point.head == head]
        sizes = [point.weights for point in some]
        memory.plot(
            sizes, [point.held / 1e6 for point in some], "o-", ms=4, color=color, label=f"{head}, held"
        )
        resident = [point.resident / 1e6 for point in some]
        memory.plot(sizes, resident, "x", ms=6, color=color, label=f"{head}, resident")
        kept = [point.time_kept for point in some]
        time.plot(sizes, kept, "o-", ms=4, color=color, label=f"{head}, memory kept")
        times = [point.time for point in some]
        time.plot(sizes, times, "x", ms=6, color=color, label=f"{head}, pages cleared anew")
    memory.set_ylabel("MB beyond the parameters")
    time.set_ylabel(f"time of a step, in steps of D = {points[0].weights:,}")
    for axes in (memory, time):
        linear(axes, points[0].weights)
    figure.savefig(path, dpi=150)


def linear(axes: Axes, start: int) -> None:
    """Both axes logarithmic, a line of slope 1 through the last of the first curve, and a legend."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes, values = (list(map(float, data)) for data in axes.lines[0].get_data())
    ends = [start, sizes[-1]]
    through = [values[-1] * end / sizes[-1] for end in ends]
    axes.plot(ends, through, "--", color=PALE, lw=1, zorder=0, label="slope 1")
    axes.set_xlabel("weights of the network, D")
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
