"""Fronts of several sweeps in one figure: trials in the background, attainment in front."""

from collections.abc import Sequence
from itertools import cycle

import plotly.graph_objects as go

from analysis.frames import SweepFrames
from analysis.fronts import feasible_trials
from analysis.plots.front import HEIGHT_PX
from analysis.plots.stairs import Pair, staircase
from analysis.plots.theme import PALETTE, SYMBOLS, axis, axis_title, hover, styled
from analysis.ranking import column, records


def compare_figure(sweeps: Sequence[SweepFrames], pair: Pair) -> go.Figure:
    """Return the trials of all sweeps and what each attains, for two objectives."""
    figure = go.Figure()
    styles = zip(cycle(PALETTE), cycle(SYMBOLS), strict=False)
    for frames, (colour, symbol) in zip(sweeps, styles, strict=False):
        rows = feasible_trials(frames)
        figure.add_scatter(
            x=column(rows, pair.x.metric),
            y=column(rows, pair.y.metric),
            mode="markers",
            name=frames.name,
            legendgroup=frames.name,
            marker={"color": colour, "symbol": symbol, "size": 7, "opacity": 0.45},
            text=[hover(row, frames) for row in records(rows)],
            hoverinfo="text",
        )
        x, y = staircase(rows, pair)
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            name=f"{frames.name}: attained",
            legendgroup=frames.name,
            showlegend=False,
            line={"color": colour, "width": 2},
            hoverinfo="skip",
        )
    figure.update_xaxes(axis(axis_title(pair.x), log=pair.x.scale == "log"))
    figure.update_yaxes(axis(axis_title(pair.y), log=pair.y.scale == "log"))
    return styled(figure, height=HEIGHT_PX)
