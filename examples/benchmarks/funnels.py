"""The picture of two guides beside a reference, where a posterior narrows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import gaussian_kde
from torch import Tensor

from bayeshyper.report.drawing.palette import LIGHT

__all__ = ["Panel", "draw"]

MUTED, RULE = LIGHT["muted"], LIGHT["rule"]
COLOURS = (LIGHT["s1"], LIGHT["s0"])
SHADE = "#c6c0b2"
# So many dots of each; more would be one blot.
DOTS = 2000


@dataclass(frozen=True)
class Panel:
    """A row of the picture: draws of a reference and of guides, as (along, up), each ``(S,)``.

    Args:
        reference: Its draws.
        source: Where they come from.
        guides: Those of each guide, by its name.
        along: What is along, in words.
        up: What is up.
        window: What is drawn: along from and to, up from and to.
    """

    reference: tuple[Tensor, Tensor]
    source: str
    guides: Mapping[str, tuple[Tensor, Tensor]]
    along: str
    up: str
    window: tuple[float, float, float, float]


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Each guide's draws over those of the reference, and how often each height is met."""
    figure = Figure(figsize=(10.4, 3.7 * len(panels)), layout="constrained", facecolor="white")
    for row, panel in zip(figure.subplots(len(panels), 3, squeeze=False), panels, strict=True):
        guides = zip(row, COLOURS, panel.guides.items(), strict=False)
        for axes, colour, (name, draws) in guides:
            cloud(axes, panel, draws, colour)
            axes.set_title(name, loc="left", fontsize=12, color=colour)
        heights(row[-1], panel)
        row[-1].set_title(f"grey: {panel.source}", loc="left", fontsize=12, color=MUTED)
        for axes in row:
            axes.set_ylim(panel.window[2:])
            tidy(axes)
        row[0].set_ylabel(panel.up)
    figure.savefig(path, dpi=125)


def cloud(axes: Axes, panel: Panel, draws: tuple[Tensor, Tensor], colour: str) -> None:
    """Draws over the reference's."""
    for (along, up), tint, alpha in ((panel.reference, SHADE, 0.55), (draws, colour, 0.35)):
        every = max(len(up) // DOTS, 1)
        axes.plot(along[::every], up[::every], "o", ms=2.6, mew=0, color=tint, alpha=alpha)
    axes.set(xlim=panel.window[:2], xlabel=panel.along)


def heights(axes: Axes, panel: Panel) -> None:
    """The density of what is up; that of a guide which knows one height alone leaves the picture."""
    grid = np.linspace(*panel.window[2:], 300)
    known = density(panel.reference[1], grid)
    axes.fill_betweenx(grid, known, color=SHADE, alpha=0.6, lw=0)
    for colour, (_, up) in zip(COLOURS, panel.guides.values(), strict=True):
        axes.plot(density(up, grid), grid, color=colour, lw=2.2)
    axes.set(xlim=(0.0, 2.5 * known.max()), xlabel=f"density of {panel.up}")


def density(values: Tensor, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """A kernel estimate."""
    return np.asarray(gaussian_kde(values.double().numpy())(grid))


def tidy(axes: Axes) -> None:
    """In the manner of the report's figures."""
    axes.grid(axis="y", color=RULE, lw=1)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0)
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(MUTED)
