"""Parameter importance per objective as grouped bars."""

import html
from collections.abc import Sequence

import plotly.graph_objects as go

from analysis.colours import PALETTE
from analysis.importance import Importance, by_weight
from analysis.plots.theme import axis, styled


def importance_figure(found: Sequence[Importance]) -> go.Figure | None:
    """Return the figure of known importances; None if there is none."""
    shown = [importance for importance in found if importance.shares]
    if not shown:
        return None
    figure, names = go.Figure(), by_weight(shown)
    for index, importance in enumerate(shown):
        shares = [importance.shares.get(name, 0.0) for name in names]
        label = html.escape(importance.objective.label)
        figure.add_bar(
            x=shares,
            y=[html.escape(name.replace("_", " ")) for name in names],
            orientation="h",
            name=label,
            marker={"color": PALETTE[index % len(PALETTE)]},
            hovertext=[
                f"{html.escape(name)}: {share:.0%} of {label}"
                for name, share in zip(names, shares, strict=True)
            ],
            hoverinfo="text",
        )
    return styled(
        figure,
        height=110 + (14 + 16 * len(shown)) * len(names),
        barmode="group",
        bargap=0.25,
        xaxis=axis("share of the importance") | {"tickformat": ".0%", "rangemode": "tozero"},
        yaxis=axis("") | {"showgrid": False},
    )
