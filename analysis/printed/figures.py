"""Figures for one column of a two-column paper, drawn by matplotlib."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from analysis.colours import PALETTE
from analysis.frames import SweepFrames
from analysis.front_png import add_legend, draw_front, in_lines, plain
from analysis.importance import Importance, by_weight, importances
from analysis.plots.progress import (
    COST_TITLE,
    progress_series,
    reference_text,
    volume_over_cost,
    volume_title,
)
from analysis.plots.stairs import pairs

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

WIDTH_IN = 3.5
"""Width of a column [inch]."""

STYLE: "dict[RcKeyType, Any]" = {
    # a Times, as the text of such papers, that comes with matplotlib
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.handlelength": 1.6,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.0,
    "legend.labelspacing": 0.3,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    # TrueType: publishers refuse type 3
    "pdf.fonttype": 42,
    "savefig.dpi": 300.0,
}
"""Settings of matplotlib under which the figures are drawn and saved: letters of 8 pt."""


def sweep_figures(frames: SweepFrames) -> Iterator[tuple[str, Figure]]:
    """Yield name and figure: front for every pair of objectives, hypervolume, importance.

    Those are left out for which the sweep has no numbers. To be called, drawn and saved with
    ``STYLE``.
    """
    if not len(frames.feasible):
        return
    shown = pairs(frames.study.objectives)
    for index, pair in enumerate(shown, start=1):
        figure, axes = _column(3.9)
        draw_front(axes, frames, pair, scale=0.65)
        add_legend(figure, 2)
        yield "front" if len(shown) == 1 else f"front-{index}", figure
    yield "hypervolume", _volume(frames, progress_series(frames), "finished trials")
    spent = volume_over_cost(frames)
    if spent:
        yield "hypervolume-cost", _volume(frames, spent, COST_TITLE)
    known = [found for found in importances(frames) if found.shares]
    if known:
        yield "importance", _importance(known)


def _column(height_in: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    return figure, figure.add_subplot()


def _volume(frames: SweepFrames, series: Sequence[tuple[float, float]], title: str) -> Figure:
    figure, axes = _column(2.2)
    xs, ys = zip(*series, strict=True)
    axes.step(xs, ys, where="post", color=PALETTE[0], linewidth=1.2)
    axes.set_title(plain(f"reference point: {reference_text(frames)}"), wrap=True)
    axes.set_xlabel(title)
    axes.set_ylabel(in_lines(volume_title(frames)))
    axes.grid(color="#e4e7eb", linewidth=0.5)
    return figure


def _importance(known: Sequence[Importance]) -> Figure:
    names = by_weight(known)
    figure, axes = _column(0.9 + (0.1 + 0.12 * len(known)) * len(names))
    places, thick = np.arange(len(names)), 0.8 / len(known)
    for index, found in enumerate(known):
        shares = [found.shares.get(name, 0.0) for name in names]
        shift = (index - (len(known) - 1) / 2) * thick
        label = plain(found.objective.label)
        axes.barh(places + shift, shares, thick, color=PALETTE[index % len(PALETTE)], label=label)
    axes.set_yticks(places, [plain(name.replace("_", " ")) for name in names])
    axes.set_xlabel("share of the importance")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.tick_params(axis="y", length=0)
    add_legend(figure, 2)
    return figure
