"""Ready-made views of a sweep in MLflow's UI: which runs, which columns, in which order.

MLflow keeps what its "Share" button saves in tags of the experiment, and opens it by an address.
Its UI knows no fronts and shows at most a few hundred runs, its charts a hundred: so the first view
has the front alone, and the next the ranks behind it that fit.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from analysis import layout
from analysis.runs import PARENT
from search_spaces.study import Study
from sweeps.mlflow_charts import charts

KIND = ("mlflow.experimentKind", "custom_model_development")
"""Tag of an experiment whose runs train models: MLflow's UI then shows no pages for agents."""

NOTE = "mlflow.note.content"
"""Tag of a run's description."""

TAG = "mlflow.sharedViewState."
"""Beginning of the experiment tag that holds a shared view."""

MODEL_TRAINING, CHARTS = "workflowType=machine_learning", "compareRunsMode=CHART"
"""Parts of an address: the pages for trained models, not for agents; charts, not a table."""

MAX_PARAMS = 8
"""Columns of parameters; more do not fit a screen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One view.

    Attributes:
        title: What it shows.
        tag: Name of the experiment's tag.
        state: Value of the tag.
        fragment: Address below the server's, ``#`` included.
    """

    title: str
    tag: str
    state: str
    fragment: str


def views(study: Study, *, experiment_id: str, run_id: str) -> Iterator[View]:
    """Yield the views of a sweep: front, ranks near it, all trials, repetitions on the test split.

    Front and near ranks come as a table and as charts; the other two have more runs than charts
    take.
    """
    trial = _is(layout.ROLE, layout.ROLE_TRIAL)
    here = _is(PARENT, run_id)
    wanted = {
        "front": ("the front", f"{trial} AND {_is(layout.ON_FRONT, 'true')}"),
        "near": ("the ranks near it", f"{trial} AND {_is(layout.NEAR, 'true')}"),
        "trials": ("all trials", trial),
        "test": ("repetitions on test", _is(layout.ROLE, layout.ROLE_CONFIRMATION)),
    }
    for name, (title, query) in wanted.items():
        key = f"kdsweep-{run_id}-{name}"
        state = json.dumps(_state(study, f"{here} AND {query}", test=name == "test"))
        modes = {"": "", " as charts": f"&{CHARTS}"} if name in ("front", "near") else {"": ""}
        for suffix, mode in modes.items():
            place = f"#/experiments/{experiment_id}/runs?{MODEL_TRAINING}"
            yield View(
                title=title + suffix,
                tag=TAG + key,
                state=state,
                fragment=f"{place}&viewStateShareKey={quote(key)}{mode}",
            )


def described(text: str, offered: Sequence[View]) -> str:
    """Return a sweep's description for MLflow's UI, in Markdown, with the addresses of its views.

    Args:
        text: What it is about.
        offered: Its views.
    """
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
