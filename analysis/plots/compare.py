"""Sweeps beside each other: fronts in one figure, and where one attains more than another."""

import html
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np
import plotly.graph_objects as go

from analysis.attainment import attainment_difference
from analysis.colours import PALETTE
from analysis.frames import SweepFrames
from analysis.fronts import test_metric
from analysis.pareto import Floats, transformed
from analysis.plots.front import HEIGHT_PX
from analysis.plots.stairs import Pair, median_stairs, pair_sets, staircase
from analysis.plots.theme import SYMBOLS, add_line, framed, hover
from analysis.ranking import column, records
from search_spaces.objectives import Objective

PALEST, DARKEST = 0.12, 0.6
"""Opacity of the smallest and of the largest difference."""


def compare_figure(sweeps: Sequence[SweepFrames], pair: Pair) -> go.Figure:
    """Return the trials of all sweeps and what each attains, for two objectives."""
    figure = go.Figure()
    styles = zip(cycle(PALETTE), cycle(SYMBOLS), strict=False)
    for frames, (colour, symbol) in zip(sweeps, styles, strict=False):
        rows = frames.feasible
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
        add_line(
            figure,
            staircase(rows, pair),
            f"{frames.name}: attained",
            legendgroup=frames.name,
            showlegend=False,
            line={"color": colour, "width": 2},
        )
    return framed(figure, pair.x, pair.y, height=HEIGHT_PX)


def attainment_figure(one: SweepFrames, other: SweepFrames, pair: Pair) -> go.Figure:
    """Return where one of two sweeps attains more often than the other, and their median stairs.

    Both have two objectives and repeated trials; values are those of the test split.
    """
    figure = go.Figure()
    sets = [pair_sets(frames) for frames in (one, other)]
    patches = attainment_difference(sets[0], sets[1], [pair.x.direction, pair.y.direction])
    patches = _closed(patches, np.concatenate([*sets[0], *sets[1]]), pair)
    for share in np.unique(patches[:, 4]):
        frames, colour = (one, PALETTE[0]) if share > 0.0 else (other, PALETTE[1])
        _add_patches(figure, patches[patches[:, 4] == share], frames.name, colour)
    for frames, colour in ((one, PALETTE[0]), (other, PALETTE[1])):
        name = f"{html.escape(frames.name)}: attained by half of its seeds"
        line = {"color": colour, "width": 2}
        add_line(figure, median_stairs(frames, pair), name, line=line)
    return framed(figure, _on_test(pair.x), _on_test(pair.y), height=HEIGHT_PX)


def _on_test(objective: Objective) -> Objective:
    return replace(objective, metric=test_metric(objective) or objective.metric)


def _closed(patches: Floats, points: Floats, pair: Pair) -> Floats:
    """Return the rectangles, the endless ones up to a little beyond the worst of the points."""
    closed = patches.copy()
    for place, objective in enumerate((pair.x, pair.y)):
        log = objective.scale == "log"
        sign = 1.0 if objective.direction == "minimize" else -1.0
        costs = sign * transformed(points[:, [place]], [objective])[:, 0]
        end = sign * (costs.max() + 0.05 * (np.ptp(costs) or 1.0))
        far = closed[:, place + 2]
        far[np.isinf(far)] = 10.0**end if log else end
    return closed


def _add_patches(figure: go.Figure, patches: Floats, name: str, colour: str) -> None:
    """Draw rectangles of one difference as one shape."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for x0, y0, x1, y1, _ in patches.tolist():
        xs += [x0, x1, x1, x0, x0, None]
        ys += [y0, y0, y1, y1, y0, None]
    share = abs(float(patches[0, 4]))
    figure.add_scatter(
        x=xs,
        y=ys,
        mode="lines",
        line={"width": 0, "color": colour},
        fill="toself",
        fillcolor=colour,
        opacity=PALEST + (DARKEST - PALEST) * share,
        name=f"{html.escape(name)}: {100.0 * share:.0f} % more of its seeds",
        hoverinfo="name",
    )
