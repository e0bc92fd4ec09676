"""What MLflow should show of a sweep according to its ledger, for the writer and for the check."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from analysis import layout
from kdtasks.config import Value
from search_spaces.study import Study
from sweeps.front import standings
from sweeps.mlflow_charts import SHOWN
from sweeps.records import ExportRecord, JobRecord, TrialRecord, TrialState

Status = Literal["FINISHED", "FAILED", "KILLED"]
"""How a run ended, in MLflow's words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildRun:
    """One run below that of the sweep.

    Attributes:
        key: Unique within the sweep.
        name: Shown in MLflow's tables.
        status: How it ended.
        params: All parameters.
        metrics: All numbers.
        curves: Earlier values of some of the metrics: epoch and value, in order.
        epoch: The epoch of the metrics that have a curve.
        tags: Role, state, standing.
        traceback: Where it raised; empty if it did not raise.
        started_ms: Milliseconds since 1970.
        ended_ms: Milliseconds since 1970.
    """

    key: str
    name: str
    status: Status
    params: Mapping[str, Value]
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    epoch: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    traceback: str = ""
    started_ms: int
    ended_ms: int


def trial_key(number: int) -> str:
    """Return the key of a trial's run."""
    return f"trial/{number}"


def _status(trial: TrialRecord) -> Status:
    if trial.interrupted:
        return "KILLED"
    return "FAILED" if trial.state is TrialState.FAIL else "FINISHED"


def _with_kind(tags: dict[str, str], params: Mapping[str, Value], *names: str) -> dict[str, str]:
    """Tag a run with some of its parameters: MLflow's UI groups and colours by tags."""
    return tags | {name: str(params[name]) for name in names if name in params}


def child_of_trial(trial: TrialRecord, export: ExportRecord | None = None) -> ChildRun:
    """Return the run of a trial that has ended; its standing is tagged at the sweep's end.

    Args:
        trial: The trial.
        export: What was measured when its student was exported; None if it was not.
    """
    params = trial.config or trial.params
    tags = {
        layout.ROLE: layout.ROLE_TRIAL,
        layout.CHILD_KEY: trial_key(trial.number),
        layout.TRIAL_NUMBER: str(trial.number),
        layout.STATE: trial.state.value,
    }
    if trial.reason:
        tags[layout.REASON] = trial.reason
    if trial.taught is not None:
        tags[layout.TEACHER] = str(trial.taught).lower()
    if trial.failure is not None:
        tags[layout.FAILURE] = trial.failure.value
    if trial.state is TrialState.COMPLETE:
        tags[layout.FIDELITY] = "full"
    if trial.trained is not None:
        epoch, epochs = trial.trained
        tags[layout.FIDELITY] = f"{epoch / max(1, epochs):.4g}"
        if trial.rungs:
            tags[layout.RUNG] = f"{trial.rungs[-1].rung:.4g}"
    if export is not None:
        tags[layout.MEASURED_ON] = export.measured_on
    ended_ms = trial.ended_ms or trial.started_ms or 0
    return ChildRun(
        key=trial_key(trial.number),
        name=f"trial {trial.number}",
        status=_status(trial),
        params=params,
        metrics={**trial.metrics, **(export.metrics if export else {})},
        curves=_curves(trial),
        epoch=_last_epoch(trial),
        tags=_with_kind(tags, params, layout.TOPOLOGY, layout.METHOD),
        traceback=trial.traceback,
        started_ms=trial.started_ms or ended_ms,
        ended_ms=ended_ms,
    )


def _last_epoch(trial: TrialRecord) -> int:
    if trial.trained is not None:
        return trial.trained[0]
    return trial.rungs[-1].epochs if trial.rungs else 0


def _curves(trial: TrialRecord) -> dict[str, list[tuple[int, float]]]:
    """Return what a trial had come to at its rungs, of the numbers that training changes."""
    curves: dict[str, list[tuple[int, float]]] = {}
    last = _last_epoch(trial)
    for entry in trial.rungs:
        for name, value in entry.metrics.items():
            if name.startswith("val_") and name in trial.metrics and entry.epoch <= last:
                points = curves.setdefault(name, [])
                if entry.epoch < last:  # the number of the last epoch is among the metrics
                    points.append((entry.epoch, value))
    return curves


def _job_name(job: JobRecord) -> str:
    kind, _, name = job.key.partition("/")
    if job.kind == "confirmation":
        return f"trial {job.trial}, seed {name.rpartition('/')[2]}"
    return name if job.kind == "baseline" else f"{kind} {name}"


def child_of_job(job: JobRecord) -> ChildRun:
    """Return the run of a teacher, a baseline or a confirmation."""
    tags = {
        layout.ROLE: job.kind,
        layout.CHILD_KEY: job.key,
        layout.STATE: (TrialState.FAIL if job.reason else TrialState.COMPLETE).value,
    }
    if job.reason:
        tags[layout.REASON] = job.reason
    if job.trial is not None:
        tags[layout.TRIAL_NUMBER] = str(job.trial)
    params = job.params
    # a baseline or teacher carries the method of the first trial that needed it
    own_method = [layout.METHOD] if job.kind == layout.ROLE_CONFIRMATION else []
    return ChildRun(
        key=job.key,
        name=_job_name(job),
        status="FAILED" if job.reason else "FINISHED",
        params=params,
        metrics=job.metrics,
        tags=_with_kind(tags, params, layout.TOPOLOGY, *own_method),
        traceback=job.traceback,
        started_ms=job.started_ms,
        ended_ms=job.ended_ms,
    )


def standing_tags(trials: Sequence[TrialRecord], study: Study) -> dict[str, dict[str, str]]:
    """Return the tags of every complete trial's standing, by key; infeasible ones have no rank."""
    ranks = standings(trials, study).ranks
    last, tags = _last_near(ranks.values()), {}
    for trial in trials:
        if trial.state is not TrialState.COMPLETE:
            continue
        rank = ranks.get(trial.number)
        near = rank is not None and rank <= last
        entry = {
            layout.ON_FRONT: "true" if rank == 0 else "false",
            layout.NEAR: "true" if near else "false",
        }
        if rank is not None:
            entry[layout.RANK] = str(rank)
        tags[trial_key(trial.number)] = entry
    return tags


def _last_near(ranks: Collection[int]) -> int:
    """Return the last rank that charts still hold together with all before it; 0 at least."""
    counted, total = Counter(ranks), 0
    for rank in sorted(counted):
        total += counted[rank]
        if total > SHOWN:
            return max(0, rank - 1)
    return max(counted, default=0)


def ended_children(
    trials: Sequence[TrialRecord],
    jobs: Sequence[JobRecord],
    exports: Mapping[int, ExportRecord],
) -> Iterator[ChildRun]:
    """Yield the run of everything that has ended, rejected duplicates excepted."""
    open_states = (TrialState.RUNNING, TrialState.WAITING)
    for trial in trials:
        if trial.state not in open_states and not trial.duplicate:
            yield child_of_trial(trial, exports.get(trial.number))
    for job in jobs:
        yield child_of_job(job)
