"""Baselines and teachers on a plot of two objectives: labelled markers, or a line across it."""

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from analysis.format import number, with_unit
from analysis.frames import SweepFrames
from analysis.fronts import split_label
from analysis.plots.theme import BASELINE, TEACHER
from analysis.ranking import column
from analysis.reference_names import short_labels
from search_spaces.objectives import Objective

KINDS = {
    "baseline": {"symbol": "square", "size": 10, "color": BASELINE},
    "teacher": {"symbol": "star", "size": 14, "color": TEACHER},
}
"""How each kind of reference is drawn."""


def add_references(figure: go.Figure, frames: SweepFrames, x: Objective, y: Objective) -> None:
    """Draw every baseline and teacher that has a value for ``y``.

    One without a value for ``x`` (a method whose complexity is not defined) becomes a line.
    """
    tables = {"baseline": frames.baselines, "teacher": frames.teachers}
    for kind, rows in tables.items():
        marker = KINDS[kind]
        labels = map(html.escape, short_labels(rows, kind))
        data = zip(labels, column(rows, x.metric), column(rows, y.metric), strict=True)
        found = [(label, float(a), float(b)) for label, a, b in data if np.isfinite(b)]
        if points := [point for point in found if np.isfinite(point[1])]:
            names, xs, ys = zip(*points, strict=True)
            middle = middle_of(frames, x)
            figure.add_scatter(
                x=xs,
                y=ys,
                mode="markers+text",
                name=f"{kind}s" if len(points) > 1 else kind,
                text=names,
                textposition=["top left" if place >= middle else "top right" for place in xs],
                textfont={"size": 11},
                marker={**marker, "line": {"width": 1, "color": "white"}},
                hovertext=[_hover(label, ((y, b), (x, a))) for label, a, b in points],
                hoverinfo="text",
            )
        for label, place, height in found:
            if not np.isfinite(place):
                figure.add_hline(
                    y=height,
                    line={"color": marker["color"], "dash": "dash", "width": 1.2},
                    annotation={"text": label, "font": {"size": 11}},
                    annotation_position="top left",
                )


def _hover(label: str, values: Sequence[tuple[Objective, float]]) -> str:
    lines = [f"<b>{label}</b>"]
    for objective, value in values:
        shown = with_unit(number(value), objective.unit)
        lines.append(html.escape(f"{split_label(objective)} {objective.label}: {shown}".strip()))
    return "<br>".join(lines)


def middle_of(frames: SweepFrames, objective: Objective) -> float:
    """Return the middle of the axis of an objective: labels of points beyond it go to the left."""
    tables = (frames.trials, frames.baselines, frames.teachers)
    values = np.concatenate([column(rows, objective.metric) for rows in tables])
    values = values[np.isfinite(values)]
    if objective.scale == "log":
        values = np.maximum(values, objective.floor)
        return float(np.sqrt(values.min() * values.max()))
    return float((values.min() + values.max()) / 2.0)
