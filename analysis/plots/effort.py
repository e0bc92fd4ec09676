"""What training buys: the first objective against the computation of the student's training."""

import html

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.distillation import SPENT, gflop, spent
from analysis.format import level
from analysis.frames import SweepFrames
from analysis.fronts import confirmed, test_metric
from analysis.plots.theme import (
    add_line,
    axis,
    by_group,
    draw_floors,
    hover,
    objective_axis,
    styled,
)
from analysis.ranking import column, records, where

HEIGHT_PX = 400


def effort_figure(frames: SweepFrames) -> go.Figure | None:
    """Return each method's best by computation on validation, and repetitions on test.

    A line is what a method has reached with so much computation or less; diamonds are means of
    repeated trials on the test split with their 95 % intervals. None if fewer than two methods
    noted their computation.
    """
    objective, trials = frames.study.objectives[0], frames.feasible
    known = where(trials, (spent(row) is not None for row in records(trials)))
    groups = by_group(frames, known)
    if len(groups) < 2:
        return None
    figure = go.Figure()
    for name, colour, rows in groups:
        _add_trials(figure, frames, rows, name, colour)
        _add_repetitions(figure, frames, rows, name, colour)
    draw_floors(figure, None, objective)
    return styled(
        figure,
        height=HEIGHT_PX,
        xaxis=axis("training of the student [GFLOP]", log=True),
        yaxis=objective_axis(objective, with_test=True),
    )


def _add_trials(
    figure: go.Figure, frames: SweepFrames, rows: pd.DataFrame, name: str, colour: str
) -> None:
    objective = frames.study.objectives[0]
    order = np.argsort(column(rows, SPENT), kind="stable")
    rows = rows.iloc[order]
    x, y = column(rows, SPENT), column(rows, objective.metric)
    best = np.minimum if objective.direction == "minimize" else np.maximum
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        legendgroup=name,
        showlegend=False,
        marker={"color": colour, "size": 7, "opacity": 0.38},
        hovertext=[f"{hover(row, frames)}<br>{_training(row)}" for row in records(rows)],
        hoverinfo="text",
    )
    line = {"color": colour, "shape": "hv", "width": 2}
    add_line(figure, (x, best.accumulate(y)), html.escape(name), legendgroup=name, line=line)


def _add_repetitions(
    figure: go.Figure, frames: SweepFrames, rows: pd.DataFrame, name: str, colour: str
) -> None:
    metric = test_metric(frames.study.objectives[0])
    found = [(row, confirmed(frames, int(row["number"]), metric or "")) for row in records(rows)]
    points = [(row, interval) for row, interval in found if interval is not None]
    unit = frames.study.objectives[0].unit
    figure.add_scatter(
        x=[row[SPENT] for row, _ in points],
        y=[interval.mean for _, interval in points],
        error_y={"array": [interval.half_width or 0.0 for _, interval in points], "width": 4},
        mode="markers",
        legendgroup=name,
        showlegend=False,
        marker={"color": colour, "size": 10, "symbol": "diamond-open", "line": {"width": 2}},
        hovertext=[
            f"<b>trial {int(row['number'])}</b> on test: {html.escape(level(interval, unit))}"
            f"<br>{_training(row)}"
            for row, interval in points
        ],
        hoverinfo="text",
    )


def _training(row: dict[str, object]) -> str:
    return html.escape(f"training: {gflop(spent(row) or 0.0)}")
