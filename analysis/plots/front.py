"""The front for two objectives: trials, attainment staircase, baselines, teachers, test results."""

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from analysis.format import interval as interval_text
from analysis.format import number, with_unit
from analysis.frames import SweepFrames
from analysis.fronts import (
    by_topology,
    confirmed,
    front_trials,
    group_of,
    kind_of,
    knee_trial,
    method_of,
    split_label,
    test_metric,
    untaught,
)
from analysis.plots.references import add_references
from analysis.plots.stairs import Pair, add_attainment, staircase
from analysis.plots.theme import (
    NEUTRAL,
    SYMBOLS,
    add_line,
    by_group,
    draw_floors,
    group_colours,
    hover,
    method_symbols,
    objective_axis,
    styled,
)
from analysis.ranking import column, records, where
from analysis.repeats import near_trials
from analysis.stats import Interval
from search_spaces.objectives import Objective

HEIGHT_PX = 520
MOST_LABELLED = 1e3
"""Ratio of the ends of a logarithmic axis above which only decades are labelled."""

TESTED = {
    True: ("front on test, 95 % interval", 11, 1.0),
    False: ("off the front, on test", 8, 0.55),
}
"""Name, size and opacity of test results, by whether the trial is on the front."""


@dataclass(frozen=True, slots=True)
class TestPoint:
    """A repeated trial on the test split; an objective without a test metric keeps its value."""

    __test__ = False

    group: str
    on_front: bool
    x: Interval
    y: Interval
    text: str


def repeated_points(frames: SweepFrames, pair: Pair) -> list[TestPoint]:
    """Return the confirmed trials, those of the front first, with mean and interval over seeds."""
    found, group = [], group_of(frames)
    for row in [*records(front_trials(frames)), *records(near_trials(frames))]:
        x, y = (_on_test(frames, row, objective) for objective in (pair.x, pair.y))
        if x is None or y is None or max(x.count, y.count) == 0:
            continue
        lines = [f"<b>trial {int(row['number'])}</b> · {html.escape(kind_of(row))}"]
        for objective, value in ((pair.y, y), (pair.x, x)):
            seeds = f" ({value.count} seeds)" if value.count else ""
            split = "test " if value.count else ""
            text = interval_text(value) if value.count else number(value.mean)
            shown = with_unit(text, objective.unit)
            lines.append(html.escape(f"{split}{objective.label}: {shown}{seeds}"))
        on = row["front"] is True
        found.append(TestPoint(group(row), on, x, y, "<br>".join(lines)))
    return found


def _on_test(frames: SweepFrames, row: dict[str, Any], objective: Objective) -> Interval | None:
    metric = test_metric(objective)
    if metric is None:
        # costs do not depend on the split: count 0 marks a value that was not repeated
        return Interval(float(row[objective.metric]), None, 0)
    return confirmed(frames, int(row["number"]), metric)


def front_figure(frames: SweepFrames, pair: Pair) -> go.Figure:
    """Return the scatter of two objectives, on validation unless marked as test."""
    figure = go.Figure()
    _add_trials(figure, frames, pair, on_front=False)
    _add_stairs(figure, frames, pair)
    _add_legend(figure, frames)
    add_attainment(figure, frames, pair)
    _add_trials(figure, frames, pair, on_front=True)
    _add_tests(figure, frames, pair)
    _add_knee(figure, frames, pair)
    add_references(figure, frames, pair.x, pair.y)
    draw_floors(figure, pair.x, pair.y)
    tested = bool(repeated_points(frames, pair))
    x, y = (_axis(frames, goal, tested=tested) for goal in (pair.x, pair.y))
    return styled(figure, height=HEIGHT_PX, xaxis=x, yaxis=y)


def _axis(frames: SweepFrames, objective: Objective, *, tested: bool) -> dict[str, Any]:
    values = column(frames.feasible, objective.metric)
    wide = bool(values.max(initial=0.0) > MOST_LABELLED * values.min(initial=np.inf))
    return objective_axis(objective, with_test=tested, wide=wide)


def _add_legend(figure: go.Figure, frames: SweepFrames) -> None:
    """Add what colours and markers mean, each apart from the other.

    The traces themselves cannot: their entries would show the marker of their first trial.
    """
    entries: list[tuple[str, str | None, dict[str, Any]]] = [
        (name, name, {"color": colour, "size": 12, "symbol": SYMBOLS[0]})
        for name, colour, _ in by_group(frames, frames.feasible)
    ]
    symbols = method_symbols(frames)
    if len(set(symbols.values())) > 1:
        entries += [
            (name, None, {"color": NEUTRAL, "size": 10, "symbol": symbol})
            for name, symbol in symbols.items()
        ]
    for name, group, marker in entries:
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=html.escape(name),
            legendgroup=group,
            marker=marker,
            hoverinfo="skip",
        )


def _add_trials(figure: go.Figure, frames: SweepFrames, pair: Pair, *, on_front: bool) -> None:
    """Draw the trials on the front, or those off it."""
    trials = frames.feasible
    marker: dict[str, Any] = {"size": 12, "line": {"width": 1.5, "color": "white"}}
    if not on_front:
        # with several markers, small or faint ones are indistinguishable
        size, opacity = (9, 0.5) if by_topology(frames) else (7, 0.38)
        marker = {"size": size, "opacity": opacity}
    drawn = where(trials, ((flag is True) == on_front for flag in trials["front"]))
    symbols = method_symbols(frames)
    for name, colour, rows in by_group(frames, drawn):
        shapes = [symbols[method_of(row)] for row in records(rows)]
        figure.add_scatter(
            x=column(rows, pair.x.metric),
            y=column(rows, pair.y.metric),
            mode="markers",
            name=html.escape(name) if on_front else f"{html.escape(name)}, dominated",
            legendgroup=name,
            showlegend=False,
            marker={"color": colour, "symbol": shapes, **marker},
            hovertext=[hover(row, frames) for row in records(rows)],
            hoverinfo="text",
        )


def _add_stairs(figure: go.Figure, frames: SweepFrames, pair: Pair) -> None:
    trials = frames.feasible
    split = split_label(pair.y) or split_label(pair.x)
    # with more objectives the staircase is the front of the two that are drawn
    name = "front" if len(frames.study.objectives) == 2 else "front of these two"
    name += f" ({split})" if split else ""
    lines = [(name, trials, {"color": NEUTRAL, "width": 2})]
    plain = where(trials, map(untaught, records(trials)))
    if 0 < len(plain) < len(trials):
        line = {"color": NEUTRAL, "width": 1.5, "dash": "dot"}
        lines.append(("front of students without a teacher", plain, line))
    for name, rows, line in lines:
        add_line(figure, staircase(rows, pair), name, line=line)


def _add_tests(figure: go.Figure, frames: SweepFrames, pair: Pair) -> None:
    found, colours = repeated_points(frames, pair), group_colours(frames)
    for on_front, (name, size, opacity) in TESTED.items():
        points = [point for point in found if point.on_front == on_front]
        if not points:
            continue
        figure.add_scatter(
            x=[point.x.mean for point in points],
            y=[point.y.mean for point in points],
            error_x=_bars([point.x for point in points]),
            error_y=_bars([point.y for point in points]),
            mode="markers",
            name=name,
            opacity=opacity,
            marker={
                "symbol": "diamond-open",
                "size": size,
                "color": [colours[point.group] for point in points],
                "line": {"width": 2},
            },
            hovertext=[point.text for point in points],
            hoverinfo="text",
        )


def _add_knee(figure: go.Figure, frames: SweepFrames, pair: Pair) -> None:
    """Ring the front's knee, of all objectives together, also where only two of them are drawn."""
    trials = front_trials(frames)
    rows = where(trials, (number == knee_trial(frames) for number in trials["number"]))
    if len(frames.study.objectives) < 2 or len(trials) < 2:
        return
    figure.add_scatter(
        x=column(rows, pair.x.metric),
        y=column(rows, pair.y.metric),
        mode="markers",
        name="knee of the front",
        marker={"symbol": "circle-open", "size": 20, "color": NEUTRAL, "line": {"width": 2}},
        hoverinfo="skip",
    )


def _bars(values: list[Interval]) -> dict[str, Any]:
    widths = [value.half_width or 0.0 for value in values]
    return {"type": "data", "array": widths, "visible": any(widths), "color": NEUTRAL, "width": 5}
