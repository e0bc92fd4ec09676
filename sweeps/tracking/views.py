"""Views of a sweep in MLflow's UI, with runs, columns, order and charts.

MLflow stores views of its "Share" button in tags of the experiment, and opens them by an address.
Its UI has no Pareto fronts and shows at most a few hundred runs, its charts a hundred: so the first
view has only the front, and the second the next ranks that fit. Front ends of other versions are
given the same runs by filters in the address, which all versions read.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from analysis import layout
from search_spaces.study import Study

SECTION, OTHERS = "kdsweep", "Model metrics"
"""The section with our charts, and the one that MLflow fills."""

SHOWN = 100
"""Runs that MLflow's charts load at once."""

FRONT_ENDS = (3, 13), (3, 17)
"""First and last minor version of MLflow whose front end was checked to read these views."""

MAX_SCATTERS, HEIGHT_PX = 2, 520
"""Scatters of a view, and the height of its charts; with more or smaller ones points are lost."""


def charts(study: Study, metrics: Sequence[str], varied: Sequence[str]) -> dict[str, Any]:
    """Return the charts in a view's state; ``metrics`` are the objectives in the view's runs.

    A scatter of the first objective over the second and one over the third, if any, and parallel
    coordinates from parameters to objectives.
    """
    # runs without one of the axes are not drawn
    common = [name for name in varied if _is_common(study, name)]
    first = study.objectives[0].label
    found = [
        _chart(f"scatter-{other.metric}", "SCATTER", f"{first} and {other.label}")
        | {
            "xaxis": {"type": "METRIC", "key": metric},
            "yaxis": {"type": "METRIC", "key": metrics[0]},
        }
        for metric, other in [*zip(metrics, study.objectives, strict=True)][1 : 1 + MAX_SCATTERS]
    ]
    found.append(
        _chart("parallel", "PARALLEL", "parameters and objectives")
        | {"selectedParams": common[:MAX_PARAMS], "selectedMetrics": list(metrics)}
    )
    # MLflow fills its own section with dozens of bar charts, so it starts closed
    sections = [
        _section(SECTION, "Front", display=True) | {"columns": 2, "cardHeight": HEIGHT_PX},
        _section("bars", OTHERS, display=False),
    ]
    return {
        "compareRunCharts": found,
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "runsHiddenMode": "SHOW_ALL",  # the default shows ten runs
    }


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


def _is_common(study: Study, name: str) -> bool:
    """Return whether every trial has a parameter."""
    if name in study.space.parameters:
        return not study.space.parameters[name].when
    return all(name in point for point in study.search.points)


KIND = ("mlflow.experimentKind", "custom_model_development")
"""Tag by which MLflow's UI shows pages for model training instead of agents."""

NOTE = "mlflow.note.content"
"""Tag of a run's description."""

TAG = "mlflow.sharedViewState."
"""Prefix of the experiment tag with a shared view."""

MODEL_TRAINING, CHARTS = "workflowType=machine_learning", "compareRunsMode=CHART"
"""Parts of an address that select the pages for trained models, and charts instead of a table."""

MAX_PARAMS = 8
"""Most parameters in columns and in parallel coordinates; more do not fit on a screen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One view: tag of the experiment and its value, address below the server's from ``#``."""

    title: str
    tag: str
    state: str
    fragment: str


def views(
    study: Study, *, experiment_id: str, run_id: str, front_end: tuple[int, int]
) -> Iterator[View]:
    """Yield the views of a sweep: front, next ranks, all trials, repetitions on the test split.

    Front and next ranks have a table and charts; the other two have too many runs for charts.
    ``front_end`` is the version of MLflow that shows them.
    """
    known = FRONT_ENDS[0] <= front_end <= FRONT_ENDS[1]
    trial = _is(layout.ROLE, layout.ROLE_TRIAL)
    here = _is(layout.PARENT, run_id)
    wanted = {
        "front": ("the front", f"{trial} AND {_is(layout.ON_FRONT, 'true')}"),
        "near": ("the ranks near it", f"{trial} AND {_is(layout.NEAR, 'true')}"),
        "trials": ("all trials", trial),
        "test": ("repetitions on test", _is(layout.ROLE, layout.ROLE_CONFIRMATION)),
    }
    for name, (title, query) in wanted.items():
        key = f"kdsweep-{run_id}-{name}"
        state = _state(study, f"{here} AND {query}", test=name == "test")
        filters = {
            "searchFilter": state["searchFilter"],
            "orderByKey": state["orderByKey"],
            "orderByAsc": json.dumps(state["orderByAsc"]),
        }
        opens = urlencode({"viewStateShareKey": key} if known else filters, quote_via=quote)
        modes = {"": "", " as charts": f"&{CHARTS}"} if name in ("front", "near") else {"": ""}
        for suffix, mode in modes.items():
            place = f"#/experiments/{experiment_id}/runs?{MODEL_TRAINING}"
            yield View(
                title=title + suffix,
                tag=TAG + key,
                state=json.dumps(state),
                fragment=f"{place}&{opens}{mode}",
            )


def described(text: str, offered: Sequence[View]) -> str:
    """Return a sweep's description for MLflow's UI, in Markdown, with links to its views."""
    lines = [f"- [{view.title}]({view.fragment})" for view in offered]
    return "\n".join([text, "", "Views of this sweep:", "", *lines])


def _is(tag: str, value: str) -> str:
    return f"tags.`{tag}` = '{value}'"


def _state(study: Study, query: str, *, test: bool) -> dict[str, object]:
    metrics = [objective.metric for objective in study.objectives]
    if test:
        metrics = [metric.replace("val_", "test_", 1) for metric in metrics]
    varied = list(study.space.names) or _point_names(study)
    kinds = [layout.METHOD]
    if layout.TOPOLOGY in {*varied, *_point_names(study), *study.parameters}:
        kinds.insert(0, layout.TOPOLOGY)
    params = [name for name in varied if name not in kinds]
    return {
        "searchFilter": query,
        "orderByKey": f"metrics.`{metrics[0]}`",
        "orderByAsc": study.objectives[0].direction == "minimize",
        "selectedColumns": [
            *(f"metrics.`{metric}`" for metric in metrics),
            *(f"params.`{name}`" for name in [*kinds, *params][:MAX_PARAMS]),
            *(f"tags.`{name}`" for name in (layout.STATE, layout.FIDELITY, layout.RANK)),
        ],
        **charts(study, metrics, varied),
    }


def _point_names(study: Study) -> list[str]:
    return sorted({name for point in study.search.points for name in point})
