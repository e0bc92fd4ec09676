"""One sweep as plain tables, from its recorded runs."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from analysis import layout
from analysis.errors import ResultsError
from analysis.ranking import feasible_mask, rank_trials
from analysis.results_file import RecordedRun
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

MOST_CURVES = 12
"""Trials of the front whose learning curves are kept."""

DEEPEST = 100
"""Nesting of an attached file of JSON; ours has five."""


@dataclass(frozen=True, kw_only=True)
class SweepFrames:
    """One sweep as it was recorded.

    The tables have the columns of ``FACTS``, one ``param.<name>`` per parameter (object; None where
    a run does not have it) and one column per metric (float; NaN where a run does not have it).

    Attributes:
        study: The study as it was run, overrides applied.
        confirmations: One row per (trial, seed); ``number`` is that of the trial it repeats.
        failures: What failed and where it raised, as ``sweeps.ledger.totals.Fault`` has it.
        wall_time_s: From the sweep's start to its end [s]; None while it runs.
        curves: Pairs (epoch, first objective on validation) of the best members of the front, by
            trial; in a network those of studies with ``stopping``, at rungs.
    """

    name: str
    study: Study
    metrics: Mapping[str, float]
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


def frames_of(name: str, runs: Sequence[RecordedRun]) -> SweepFrames:
    """Return the tables of a sweep from its runs, its own first.

    Raises:
        ResultsError: If a run holds something else than kdsweep writes.
    """
    try:
        return _frames(name, runs[0], runs[1:])
    except StudyError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise ResultsError(
            f"what is recorded of sweep {name!r} is damaged ({type(error).__name__}: "
            f"{str(error)[:100]!r}); take a copy that nobody has changed"
        ) from error


def _frames(name: str, sweep: RecordedRun, below: Sequence[RecordedRun]) -> SweepFrames:
    study = parse_study(sweep.texts[layout.STUDY_FILE], f"{layout.STUDY_FILE} of sweep {name!r}")
    rows = [_row(run, study) for run in below]
    trials = _with_ranks(_of_role(rows, layout.ROLE_TRIAL), study)
    started, ended = sweep.started_ms, sweep.ended_ms
    return SweepFrames(
        name=name,
        study=study,
        metrics=sweep.metrics,
        trials=trials,
        curves=_curves(below, trials, study),
        teachers=_of_role(rows, layout.ROLE_TEACHER),
        baselines=_of_role(rows, layout.ROLE_BASELINE),
        confirmations=_of_role(rows, layout.ROLE_CONFIRMATION),
        failures=_attached(sweep.texts, layout.FAILURES_FILE, list),
        provenance=_attached(sweep.texts, layout.PROVENANCE_FILE, dict),
        environment=_attached(sweep.texts, layout.ENVIRONMENT_FILE, dict),
        wall_time_s=(ended - started) / 1000.0 if started and ended else None,
    )


def _curves(
    below: Sequence[RecordedRun], trials: pd.DataFrame, study: Study
) -> dict[int, list[tuple[int, float]]]:
    """Return what the best members of the front have reported of the first objective."""
    goal = study.objectives[0]
    front = trials[[flag is True for flag in trials["front"]]]
    if goal.metric not in front:
        return {}
    best = front.sort_values(goal.metric, ascending=goal.direction == "minimize", kind="stable")
    numbers = [str(number) for number in best["number"][:MOST_CURVES]]
    known = {
        run.tags[layout.TRIAL_NUMBER]: list(run.curves.get(goal.metric, ()))
        for run in below
        if run.tags.get(layout.ROLE) == layout.ROLE_TRIAL
    }
    return {int(number): known[number] for number in numbers if len(known[number]) > 1}


def _row(run: RecordedRun, study: Study) -> dict[str, Any]:
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
    params = {PARAM + name: _value(name, text, study) for name, text in run.params.items()}
    return {**run.metrics, **params, **facts}


def _value(name: str, text: str, study: Study) -> Value | None:
    """Return the parameter that is recorded as text."""
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
