"""The front as a picture, drawn by matplotlib: needs no browser."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.format import short
from analysis.frames import SweepFrames
from analysis.fronts import knee_trial, method_of
from analysis.plots.front import MOST_LABELLED, TESTED, repeated_points
from analysis.plots.references import middle_of
from analysis.plots.stairs import COLOUR as ATTAINED
from analysis.plots.stairs import Pair, attained, pairs, staircase
from analysis.plots.theme import (
    BASELINE,
    NEUTRAL,
    SYMBOLS,
    TEACHER,
    axis_title,
    by_group,
    group_colours,
    method_symbols,
    title_lines,
)
from analysis.ranking import column, records
from analysis.reference_names import short_labels
from search_spaces.objectives import Objective

MOST_PAIRS = 6
_MARKERS = dict(zip(SYMBOLS, ("o", "^", "P", "p", "v", "X", "h"), strict=True))
_LINES = {"solid": "-", "dash": "--", "dot": ":"}
_DPI = 150


def write_png(frames: SweepFrames, path: Path) -> None:
    """Draw the front for every pair of objectives, at most ``MOST_PAIRS``."""
    shown = pairs(frames.study.objectives)[:MOST_PAIRS]
    columns = max(1, min(len(shown), 3))
    lines = max(1, -(-len(shown) // columns))
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        size = (7.6 if columns == 1 else 5.4 * columns, 4.9 * lines)
        figure = Figure(figsize=size, layout="constrained", dpi=_DPI)
        figure.suptitle(plain(f"{frames.study.title}: {frames.name}"), fontsize=11, wrap=True)
        if shown and len(frames.feasible):
            for index, pair in enumerate(shown, start=1):
                draw_front(figure.add_subplot(lines, columns, index), frames, pair, scale=1.0)
            add_legend(figure, 4 if columns > 1 else 3)
        else:
            text = "no finished trial" if shown else "one objective: see report.html"
            figure.text(0.5, 0.5, text, ha="center", color="#555555", fontsize=13)
        figure.savefig(path)


def draw_front(axes: Axes, frames: SweepFrames, pair: Pair, *, scale: float) -> None:
    """Draw two objectives of all trials: front, stairs, knee, test results, references."""
    _draw_trials(axes, frames, pair, scale)
    for corners, name, dash in attained(frames, pair):
        dashes = _LINES[dash]
        axes.plot(*corners, color=ATTAINED, linewidth=1.1, linestyle=dashes, label=name, zorder=2)
    _draw_tests(axes, frames, pair, scale)
    for rows, kind, marker, colour in (
        (frames.baselines, "baseline", "s", BASELINE),
        (frames.teachers, "teacher", "*", TEACHER),
    ):
        names = short_labels(rows, kind)
        xs = np.maximum(column(rows, pair.x.metric), pair.x.floor)
        ys = np.maximum(column(rows, pair.y.metric), pair.y.floor)
        size = scale**2 * (110 if kind == "teacher" else 42)
        there = kind if (np.isfinite(xs) & np.isfinite(ys)).any() else ""
        axes.scatter(xs, ys, s=size, marker=marker, color=colour, label=there, zorder=4)
        for x, y, name in zip(xs, ys, names, strict=True):
            if np.isfinite(x) and np.isfinite(y):
                left = x >= middle_of(frames, pair.x)
                axes.annotate(
                    name,
                    (x, y),
                    xytext=(-6 if left else 6, 5),
                    textcoords="offset points",
                    ha="right" if left else "left",
                    fontsize=8,
                )
    axes.set_xlabel(in_lines(axis_title(pair.x)))
    axes.set_ylabel(in_lines(axis_title(pair.y)))
    for place, (axis, objective) in enumerate(((axes.xaxis, pair.x), (axes.yaxis, pair.y))):
        if objective.scale == "log":
            _draw_floor(axes, place, objective)
            _make_log(axes, axis)
    axes.grid(color="#e4e7eb", linewidth=0.7)
    axes.set_axisbelow(True)


def _draw_floor(axes: Axes, place: int, objective: Objective) -> None:
    """Move what is drawn below the end of a logarithmic scale, such as 0, onto that end."""
    for line in axes.lines:
        data = [np.asarray(values, dtype=float) for values in line.get_data()]
        data[place] = np.maximum(data[place], objective.floor)
        line.set_data(*data)
    for marks in axes.collections:
        offsets = np.array(marks.get_offsets(), dtype=float)
        # lines of intervals are collections, too, whose offset is no place on the axes
        if isinstance(marks, PathCollection) and offsets.size:
            offsets[:, place] = np.maximum(offsets[:, place], objective.floor)
            marks.set_offsets(offsets)


def _make_log(axes: Axes, axis: Axis) -> None:
    """Label 1, 2 and 5 of every decade, or decades alone if there are many, as 200k and not 2e5."""
    (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > MOST_LABELLED * low else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _place: short(value)))
    axis.set_minor_formatter(NullFormatter())


def _draw_trials(axes: Axes, frames: SweepFrames, pair: Pair, scale: float) -> None:
    trials = frames.feasible
    symbols, groups = method_symbols(frames), by_group(frames, trials)
    _add_kinds(axes, {name: colour for name, colour, _ in groups})
    if len(set(symbols.values())) > 1:
        _add_kinds(axes, symbols)
    for _, colour, group in groups:
        methods = np.array([*map(method_of, records(group))], dtype=object)
        front = np.array([flag is True for flag in group["front"]], dtype=bool)
        for on, style in (
            (False, {"s": 16 * scale**2, "alpha": 0.4, "linewidths": 0}),
            (True, {"s": 52 * scale**2, "edgecolors": "white", "linewidths": scale, "zorder": 3}),
        ):
            for method, symbol in symbols.items():
                rows = group[(front == on) & (methods == method)]
                if len(rows):
                    x, y = column(rows, pair.x.metric), column(rows, pair.y.metric)
                    options: dict[str, Any] = {"color": colour, **style}
                    axes.scatter(x, y, marker=_MARKERS[symbol], **options)
    xs, ys = staircase(trials, pair)
    axes.plot(xs, ys, color=NEUTRAL, linewidth=1.4, label="front (validation)", zorder=2)
    knee = trials[trials["number"] == knee_trial(frames)]
    ring: dict[str, Any] = {
        "s": 150 * scale**2,
        "facecolors": "none",
        "edgecolors": NEUTRAL,
        "zorder": 2,
    }
    x, y = column(knee, pair.x.metric), column(knee, pair.y.metric)
    axes.scatter(x, y, label="knee of the front", **ring)


def _add_kinds(axes: Axes, kinds: Mapping[str, str]) -> None:
    """Add entries to the legend: a colour or a marker for each name."""
    for name, style in kinds.items():
        marker, colour = (_MARKERS[style], NEUTRAL) if style in _MARKERS else ("o", style)
        axes.scatter([], [], s=52, marker=marker, color=colour, label=name)


def _draw_tests(axes: Axes, frames: SweepFrames, pair: Pair, scale: float) -> None:
    colours = group_colours(frames)
    for point in repeated_points(frames, pair):
        axes.errorbar(
            [point.x.mean],
            [point.y.mean],
            xerr=point.x.half_width,
            yerr=point.y.half_width,
            fmt="D",
            markerfacecolor="none",
            markersize=scale * (6 if point.on_front else 4),
            alpha=TESTED[point.on_front][2],
            color=colours[point.group],
            ecolor=NEUTRAL,
            capsize=2.5,
            label=TESTED[point.on_front][0],
        )


def add_legend(figure: Figure, columns: int) -> None:
    """Put one legend for all axes below them, every name once."""
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=8,
    )


def in_lines(title: str) -> str:
    """Return an axis title as matplotlib writes it, in lines that are not cut."""
    return plain("\n".join(title_lines(title)))


def plain(title: str) -> str:
    """Return a title as matplotlib writes it literally: it reads $...$ as mathematics."""
    return title.replace("$", r"\$")
