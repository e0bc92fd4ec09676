"""Parallel coordinates: every trial a line over the searched parameters and the objectives.

Drawn as plain lines: plotly's own parallel coordinates need WebGL, know no missing values and show
no hover text.
"""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from analysis.format import short
from analysis.frames import SweepFrames
from analysis.fronts import group_of, method_of, searched_params
from analysis.plots.theme import group_colours, hover, styled, title_lines
from analysis.ranking import records

HEIGHT_PX = 460
TITLE_ROOM = 18
"""Room of an axis title in a line [characters]."""

MOST_LINES = 300
_ABSENT = -0.16
"""Height at which a line passes an axis whose parameter the trial does not have."""


@dataclass(frozen=True, slots=True)
class Coordinate:
    """One vertical axis.

    Attributes:
        heights: Height of every trial, 0 to 1; None where the trial has no value.
        ticks: Height and text of the labels.
    """

    name: str
    heights: tuple[float | None, ...]
    ticks: tuple[tuple[float, str], ...]


def shown_trials(frames: SweepFrames) -> list[dict[str, Any]]:
    """Return the trials drawn: all, or the best-ranked ``MOST_LINES``; the front last, on top."""
    rows = records(frames.feasible)
    rows.sort(key=lambda row: (math.inf if row["rank"] is None else row["rank"], row["number"]))
    return rows[:MOST_LINES][::-1]


def coordinates(rows: Sequence[Mapping[str, Any]], frames: SweepFrames) -> list[Coordinate]:
    """Return one axis per varied parameter, then one per objective."""
    values = [{"method": method_of(row), **searched_params(row, frames.study)} for row in rows]
    found = [
        coordinate(name, [entry.get(name) for entry in values], log=_is_log(frames, name))
        for name in dict.fromkeys(name for entry in values for name in entry)
    ]
    varied = [axis for axis in found if len(set(axis.heights)) > 1]
    for objective in frames.study.objectives:
        unit = f" [{objective.unit}]" if objective.unit else ""
        data = [row.get(objective.metric) for row in rows]
        data = [value if value is None else max(value, objective.floor) for value in data]
        varied.append(coordinate(objective.label + unit, data, log=objective.scale == "log"))
    return varied


def coordinate(name: str, values: Sequence[Any], *, log: bool) -> Coordinate:
    """Return one axis of numbers, also by their logarithm, or categories: one or None per trial."""
    present = [value for value in values if value is not None]
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in present):
        return _numeric(name, values, [float(value) for value in present], log=log)
    levels = sorted({str(value) for value in present})
    places = {level: (i + 0.5) / len(levels) for i, level in enumerate(levels)}
    heights = tuple(None if value is None else places[str(value)] for value in values)
    return Coordinate(name, heights, tuple((place, level) for level, place in places.items()))


def _numeric(
    name: str, values: Sequence[Any], present: Sequence[float], *, log: bool
) -> Coordinate:
    def place(value: float) -> float:
        return math.log10(value) if log else value

    if not present:
        return Coordinate(name, tuple(None for _ in values), ())
    low, high = place(min(present)), place(max(present))
    width = high - low or 1.0
    heights = tuple(None if v is None else (place(float(v)) - low) / width for v in values)
    levels = sorted(set(present))
    if len(levels) <= 5:  # few values are read better one by one
        ticks = tuple(((place(level) - low) / width, short(level)) for level in levels)
        return Coordinate(name, heights, ticks)
    middle = (low + high) / 2.0
    ends = [(0.0, low), (0.5, middle), (1.0, high)]
    ticks = tuple((at, short(10.0**value if log else value)) for at, value in ends)
    return Coordinate(name, heights, ticks)


def _is_log(frames: SweepFrames, name: str) -> bool:
    space = frames.study.space
    return name in space.names and getattr(space.parameters[name], "log", False) is True


def parallel_figure(frames: SweepFrames) -> go.Figure:
    """Return the figure; lines dip below an axis whose parameter they do not have."""
    rows = shown_trials(frames)
    axes = coordinates(rows, frames)
    figure, group = go.Figure(), group_of(frames)
    for name, colour in group_colours(frames).items():
        mine = [i for i, row in enumerate(rows) if group(row) == name]
        for front in (False, True):
            chosen = [i for i in mine if (rows[i].get("front") is True) == front]
            lines = [(i, hover(rows[i], frames)) for i in chosen]
            width, opacity, size = (2.4, 0.95, 6) if front else (1.0, 0.28, 3)
            if chosen:
                figure.add_scatter(
                    **_lines(axes, lines),
                    mode="lines+markers",
                    hoverinfo="text",
                    legendgroup=name,
                    line={"color": colour, "width": width},
                    opacity=opacity,
                    marker={"color": colour, "size": size},
                    name=html.escape(name),
                    # one entry per group switches both its traces
                    showlegend=front or not any(rows[i].get("front") is True for i in mine),
                )
    _add_axes(figure, axes)
    return styled(figure, height=HEIGHT_PX)


def _lines(axes: Sequence[Coordinate], chosen: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """Return the points of some trials, with their texts."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    for index, text in chosen:
        heights = [axis.heights[index] for axis in axes]
        # a gap at the end, so that the next trial starts a new line
        xs += [*range(len(axes)), None]
        ys += [*(_ABSENT if height is None else height for height in heights), None]
        texts += [*[text] * len(axes), ""]
    return {"x": xs, "y": ys, "hovertext": texts}


def _add_axes(figure: go.Figure, axes: Sequence[Coordinate]) -> None:
    absent = any(height is None for axis in axes for height in axis.heights)
    line = {"type": "line", "y0": 0, "y1": 1, "line": {"width": 1, "color": "#9aa1ab"}}
    labels = [
        _label(position, height, text, last=position == len(axes) - 1)
        for position, axis in enumerate(axes)
        for height, text in axis.ticks
    ]
    if absent:
        labels.append({**_label(0, _ABSENT, "not used", last=False), "xshift": 0})
    # all at once: plotly checks every label again whenever one is added
    figure.update_layout(
        shapes=[{**line, "x0": position, "x1": position} for position in range(len(axes))],
        annotations=labels,
        xaxis={
            "tickvals": list(range(len(axes))),
            "ticktext": [_title(axis.name) for axis in axes],
            "tickangle": 0 if len(axes) <= 7 else -30,
            "range": [-0.15, max(len(axes) - 0.85, 0.5)],
            "showgrid": False,
            "zeroline": False,
            "automargin": True,
        },
        yaxis={"visible": False, "range": [_ABSENT - 0.06 if absent else -0.05, 1.05]},
    )


def _label(position: int, height: float, text: str, *, last: bool) -> dict[str, Any]:
    return {
        "x": position,
        "y": height,
        "text": html.escape(_cut(text)),
        "showarrow": False,
        "xanchor": "right" if last else "left",
        "xshift": -5 if last else 5,
        "font": {"size": 10.5},
        "borderpad": 1,
    }


def _cut(text: str) -> str:
    return text if len(text) <= 18 else f"{text[:17]}…"


def _title(name: str) -> str:
    head, bracket, unit = name.partition(" [")
    lines = title_lines(head.replace("_", " "), TITLE_ROOM)
    return "<br>".join(map(html.escape, [*lines, f"[{unit}"] if bracket else lines))
