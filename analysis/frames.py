"""One sweep as plain tables, from the runs that MLflow has of it."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from analysis import layout
from analysis.errors import ResultsError
from analysis.layout import HYPERVOLUME
from analysis.mlflow_runs import client_runs
from analysis.ranking import feasible_mask, rank_trials
from analysis.runs import RecordedRun, Runs
from analysis.sqlite_file import SQLITE
from analysis.sqlite_runs import UnknownStoreError, database_runs
from analysis.uncollected import nothing_collected
from search_spaces.domains import Choice
from search_spaces.errors import StudyError
from search_spaces.fields import Value
from search_spaces.study import Study, parse_study

PARAM = "param."
"""Prefix of the columns that hold parameters."""

FACTS = (
    *("number", "state", "reason", "failure", "front", "rank", "key", "name", "method"),
    *("taught", "scenario_key", "teacher_key", "ended_ms"),
)
"""Columns that every table has, also an empty one; ``ended_ms`` is in milliseconds since 1970, keys
are the fingerprints of what a repetition was given."""

FLAGS = {"true": True, "false": False}
"""Tags that hold ``true`` or ``false``."""

_ATTACHED = ("provenance.json", "environment.json")
_FILES = (layout.STUDY_FILE, *_ATTACHED, layout.FAILURES_FILE)
MOST_CURVES = 12
"""Trials whose learning curves are read."""

DEEPEST = 100
"""Nesting of an attached file of JSON; ours has five."""
# MLflow stores an infinite metric as the largest double.
_HUGE = 1e308


@dataclass(frozen=True, kw_only=True)
class SweepFrames:
    """One sweep as it was recorded.

    The tables have the columns of ``FACTS``, one ``param.<name>`` per parameter (object; None where
    a run does not have it) and one column per metric (float; NaN where a run does not have it).

    Attributes:
        name: Name of the sweep.
        study: The study as it was run, overrides applied.
        tags: Tags of the sweep's run.
        metrics: Last metrics of the sweep's run.
        hypervolume: Pairs (finished trials, hypervolume), ascending.
        trials: One row per trial, by number.
        teachers: One row per teacher.
        baselines: One row per baseline.
        confirmations: One row per (trial, seed); ``number`` is that of the trial it repeats.
        failures: What failed and where it raised, as ``sweeps.ledger.failures.Fault`` has it; empty
            the sweep has not ended.
        provenance: Facts about the data.
        environment: Versions and machine.
        wall_time_s: From the sweep's start to its end [s]; None while it runs.
        curves: Pairs (epoch, first objective on validation) of the best members of the front, by
            trial, if they were read; in a network those of studies with ``stopping``, at rungs.
    """

    name: str
    study: Study
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    hypervolume: Sequence[tuple[int, float]]
    trials: pd.DataFrame
    teachers: pd.DataFrame
    baselines: pd.DataFrame
    confirmations: pd.DataFrame
    failures: Sequence[Mapping[str, Any]] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    wall_time_s: float | None = None
    curves: Mapping[int, Sequence[tuple[int, float]]] = field(default_factory=dict)

    @cached_property
    def feasible(self) -> pd.DataFrame:
        """The trials that may be on the front, in the order of their numbers."""
        return self.trials[feasible_mask(self.trials, self.study)]


def read_sweep(
    tracking_uri: str, sweep_name: str, sweep_id: str | None = "", *, curves: bool = False
) -> SweepFrames:
    """Read one sweep from MLflow.

    Args:
        tracking_uri: Where the runs are: ``sqlite:///path/mlflow.db`` or a server.
        sweep_name: Name of the sweep, and of its run unless its folder was renamed.
        sweep_id: What its run is known by, whatever its name; empty if that is not known. None if
            all runs there are its own, as in the database in its folder.
        curves: Read learning curves, too; each is a request to a server.

    Raises:
        ResultsError: If the database or the sweep is missing, or several sweeps share the name.
    """
    with nothing_collected():
        if tracking_uri.startswith(SQLITE):
            with suppress(UnknownStoreError), database_runs(tracking_uri) as runs:
                return _read(runs, tracking_uri, sweep_name, sweep_id, curves=curves)
        with client_runs(tracking_uri, sweep_name) as runs:
            return _read(runs, tracking_uri, sweep_name, sweep_id, curves=curves)


def _attached(texts: Mapping[str, str], file: str, kind: type) -> Any:
    """Return the content of an attached JSON file; an empty ``kind`` if there is none."""
    found = json.loads(texts.get(file, json.dumps(kind())))
    entries = found if isinstance(found, list) else ()
    if not isinstance(found, kind) or any(not isinstance(entry, dict) for entry in entries):
        raise TypeError(f"{file} does not hold what kdsweep writes")
    if _is_deep(found, DEEPEST):
        raise TypeError(f"{file} is nested more than {DEEPEST} deep")
    return found


def _is_deep(value: Any, left: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and (
        not left or any(_is_deep(v, left - 1) for v in inner)
    )


def table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a table with every column of ``FACTS``; missing entries stay empty."""
    records = list(rows)
    names = dict.fromkeys([*FACTS, *(name for record in records for name in record)])
    series = {name: _column(name, [record.get(name) for record in records]) for name in names}
    return pd.DataFrame(series, index=range(len(records)))


def _column(name: str, values: list[Any]) -> pd.Series:
    """Return one column; parameters and texts stay objects, so that 8 does not become 8.0."""
    is_text = name.startswith(PARAM) or name in FACTS
    return pd.Series(values, dtype=object if is_text else float)


def _find_sweep(runs: Runs, tracking_uri: str, name: str, sweep_id: str | None) -> RecordedRun:
    sweeps = runs.tagged(layout.ROLE, layout.ROLE_SWEEP)
    found = sweeps if sweep_id is None else []
    found = found or [r for r in sweeps if sweep_id and r.tags.get(layout.SWEEP_ID) == sweep_id]
    ours = (sweep_id, "")  # one of this name may be another sweep
    found = found or [
        run
        for run in sweeps
        if run.name == name and (not sweep_id or run.tags.get(layout.SWEEP_ID, "") in ours)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(sorted(run.id for run in found))
        raise ResultsError(
            f"{len(found)} sweeps are called {name!r} in {tracking_uri}; rename or delete all but "
            f"one of the runs {ids}"
        )
    known = ", ".join(sorted({run.name for run in sweeps})) or "none"
    raise ResultsError(f"no sweep {name!r} in {tracking_uri}; sweeps there: {known}")


def _read(
    runs: Runs, tracking_uri: str, name: str, sweep_id: str | None, *, curves: bool
) -> SweepFrames:
    parent = _find_sweep(runs, tracking_uri, name, sweep_id)
    try:
        return _frames(runs, parent, name, curves=curves)
    except (ResultsError, StudyError):
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        # a database may hold anything in any column
        raise ResultsError(
            f"what {tracking_uri} has of sweep {name!r} is damaged ({type(error).__name__}: "
            f"{str(error)[:100]!r}); take a copy that nobody has changed"
        ) from error


def _frames(runs: Runs, parent: RecordedRun, name: str, *, curves: bool) -> SweepFrames:
    _check_types(parent)
    texts = runs.texts(parent, _FILES)
    if layout.STUDY_FILE not in texts:
        raise ResultsError(
            f"sweep {name!r} has no artifact {layout.STUDY_FILE}; its artifacts are gone, it was "
            "not started by kdsweep, or it was stopped before its first trial"
        )
    provenance, environment = (_attached(texts, file, dict) for file in _ATTACHED)
    study = parse_study(texts[layout.STUDY_FILE], f"{layout.STUDY_FILE} of sweep {name!r}")
    below = runs.below(parent)
    rows = [_row(run, study) for run in below]
    trials = _with_ranks(_of_role(rows, layout.ROLE_TRIAL), study)
    history = sorted((int(s), int(t), float(v)) for s, t, v in runs.history(parent, HYPERVOLUME))
    started, ended = parent.started_ms, parent.ended_ms
    return SweepFrames(
        name=name,
        study=study,
        tags=parent.tags,
        metrics=parent.metrics,
        # a resumed sweep may log a step again: the last value counts
        hypervolume=sorted({step: value for step, _, value in history}.items()),
        trials=trials,
        curves=_curves(runs, below, trials, study) if curves else {},
        teachers=_of_role(rows, layout.ROLE_TEACHER),
        baselines=_of_role(rows, layout.ROLE_BASELINE),
        confirmations=_of_role(rows, layout.ROLE_CONFIRMATION),
        failures=_attached(texts, layout.FAILURES_FILE, list),
        provenance=provenance,
        environment=environment,
        wall_time_s=(ended - started) / 1000.0 if started and ended else None,
    )


def _curves(
    runs: Runs, below: Sequence[RecordedRun], trials: pd.DataFrame, study: Study
) -> dict[int, list[tuple[int, float]]]:
    """Return what the best members of the front have reported of the first objective."""
    goal = study.objectives[0]
    front = trials[[flag is True for flag in trials["front"]]]
    if goal.metric not in front:
        return {}
    best = front.sort_values(goal.metric, ascending=goal.direction == "minimize", kind="stable")
    numbers = [str(number) for number in best["number"][:MOST_CURVES]]
    tags = {run.tags.get(layout.TRIAL_NUMBER): run for run in below if _is_trial(run)}
    found = {}
    for number in numbers:
        points = runs.history(tags[number], goal.metric)
        curve = sorted({int(step): float(value) for step, _, value in sorted(points)}.items())
        if len(curve) > 1:
            found[int(number)] = curve
    return found


def _is_trial(run: RecordedRun) -> bool:
    return run.tags.get(layout.ROLE) == layout.ROLE_TRIAL


def _check_types(run: RecordedRun) -> None:
    """Raise if a run holds another type than MLflow writes: SQLite takes any."""
    texts = (run.name, *run.tags.values(), *run.params.values())
    times = (run.started_ms or 0, run.ended_ms or 0)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"a text of run {run.id} is none")
    if not all(isinstance(n, int | float) for n in (*times, *run.metrics.values())):
        raise TypeError(f"a number of run {run.id} is none")


def _row(run: RecordedRun, study: Study) -> dict[str, Any]:
    _check_types(run)
    tags = run.tags
    number, rank = tags.get(layout.TRIAL_NUMBER), tags.get(layout.RANK)
    facts: dict[str, Any] = {
        "role": tags.get(layout.ROLE),
        "number": None if number is None else int(number),
        "state": tags.get(layout.STATE),
        "reason": tags.get(layout.REASON, ""),
        "failure": tags.get(layout.FAILURE),
        "front": FLAGS.get(tags.get(layout.ON_FRONT, "")),
        "rank": int(rank) if rank and rank.lstrip("-").isdigit() else None,
        "key": tags.get(layout.CHILD_KEY),
        "name": run.name,
        "method": tags.get(layout.METHOD),
        "taught": FLAGS.get(tags.get(layout.TEACHER, "")),
        "scenario_key": tags.get(layout.SCENARIO_KEY),
        "teacher_key": tags.get(layout.TEACHER_KEY),
        "ended_ms": run.ended_ms,
    }
    metrics = {name: _finite(value) for name, value in run.metrics.items()}
    params = {PARAM + name: _value(name, text, study) for name, text in run.params.items()}
    return {**metrics, **params, **facts}


def _finite(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) > _HUGE else value


def _value(name: str, text: str, study: Study) -> Value | None:
    """Return the parameter that MLflow stored as text."""
    domain = study.space.parameters[name] if name in study.space.names else None
    if isinstance(domain, Choice):
        for option in domain.values():
            if str(option) == text:
                return option
    words = {"True": True, "False": False, "None": None}
    return words[text] if text in words else _number(text)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else text
    return text


def _of_role(rows: list[dict[str, Any]], role: str) -> pd.DataFrame:
    chosen = [row for row in rows if row["role"] == role]
    chosen.sort(key=lambda row: (row["number"] is None, row["number"] or 0, str(row["key"])))
    return table({k: v for k, v in row.items() if k != "role"} for row in chosen)


def _with_ranks(trials: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return the trials; while a sweep runs its tags lag behind, so ranks are computed then."""
    finished = trials["state"] == "COMPLETE"
    if not finished.any() or bool(trials.loc[finished, "front"].notna().all()):
        return trials
    found = rank_trials(trials, study)
    return trials.assign(
        rank=pd.Series(found, dtype=object), front=pd.Series([r == 0 for r in found], dtype=object)
    )
