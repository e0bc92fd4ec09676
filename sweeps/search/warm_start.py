"""Trials of earlier sweeps from which the sampler of a new sweep learns.

They do not belong to the new sweep: their configurations may run again, and they enter neither its
front nor MLflow.
"""

from collections import Counter
from pathlib import Path

from kdtasks.contract.errors import ConfigError, UserError
from kdtasks.contract.params import Params, Value, fingerprint
from kdtasks.contract.task import KDTask
from search_spaces.domains import Float
from search_spaces.errors import StudyError
from search_spaces.study import Study
from sweeps.common.records import EarlierTrial, TrialRecord, TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.plan.needs import task_params
from sweeps.progress.events import Display
from sweeps.search.verdict import judge

NAMED = 3
"""Largest number of reasons that are named, the most frequent first."""


class _MisfitError(Exception):
    """A trial does not fit the present study; the message is the reason."""


def find_earlier(
    study: Study, task: KDTask, home: Path, display: Display
) -> tuple[EarlierTrial, ...]:
    """Return the trials of earlier sweeps that the present study could have run.

    A trial fits if it was trained to its end, if some configuration of the present space, completed
    by the task, equals its own except for the seed, and if it has all objectives and constrained
    metrics. Fixed parameters, such as epochs, are compared too. ``home`` is where names and
    relative paths of sweeps are looked up; each sweep is noted on the display.

    Raises:
        StudyError: If a sweep is missing or damaged, or no trial fits.
    """
    trials: dict[str, EarlierTrial] = {}
    notes = []
    for index, entry in enumerate(study.search.warm_start):
        ledger = _open(study, f"search.warm_start.{index}", home / Path(entry).expanduser())
        found, reasons = _fitting(study, task, ledger, Path(entry).name)
        new = {key: trial for key, trial in found.items() if key not in trials}
        if repeated := len(found) - len(new):
            reasons["in an earlier sweep of the list"] = repeated
        trials |= new
        notes.append(_note(entry, len(new), reasons))
    if notes and not trials:
        raise study.error(
            "search.warm_start",
            f"nothing to learn from: {'; '.join(notes)}; name sweeps of the same task and space, "
            "or drop it",
        )
    for note in notes:
        display.note(f"warm start: {note}")
    return tuple(trials.values())


def _open(study: Study, place: str, folder: Path) -> Ledger:
    journal = SweepFolder(folder).journal
    if not journal.is_file():
        raise study.error(
            place,
            f"there is no sweep in {folder}; kdsweep list shows the sweeps of this home, others "
            "are named by the path of their folder",
        )
    try:
        return Ledger.open(journal)
    except UserError as error:
        raise study.error(place, f"{error}, or drop it here") from error


def _fitting(
    study: Study, task: KDTask, ledger: Ledger, sweep: str
) -> tuple[dict[str, EarlierTrial], Counter[str]]:
    """Return the fitting trials by configuration, and the number of others by reason."""
    found: dict[str, EarlierTrial] = {}
    reasons: Counter[str] = Counter()
    old = ledger.study
    for trial in ledger.trials():
        if trial.duplicate or trial.interrupted:
            continue
        try:
            _check_comparable(study, old)
            found[fingerprint(trial.config)] = _translated(study, task, trial, sweep)
        except _MisfitError as misfit:
            reasons[str(misfit)] += 1
    return found, reasons


def _check_comparable(study: Study, old: Study) -> None:
    if old.task != study.task:
        raise _MisfitError(f"of task {old.task}, not {study.task}")
    before = {goal.metric: goal for goal in old.objectives}
    for goal in study.objectives:
        known = before.get(goal.metric, goal)
        if (known.direction, known.unit) != (goal.direction, goal.unit):
            raise _MisfitError(f"that {known.direction} {goal.metric} [{known.unit}]")


def _translated(study: Study, task: KDTask, trial: TrialRecord, sweep: str) -> EarlierTrial:
    if trial.state is not TrialState.COMPLETE:
        raise _MisfitError("not trained to their end")
    verdict = judge(study, trial.metrics)
    if verdict.reason:
        raise _MisfitError(f"without valid metrics ({verdict.reason})")
    params = _searched(study, trial)
    try:
        config = task.complete({**task_params(study, params), "seed": trial.config["seed"]})
    except ConfigError as error:
        raise _MisfitError(f"refused by the task ({error})") from error
    for name in sorted(config.keys() | trial.config.keys()):
        if name not in config or name not in trial.config or config[name] != trial.config[name]:
            raise _MisfitError(f"whose {name} differs")
    return EarlierTrial(
        sweep=sweep,
        number=trial.number,
        params=params,
        values=verdict.values,
        violations=verdict.violations,
    )


def _searched(study: Study, trial: TrialRecord) -> dict[str, Value]:
    """Return the parameters with which the present study would have proposed a trial."""
    known: Params = {**trial.config, **trial.params}
    params: dict[str, Value] = {}
    for name in study.space.names:
        if study.space.active(name, params) and name in known:
            value, domain = known[name], study.space.parameters[name]
            real = isinstance(domain, Float) and domain.contains(value)
            params[name] = float(value) if real else value
    try:
        study.space.check(params)
    except StudyError as error:
        raise _MisfitError(f"outside the space ({error.place})") from error
    return params


def _note(entry: str, used: int, reasons: Counter[str]) -> str:
    text = f"{used} of {used + reasons.total()} trials of {entry}"
    named = reasons.most_common(NAMED)
    parts = [f"{count} {reason}" for reason, count in named]
    if len(reasons) > NAMED:
        parts.append(f"{reasons.total() - sum(count for _, count in named)} otherwise")
    return f"{text} ({', '.join(parts)})" if parts else text
