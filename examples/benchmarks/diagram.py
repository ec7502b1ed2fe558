"""A critical-difference diagram (Demšar 2006): methods on an axis of mean ranks, bars joining those alike."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from ranks import LEVEL, Ranking

ROW, BAR, TOP = 0.30, 0.16, 1.05  # inches: between labels, between bars, and above the axis
LINE, PALE = "#1f2933", "#b0413e"


def draw(ranking: Ranking, path: Path, title: str) -> None:
    """Write the diagram; the file's ending says which format."""
    names, ranks = list(ranking.mean.index), ranking.mean.to_numpy()
    count, groups = len(names), ranking.groups()
    rows = (count + 1) // 2
    first_label = 0.15 + BAR * (len(groups) + 1)  # inches below the axis
    height = TOP + first_label + ROW * rows + 0.75
    figure = Figure(figsize=(8.0, height))
    axes = figure.add_axes((0.27, 0.0, 0.46, 1.0))
    axes.set_xlim(1, count)
    axes.set_ylim(TOP - height, TOP)  # in inches, the axis of ranks at 0
    axes.axis("off")

    axes.plot([1, count], [0, 0], color=LINE, clip_on=False)
    for tick in range(1, count + 1):
        axes.plot([tick, tick], [0, 0.08], color=LINE, clip_on=False)
        axes.text(tick, 0.12, str(tick), ha="center", va="bottom", fontsize=9)
    for position, (name, mean) in enumerate(zip(names, ranks, strict=True)):
        left = position < rows
        depth = -first_label - ROW * (position if left else count - 1 - position)
        end = 1 - 0.04 * (count - 1) if left else count + 0.04 * (count - 1)
        axes.plot([mean, mean, end], [0, depth, depth], color=LINE, lw=0.9, clip_on=False)
        label = f"{name}  {mean:.2f}" if left else f"{mean:.2f}  {name}"
        axes.text(end, depth, f" {label} ", ha="right" if left else "left", va="center", fontsize=9)
    for level, (first, last) in enumerate(groups):
        ends = [ranking.mean[first] - 0.03, ranking.mean[last] + 0.03]
        axes.plot(ends, [-0.15 - BAR * level] * 2, color=PALE, lw=3.5, solid_capstyle="round", clip_on=False)

    axes.plot([1, min(1 + ranking.difference, count)], [0.5, 0.5], color=PALE, lw=2, clip_on=False)
    axes.text(1, 0.56, f"CD = {ranking.difference:.2f}", ha="left", va="bottom", fontsize=9, color=PALE)
    figure.text(0.5, 1 - 0.05 / height, title, ha="center", va="top", fontsize=10)
    figure.text(0.5, 0.06 / height, caption(ranking), ha="center", va="bottom", fontsize=7.5, color="#52606d")
    figure.savefig(path, dpi=150)


def caption(ranking: Ranking) -> str:
    """Which test this is, and how far to trust it."""
    sets = f"{counted(ranking.blocks, 'split')} of {counted(len(ranking.data), 'data set')}"
    friedman = f" Friedman p = {ranking.p_value:.2g}." if ranking.p_value == ranking.p_value else ""
    return (
        f"Mean ranks, 1 is best: {sets} ({', '.join(ranking.data)}).{friedman}\n"
        f"Bars join what Nemenyi's test at {LEVEL:.0%} does not tell apart, each split a block of its own.\n"
        f"Splits of a data set share rows, so that CD is too small; with data sets alone it is "
        f"{ranking.data_difference:.2f}."
    )


def counted(count: int, noun: str) -> str:
    """A number of things, as in 1 split and 2 splits."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
