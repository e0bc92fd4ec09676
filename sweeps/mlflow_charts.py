"""Charts that a ready-made view of MLflow's UI opens with: the front's axes, and what varied."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from search_spaces.objectives import Objective
from search_spaces.study import Study

SECTION, OTHERS = "kdsweep", "Model metrics"
"""Section of the page with our charts, and the name of the one that MLflow fills."""

SHOWN = 100
"""Runs that MLflow's charts load at once."""

FEWEST_STEPS = 5
"""Values of a parameter that a contour is drawn over; between fewer it would be made up."""

MAX_AXES = 8
"""Parameters in parallel coordinates; more cannot be told apart."""


def charts(study: Study, metrics: Sequence[str], varied: Sequence[str]) -> dict[str, Any]:
    """Return the part of a view's state that holds its charts.

    Parallel coordinates from parameters to objectives, a scatter per pair of objectives, and a
    contour of the first objective over two numeric parameters, or over the other objectives.

    Args:
        study: The study.
        metrics: Names of the objectives in the runs of the view.
        varied: Parameters that vary.
    """
    # runs that lack one of the axes are not drawn
    common = [name for name in varied if _is_common(study, name)]
    found = [
        _chart("parallel", "PARALLEL", "parameters and objectives")
        | {"selectedParams": common[:MAX_AXES], "selectedMetrics": list(metrics)}
    ]
    found += _scatters(metrics, study.objectives)
    plane = [("PARAM", name) for name in common if _is_numeric(study, name)]
    plane += [("METRIC", metric) for metric in metrics[1:]]
    if len(plane) > 1:
        found.append(
            _chart("contour", "CONTOUR", study.objectives[0].label)
            | _axes({"x": plane[0], "y": plane[1], "z": ("METRIC", metrics[0])})
        )
    # MLflow fills its own section with a bar chart per metric: dozens, so it starts closed
    sections = [_section(SECTION, "Front", display=True), _section("bars", OTHERS, display=False)]
    return {
        "compareRunCharts": found,
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "runsHiddenMode": "SHOW_ALL",  # by default the charts have the first ten
    }


def _scatters(metrics: Sequence[str], goals: Sequence[Objective]) -> Iterator[dict[str, Any]]:
    pairs = combinations(zip(metrics, goals, strict=True), 2)
    for number, ((first, goal), (second, other)) in enumerate(pairs):
        yield (
            _chart(f"scatter-{number}", "SCATTER", f"{goal.label} and {other.label}")
            | _axes({"x": ("METRIC", second), "y": ("METRIC", first)})
        )


def _section(name: str, title: str, *, display: bool) -> dict[str, Any]:
    flags = {"display": display, "isReordered": True, "deleted": False, "isGenerated": False}
    return {"uuid": name, "name": title, **flags}


def _chart(name: str, kind: str, title: str) -> dict[str, Any]:
    return {
        "uuid": f"{SECTION}-{name}",
        "type": kind,
        "displayName": title,
        "runsCountToCompare": SHOWN,
        "metricSectionId": SECTION,
        "deleted": False,
        "isGenerated": False,
    }


def _axes(axes: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    return {f"{name}axis": {"type": kind, "key": key} for name, (kind, key) in axes.items()}


def _is_common(study: Study, name: str) -> bool:
    """Tell whether every trial has a parameter."""
    if name in study.space.parameters:
        return not study.space.parameters[name].when
    return all(name in point for point in study.search.points)


def _is_numeric(study: Study, name: str) -> bool:
    """Tell whether a parameter of the space is a number of many values."""
    if name not in study.space.parameters:
        return False
    values = study.space.parameters[name].domain.values()
    if values is None:
        return True
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return len(numbers) == len(values) >= FEWEST_STEPS
