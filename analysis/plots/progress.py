"""How the sweep got on: hypervolume, or the best value, over finished trials."""

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from analysis.colours import PALETTE
from analysis.format import number, with_unit
from analysis.frames import SweepFrames
from analysis.pareto import sweep_hypervolume_series
from analysis.plots.theme import (
    NEUTRAL,
    add_line,
    axis,
    by_group,
    framed,
    hover,
    styled,
)
from analysis.ranking import column, records, where

HEIGHT_PX = 340
SPENT = "trial_cpu_s"
"""Metric of a trial: processor time of all its nodes [s]."""
COST_TITLE = "processor time of finished trials [core s]"


def progress_series(frames: SweepFrames) -> list[tuple[int, float]]:
    """Return pairs (finished trials, hypervolume) after each finished trial, as they ended."""
    return list(enumerate(_as_they_ended(frames)[1], start=1))


def volume_over_cost(frames: SweepFrames) -> list[tuple[float, float]]:
    """Return pairs (processor time [core s], hypervolume) after each finished trial, as they ended.

    The time is that of all nodes of the finished trials, ``trial_cpu_s`` summed; what trials took
    that failed or were stopped early nobody has measured. Empty if a finished trial lacks it.
    """
    order, volumes = _as_they_ended(frames)
    spent = np.cumsum([float(row.get(SPENT, math.nan)) for row in order])
    return list(zip(spent.tolist(), volumes, strict=True)) if np.isfinite(spent).all() else []


def _as_they_ended(frames: SweepFrames) -> tuple[list[dict[str, Any]], list[float]]:
    """Return the finished trials in the order in which they ended, and the hypervolume then."""
    finished = where(frames.trials, frames.trials["state"] == "COMPLETE")
    order = sorted(records(finished), key=lambda row: (row["ended_ms"] or 0, row["number"]))
    metrics = [goal.metric for goal in frames.study.objectives]
    feasible = {int(number) for number in frames.feasible["number"]}
    counts = [int(row["number"]) in feasible for row in order]
    points = [[row[name] for name in metrics] for row, on in zip(order, counts, strict=True) if on]
    volumes = [0.0, *sweep_hypervolume_series(points, frames.study.objectives)]
    return order, [volumes[number] for number in np.cumsum(counts)]


def volume_unit(frames: SweepFrames) -> str:
    """Return the unit of the hypervolume, for example ``dB x decades of FLOPs``."""
    parts = []
    for objective in frames.study.objectives:
        unit = objective.unit or objective.label
        parts.append(f"decades of {unit}" if objective.scale == "log" else unit)
    return " × ".join(parts)


def reference_text(frames: SweepFrames) -> str:
    """Return the reference point of the hypervolume, with labels and units."""
    goals = frames.study.objectives
    return ", ".join(with_unit(f"{o.label} {number(o.reference)}", o.unit) for o in goals)


def volume_title(frames: SweepFrames) -> str:
    """Return the title of an axis of hypervolume."""
    return f"hypervolume, validation\n[{volume_unit(frames)}]"


def hypervolume_figure(frames: SweepFrames) -> go.Figure:
    """Return the hypervolume over finished trials, as steps."""
    series = [(step, value) for step, value in progress_series(frames) if math.isfinite(value)]
    texts = [f"{step} finished: {number(value)}" for step, value in series]
    return _steps(frames, series, texts, "finished trials")


def volume_cost_figure(frames: SweepFrames) -> go.Figure | None:
    """Return the hypervolume over processor time, as steps; None if the time is not known."""
    series = volume_over_cost(frames)
    if not series:
        return None
    texts = [f"{number(round(spent))} core s: {number(value)}" for spent, value in series]
    return _steps(frames, series, texts, COST_TITLE)


def _steps(
    frames: SweepFrames, series: Sequence[tuple[float, float]], texts: Sequence[str], title: str
) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=[step for step, _ in series],
        y=[value for _, value in series],
        mode="lines+markers" if len(series) < 80 else "lines",
        line={"shape": "hv", "color": PALETTE[0], "width": 2},
        marker={"size": 5},
        hovertext=texts,
        hoverinfo="text",
        showlegend=False,
    )
    axes = {"xaxis": axis(title), "yaxis": axis(volume_title(frames))}
    return styled(figure, height=HEIGHT_PX, **axes)


def history_figure(frames: SweepFrames) -> go.Figure:
    """Return the only objective over the trial numbers, with the best so far."""
    objective = frames.study.objectives[0]
    trials = frames.feasible
    best = np.minimum if objective.direction == "minimize" else np.maximum
    figure = go.Figure()
    for name, colour, rows in by_group(frames, trials):
        figure.add_scatter(
            x=rows["number"].tolist(),
            y=rows[objective.metric].tolist(),
            mode="markers",
            name=html.escape(name),
            marker={"color": colour, "size": 9},
            hovertext=[hover(row, frames) for row in records(rows)],
            hoverinfo="text",
        )
    running = best.accumulate(column(trials, objective.metric))
    line = {"shape": "hv", "color": NEUTRAL, "width": 2}
    add_line(figure, (trials["number"].tolist(), running), "best so far", line=line)
    return framed(figure, "trial", objective, height=HEIGHT_PX)
