"""How the members of the front learned: the first objective over the epochs."""

import html

import plotly.graph_objects as go

from analysis.frames import SweepFrames
from analysis.fronts import front_trials, group_of, kind_of
from analysis.plots.theme import framed, group_colours
from analysis.ranking import records

HEIGHT_PX = 340


def curves_figure(frames: SweepFrames) -> go.Figure | None:
    """Return a line per member of the front that reported its epochs; None if none did.

    Values are on validation; the last one is that of the epoch that was kept.
    """
    if not frames.curves:
        return None
    objective, group, colours = frames.study.objectives[0], group_of(frames), group_colours(frames)
    figure, named = go.Figure(), set[str]()
    for row in records(front_trials(frames)):
        curve = frames.curves.get(int(row["number"]), ())
        if not curve:
            continue
        name = group(row)
        figure.add_scatter(
            x=[epoch for epoch, _ in curve],
            y=[value for _, value in curve],
            mode="lines",
            name=html.escape(name),
            legendgroup=name,
            showlegend=name not in named,
            line={"color": colours[name], "width": 1.6},
            hovertemplate=f"<b>trial {int(row['number'])}</b> · {html.escape(kind_of(row))}"
            "<br>epoch %{x}: %{y:.4~g}<extra></extra>",
        )
        named.add(name)
    return framed(figure, "epoch", objective, height=HEIGHT_PX)
