"""Figures as PNG, with matplotlib's objects and never its global state."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from bayeshyper.report.drawing.palette import DASHES, LIGHT, N_SERIES
from bayeshyper.report.figures.figure import Band, Bars, Figure, Layer, Line, Points, Ranges, Rule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_INK, _MUTED, _GRID, _BAND = LIGHT["ink"], LIGHT["muted"], LIGHT["rule"], LIGHT["band"]


def png(figure: Figure) -> bytes:
    """Draws a figure on white, 6.4 inches wide at 160 dots per inch.

    Example:
        >>> from bayeshyper.report.figures.axes import share_axis
        >>> png(Figure("f", "F", share_axis("x"), share_axis("y"), (), "", ""))[1:4]
        b'PNG'
    """
    # Matplotlib takes half a second to import: only who draws pays for it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as MatplotlibFigure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    canvas = MatplotlibFigure(
        figsize=(6.4, 0.8 + 6.4 * figure.height / 480),
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12),
        facecolor="white",
    )
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    for depth, layer in enumerate(figure.layers):
        _draw(axes, layer, 2.0 + depth)
    axes.set_title(figure.title, loc="left", fontsize=12.5, color=_INK, pad=10, parse_math=False)
    axes.set_xlim(figure.x.low, figure.x.high)
    axes.set_ylim(figure.y.low, figure.y.high)
    axes.set_xlabel(figure.x.label, color=_MUTED, parse_math=False)
    axes.set_ylabel(figure.y.label, color=_MUTED, parse_math=False)
    axes.set_xticks([value for value, _ in figure.x.ticks], [text for _, text in figure.x.ticks])
    axes.set_yticks([value for value, _ in figure.y.ticks], [text for _, text in figure.y.ticks])
    axes.tick_params(colors=_MUTED, length=0)
    axes.grid(axis="y", color=_GRID, linewidth=1)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_MUTED)
    _legend(canvas, axes, figure)
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()


def _legend(canvas: Canvas, axes: Axes, figure: Figure) -> None:
    if not figure.legend:
        return
    drawn, labels = axes.get_legend_handles_labels()
    order = [labels.index(label) for _, _, label in figure.legend]
    legend = canvas.legend(
        [drawn[k] for k in order],
        [labels[k] for k in order],
        loc="outside lower left",
        frameon=False,
        fontsize=9,
        ncols=2,
        labelcolor=_MUTED,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _draw(axes: Axes, layer: Layer, depth: float) -> None:
    label = layer.label or "_nolegend_"
    if isinstance(layer, Band):
        axes.fill_between(
            layer.x, layer.lower, layer.upper, color=_BAND, alpha=0.6, linewidth=0, label=label, zorder=depth
        )
    elif isinstance(layer, Line):
        if layer.series < 0:
            axes.plot(layer.x, layer.y, color=_MUTED, linewidth=1.2, dashes=(4, 3), label=label, zorder=depth)
        else:
            axes.plot(
                layer.x,
                layer.y,
                color=_colour(layer.series),
                linestyle=_dashes(layer.series),
                linewidth=2.2,
                label=label,
                zorder=depth,
            )
    elif isinstance(layer, Bars):
        width = [b - a for a, b in zip(layer.left, layer.right, strict=True)]
        axes.bar(
            layer.left,
            layer.height,
            width,
            align="edge",
            color=_colour(0),
            alpha=0.8,
            edgecolor="white",
            label=label,
            zorder=depth,
        )
    elif isinstance(layer, Ranges):
        axes.vlines(layer.x, layer.lower, layer.upper, color=_BAND, linewidth=7, label=label, zorder=depth)
    elif isinstance(layer, Rule):
        dashes = "--" if layer.series % 2 else "-"
        axes.axvline(layer.x, color=_INK, linewidth=1.3, linestyle=dashes, label=label, zorder=depth)
    elif not layer.faint:
        _draw_points(axes, layer, depth)


def _draw_points(axes: Axes, layer: Points, depth: float) -> None:
    colour = _colour(layer.series)
    if layer.low:
        axes.hlines(layer.y, layer.low, layer.high, color=colour, linewidth=2, zorder=depth)
    axes.plot(
        layer.x,
        layer.y,
        "o",
        color=colour,
        markersize=6,
        markeredgecolor="white",
        label=layer.label or "_nolegend_",
        zorder=depth,
    )


def _colour(series: int) -> str:
    return LIGHT[f"s{series % N_SERIES}"]


def _dashes(series: int) -> str | tuple[int, tuple[float, ...]]:
    lengths = DASHES[series % N_SERIES]
    return (0, tuple(length / 2 for length in lengths)) if lengths else "-"
