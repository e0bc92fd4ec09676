"""The runs that MLflow should have of a sweep, from its ledger, for writing and for checking."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from analysis import layout
from analysis.colours import coloured, in_study_order
from analysis.results_file import RecordedRun
from kdtasks.contract.params import Value
from search_spaces.study import Study
from sweeps.common.curves import Curve, read, thinned
from sweeps.common.records import ExportRecord, JobRecord, TrialRecord, TrialState
from sweeps.ledger.front import pareto_state
from sweeps.tracking.views import SHOWN

Status = Literal["FINISHED", "FAILED", "KILLED"]
"""Status of an ended run in MLflow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildRun(RecordedRun):
    """One run below that of the sweep, which has ended.

    Attributes:
        key: Unique within the sweep.
        traceback: Where it raised; empty if it did not raise.
    """

    key: str
    status: Status
    started_ms: int
    ended_ms: int
    traceback: str = ""


def trial_key(number: int) -> str:
    """Return the key of a trial's run."""
    return f"trial/{number}"


def _status(trial: TrialRecord) -> Status:
    """Return the status of a trial's run; MLflow's table marks stopped ones."""
    if trial.interrupted or trial.state is TrialState.PRUNED:
        return "KILLED"
    return "FAILED" if trial.state is TrialState.FAIL else "FINISHED"


def _texts(params: Mapping[str, Value]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items()}


def _numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def _with_kind(tags: dict[str, str], params: Mapping[str, Value], *names: str) -> dict[str, str]:
    """Add parameters as tags, by which MLflow's UI groups and colours runs."""
    return tags | {name: str(params[name]) for name in names if name in params}


def child_of_trial(trial: TrialRecord, export: ExportRecord | None = None) -> ChildRun:
    """Return the run of an ended trial, with measurements of its exported student, if any."""
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
    curves = _with_end(trial, _curves(trial))
    return ChildRun(
        key=trial_key(trial.number),
        name=f"trial {trial.number}",
        status=_status(trial),
        params=_texts(params),
        metrics=_numbers(
            {
                **{name: curve[-1][1] for name, curve in curves.items()},
                **trial.metrics,
                **(export.metrics if export else {}),
            }
        ),
        curves=curves,
        tags=_with_kind(tags, params, layout.TOPOLOGY, layout.METHOD),
        traceback=trial.traceback,
        started_ms=trial.started_ms or ended_ms,
        ended_ms=ended_ms,
    )


def _curves(trial: TrialRecord) -> dict[str, Curve]:
    """Return a trial's learning curves; metrics without one get the points at rungs."""
    curves = dict(read(trial.curves))
    at_rungs: dict[str, Curve] = {}
    for entry in trial.rungs:
        for name, value in entry.metrics.items():
            if name.startswith("val_") and name in trial.metrics and name not in curves:
                at_rungs.setdefault(name, []).append((entry.epoch, value))
    return {**at_rungs, **curves}


def _with_end(trial: TrialRecord, curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Return curves that end with the trial's metrics, such as those of its best weights."""
    epochs = [curve[-1][0] for curve in curves.values()]
    epochs += [entry.epochs for entry in trial.rungs]
    last = max(epochs, default=0) if trial.trained is None else trial.trained[0]
    ended = {}
    for name, curve in curves.items():
        points = [point for point in curve if point[0] <= last]
        if name in trial.metrics:
            points = [*(point for point in points if point[0] < last), (last, trial.metrics[name])]
        ended[name] = thinned(points)
    return {name: points for name, points in ended.items() if points}


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
    if job.scenario:
        tags[layout.SCENARIO_KEY] = job.scenario
    if job.teacher:
        tags[layout.TEACHER_KEY] = job.teacher
    params = job.params
    # baselines and teachers have the method of the first trial that needed them
    own_method = [layout.METHOD] if job.kind == layout.ROLE_CONFIRMATION else []
    return ChildRun(
        key=job.key,
        name=_job_name(job),
        status="FAILED" if job.reason else "FINISHED",
        params=_texts(params),
        metrics=_numbers(job.metrics),
        tags=_with_kind(tags, params, layout.TOPOLOGY, *own_method),
        traceback=job.traceback,
        started_ms=job.started_ms,
        ended_ms=job.ended_ms,
    )


def standing_tags(trials: Sequence[TrialRecord], study: Study) -> dict[str, dict[str, str]]:
    """Return rank and front tags of every complete trial, by key; infeasible ones have no rank."""
    ranks = pareto_state(trials, study).ranks
    last, tags, colours = _last_near(ranks.values()), {}, _colours(trials, study)
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
        if colour := colours.get(_method(trial)):
            entry[layout.RUN_COLOUR] = colour
        tags[trial_key(trial.number)] = entry
    return tags


def _method(trial: TrialRecord) -> str:
    return str({**trial.params, **trial.config}.get(layout.METHOD, ""))


def _colours(trials: Sequence[TrialRecord], study: Study) -> dict[str, str]:
    """Return a colour per method in the order of the study, as in reports of methods."""
    names = in_study_order(study, layout.METHOD, map(_method, trials))
    taught = {_method(trial) for trial in trials if trial.taught}
    plain = {_method(trial) for trial in trials if trial.taught is False} - taught
    return coloured(filter(None, names), plain)


def _last_near(ranks: Collection[int]) -> int:
    """Return the last rank that fits into charts with all better ones; at least 0."""
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
    """Yield the runs of everything that has ended, except duplicates."""
    open_states = (TrialState.RUNNING, TrialState.WAITING)
    for trial in trials:
        if trial.state not in open_states and not trial.duplicate:
            yield child_of_trial(trial, exports.get(trial.number))
    for job in jobs:
        yield child_of_job(job)


def ranked_children(
    trials: Sequence[TrialRecord],
    jobs: Sequence[JobRecord],
    exports: Mapping[int, ExportRecord],
    study: Study,
) -> Iterator[ChildRun]:
    """Yield `ended_children` with their `standing_tags`."""
    standing = standing_tags(trials, study)
    for child in ended_children(trials, jobs, exports):
        yield replace(child, tags={**child.tags, **standing.get(child.key, {})})
