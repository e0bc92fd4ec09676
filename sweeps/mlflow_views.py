"""Ready-made views of a sweep in MLflow's UI: which runs, which columns, in which order.

MLflow keeps what its "Share" button saves in tags of the experiment, and opens it by an address.
Its UI knows no fronts and shows at most a few hundred runs, so the first view has the front alone.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from analysis import layout
from search_spaces.study import Study

PARENT = "mlflow.parentRunId"
"""Tag of a run below a sweep's."""

TAG = "mlflow.sharedViewState."
"""Beginning of the experiment tag that holds a shared view."""

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
    """Yield the views of a sweep: its front, its trials, and its repetitions on the test split."""
    trial = _is(layout.ROLE, layout.ROLE_TRIAL)
    here = _is(PARENT, run_id)
    wanted = {
        "front": f"{here} AND {trial} AND {_is(layout.ON_FRONT, 'true')}",
        "trials": f"{here} AND {trial}",
        "test": f"{here} AND {_is(layout.ROLE, layout.ROLE_CONFIRMATION)}",
    }
    titles = {"front": "the front", "trials": "all trials", "test": "repetitions on test"}
    for name, query in wanted.items():
        key = f"kdsweep-{run_id}-{name}"
        address = f"#/experiments/{experiment_id}/runs?viewStateShareKey={quote(key)}"
        yield View(
            title=titles[name],
            tag=TAG + key,
            state=json.dumps(_state(study, query, test=name == "test")),
            fragment=address,
        )


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
            *(f"params.`{name}`" for name in params[:MAX_PARAMS]),
            *(f"tags.`{tag}`" for tag in (*kinds, layout.RANK)),
        ],
    }


def _point_names(study: Study) -> list[str]:
    return sorted({name for point in study.search.points for name in point})
