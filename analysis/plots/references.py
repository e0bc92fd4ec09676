"""Baselines and teachers on a plot of two objectives: labelled markers, or a line across it."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from analysis.format import number, with_unit
from analysis.frames import SweepFrames
from analysis.fronts import split_label
from analysis.plots.theme import BASELINE, TEACHER
from analysis.ranking import column
from analysis.reference_names import short_labels
from search_spaces.objectives import Objective


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of reference is drawn."""

    name: str
    symbol: str
    size: int
    colour: str


KINDS = (Kind("baseline", "square", 10, BASELINE), Kind("teacher", "star", 14, TEACHER))


@dataclass(frozen=True, slots=True)
class Reference:
    """One baseline or teacher; a coordinate that was not measured is NaN."""

    label: str
    x: float
    y: float


def add_references(figure: go.Figure, frames: SweepFrames, x: Objective, y: Objective) -> None:
    """Draw every baseline and teacher that has a value for ``y``.

    One without a value for ``x`` (a method whose complexity is not defined) becomes a line.
    """
    for rows, kind in zip((frames.baselines, frames.teachers), KINDS, strict=True):
        names = short_labels(rows, kind.name)
        data = zip(names, column(rows, x.metric), column(rows, y.metric), strict=True)
        found = [Reference(name, float(a), float(b)) for name, a, b in data if np.isfinite(b)]
        points = [reference for reference in found if np.isfinite(reference.x)]
        if points:
            _add_markers(figure, kind, points, (x, y), middle_of(frames, x))
        for reference in found:
            if not np.isfinite(reference.x):
                figure.add_hline(
                    y=reference.y,
                    line={"color": kind.colour, "dash": "dash", "width": 1.2},
                    annotation={"text": html.escape(reference.label), "font": {"size": 11}},
                    annotation_position="top left",
                )


def _add_markers(
    figure: go.Figure,
    kind: Kind,
    points: Sequence[Reference],
    objectives: tuple[Objective, Objective],
    middle: float,
) -> None:
    x, y = objectives
    figure.add_scatter(
        x=[point.x for point in points],
        y=[point.y for point in points],
        mode="markers+text",
        name=f"{kind.name}s" if len(points) > 1 else kind.name,
        text=[html.escape(point.label) for point in points],
        textposition=["top left" if p.x >= middle else "top right" for p in points],
        textfont={"size": 11},
        marker={
            "symbol": kind.symbol,
            "size": kind.size,
            "color": kind.colour,
            "line": {"width": 1, "color": "white"},
        },
        hovertext=[_hover(point, ((y, point.y), (x, point.x))) for point in points],
        hoverinfo="text",
    )


def _hover(point: Reference, values: Sequence[tuple[Objective, float]]) -> str:
    lines = [f"<b>{html.escape(point.label)}</b>"]
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
