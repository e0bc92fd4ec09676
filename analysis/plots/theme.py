"""What all figures share: colours and markers, fonts, margins, the text of a hover box."""

import html
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis import layout
from analysis.colours import coloured, in_study_order
from analysis.format import number, param, with_unit
from analysis.frames import SweepFrames
from analysis.fronts import (
    by_topology,
    group_of,
    kind_of,
    method_of,
    searched_params,
    split_label,
    test_metric,
    untaught,
)
from analysis.ranking import records
from search_spaces.objectives import Objective

SYMBOLS = ("circle", "triangle-up", "cross", "pentagon", "triangle-down", "x", "hexagon")
"""Markers of methods; squares, stars and diamonds are baselines, teachers and test results."""

NEUTRAL = "#7f8794"
BASELINE = "#7f8794"
TEACHER = "#B8860B"

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


TITLE_PX = 13
"""Letters of an axis title."""

TITLE_ROOM = 44
"""Room of an axis title in the lowest figure, on the page and on paper [characters]."""


def group_colours(frames: SweepFrames) -> dict[str, str]:
    """Return one colour per topology, or per method if all trials share one; equal in all figures.

    The order of the study file decides, not that of the results, so that two reports of a study
    agree in their colours.
    """
    parameter = layout.TOPOLOGY if by_topology(frames) else layout.METHOD
    found = map(group_of(frames), records(frames.trials))
    groups = in_study_order(frames.study, parameter, found)
    return coloured(groups, _untaught_methods(frames))


def _untaught_methods(frames: SweepFrames) -> set[str]:
    """Return the methods without a teacher; none where topologies set the colours."""
    rows = [] if by_topology(frames) else records(frames.trials)
    taught = {method_of(row) for row in rows if row["taught"]}
    return {method_of(row) for row in rows if untaught(row)} - taught


def method_symbols(frames: SweepFrames) -> dict[str, str]:
    """Return one marker per method where the colour is the topology's, else circles for all."""
    found = map(method_of, records(frames.trials))
    methods = in_study_order(frames.study, layout.METHOD, found)
    if not by_topology(frames):
        return dict.fromkeys(methods, SYMBOLS[0])
    return {name: SYMBOLS[i % len(SYMBOLS)] for i, name in enumerate(methods)}


def axis_title(objective: Objective, *, with_test: bool = False) -> str:
    """Return label, unit and split, for example ``NMSE [dB], validation``."""
    unit = f" [{objective.unit}]" if objective.unit and objective.unit != objective.label else ""
    split = split_label(objective)
    title = objective.label + unit + (f", {split}" if split else "")
    on_test = with_test and test_metric(objective) is not None
    return f"{title} (open diamonds: test)" if on_test else title


def draw_floors(figure: go.Figure, x: Objective | None, y: Objective | None) -> None:
    """Move what is drawn below the end of a logarithmic scale, such as 0, onto that end."""
    for trace in figure.data:
        for name, objective in (("x", x), ("y", y)):
            if objective is not None and trace[name] is not None:
                drawn = [v if v is None else max(v, objective.floor) for v in trace[name]]
                trace[name] = drawn


def hover(row: Mapping[str, Any], frames: SweepFrames) -> str:
    """Return the hover text of a trial: number, kind, objectives with split, parameters."""
    head = f"<b>trial {int(row['number'])}</b> · {html.escape(kind_of(row))}"
    if row.get("front") is True:
        head += " · on the front"
    lines = [head]
    for objective in frames.study.objectives:
        split = split_label(objective)
        value = with_unit(number(row.get(objective.metric)), objective.unit)
        name = f"{split} {objective.label}" if split else objective.label
        lines.append(f"{html.escape(name)}: <b>{html.escape(value)}</b>")
    for name, value in searched_params(row, frames.study).items():
        lines.append(f"{html.escape(name)} = {html.escape(param(value))}")
    return "<br>".join(lines)


def by_group(frames: SweepFrames, rows: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Return name, colour and rows of each group that trials are of."""
    groups = np.array([*map(group_of(frames), records(rows))], dtype=object)
    colours = group_colours(frames)
    return [(name, c, rows[groups == name]) for name, c in colours.items() if name in groups]


def add_line(figure: go.Figure, points: tuple[Any, Any], name: str, **style: Any) -> None:
    """Draw a line through x and y of points, without hover text."""
    x, y = points
    figure.add_scatter(x=x, y=y, mode="lines", name=name, hoverinfo="skip", **style)


def styled(figure: go.Figure, *, height: int, **layout: Any) -> go.Figure:
    """Return the figure with the report's fonts and margins, the legend above the plot, and axes.

    Grounds are transparent; the page adds the colours of its light or dark scheme.
    """
    figure.update_layout(
        template="none",
        height=height,
        font={"family": FONT, "size": 13},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        # tools stand in the right margin, clear of legends
        margin={"l": 70, "r": 44, "t": 16, "b": 60},
        modebar={"orientation": "v"},
        hoverlabel={"align": "left", "font": {"family": FONT, "size": 12}},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        hovermode="closest",
        **layout,
    )
    return figure


def framed(figure: go.Figure, x: Objective | str, y: Objective, *, height: int) -> go.Figure:
    """Return the figure, see `styled`, with the axes of two objectives, or of a title and one."""
    draw_floors(figure, None if isinstance(x, str) else x, y)
    across = axis(x) if isinstance(x, str) else objective_axis(x)
    return styled(figure, height=height, xaxis=across, yaxis=objective_axis(y))


def title_lines(title: str, room: int = TITLE_ROOM) -> list[str]:
    """Return a title in lines that are not cut where their axis ends."""
    return [part for line in title.splitlines() for part in textwrap.wrap(line, room)]


def objective_axis(
    objective: Objective, *, with_test: bool = False, wide: bool = False
) -> dict[str, Any]:
    """Return the layout of the axis of an objective, see `axis_title` and `axis`."""
    title = axis_title(objective, with_test=with_test)
    return axis(title, log=objective.scale == "log", wide=wide)


def axis(title: str, *, log: bool = False, wide: bool = False) -> dict[str, Any]:
    """Return the layout of one axis; a long title is put into lines.

    A logarithmic one is labelled at 1, 2 and 5 of each decade; a wide one at decades only.
    """
    text = "<br>".join(map(html.escape, title_lines(title)))
    found: dict[str, Any] = {
        "title": {"text": text, "standoff": 12, "font": {"size": TITLE_PX}},
        "automargin": True,
        "showline": True,
        "linewidth": 1,
        "ticks": "outside",
        "ticklen": 4,
        "zeroline": False,
        "showgrid": True,
    }
    if log:
        found |= {"type": "log", "dtick": 1 if wide else "D2", "tickformat": "~s"}
    return found
