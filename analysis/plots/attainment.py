"""What repeated trials attain together: surfaces of the empirical attainment function."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.attainment import Surface, attainment_surfaces
from analysis.frames import SweepFrames
from analysis.plots.stairs import Pair, stairs
from analysis.repeats import seed_sets

COLOUR = "#8C6BB1"
DASHES = {25: "dot", 50: "solid", 75: "dash"}
"""Line of each level [%]; a surface of several levels has that of the one next to the middle."""


def sweep_surfaces(frames: SweepFrames, pair: Pair) -> list[Surface]:
    """Return the surfaces of a sweep of two objectives, x before y; none without repetitions.

    With more objectives the surfaces of two of them would hide what the others cost.
    """
    sets = pair_sets(frames)
    if len(frames.study.objectives) != 2 or not sets:
        return []
    return attainment_surfaces(sets, [pair.x.direction, pair.y.direction])


def pair_sets(frames: SweepFrames) -> list[NDArray[np.float64]]:
    """Return the sweep's `seed_sets` as x and y: pairs draw the first objective upwards."""
    return [points[:, ::-1] for points in seed_sets(frames).values()]


def median_stairs(frames: SweepFrames, pair: Pair) -> tuple[list[float], list[float]]:
    """Return x and y of the stairs that half of a sweep's seeds attain."""
    directions = [pair.x.direction, pair.y.direction]
    (surface,) = attainment_surfaces(pair_sets(frames), directions, [50])
    return stairs(surface.points, pair)


def surface_name(surface: Surface) -> str:
    """Return the legend's words, for example ``attained by 2 of 3 seeds``."""
    return f"attained by {surface.count} of {surface.total} seeds"


def dash_of(surface: Surface) -> str:
    """Return how the line of a surface is drawn."""
    return DASHES[min(surface.levels, key=lambda level: abs(level - 50))]


def add_attainment(figure: go.Figure, frames: SweepFrames, pair: Pair) -> None:
    """Draw the surfaces, if there are any."""
    for surface in sweep_surfaces(frames, pair):
        xs, ys = stairs(surface.points, pair)
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines",
            name=surface_name(surface),
            line={"color": COLOUR, "width": 1.6, "dash": dash_of(surface)},
            hoverinfo="skip",
        )
