"""The Optuna journal of a sweep: the truth about what was asked for and what came of it.

Everything that MLflow shows can be written again from here.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from kdtasks.config import Params, Value
from kdtasks.errors import DataError
from search_spaces.space import Space
from search_spaces.study import Study, parse_study
from search_spaces.to_optuna import suggest
from sweeps.records import JobRecord, RungEntry, Stop, TrialRecord, TrialState

# Attributes of trials and of the study in the journal.
PARAMS, CONFIG, METRICS = "params", "config", "metrics"
REASON, TRACEBACK = "reason", "traceback"
DUPLICATE, INTERRUPTED = "duplicate", "interrupted"
STARTED_MS = "started_ms"
RUNGS, TRAINED = "rungs", "trained"
STUDY_TEXT, JOB = "study", "job:"


def _epoch_ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


def _record(trial: FrozenTrial) -> TrialRecord:
    attrs = trial.user_attrs
    return TrialRecord(
        number=trial.number,
        state=TrialState(trial.state.name),
        params=attrs.get(PARAMS, trial.params),
        metrics=attrs.get(METRICS, {}),
        reason=attrs.get(REASON, ""),
        duplicate=attrs.get(DUPLICATE, False),
        config=attrs.get(CONFIG, {}),
        violations=dict(trial.constraints),
        interrupted=attrs.get(INTERRUPTED, False),
        rungs=tuple(RungEntry(**entry) for entry in attrs.get(RUNGS, ())),
        trained=tuple(attrs[TRAINED]) if TRAINED in attrs else None,
        started_ms=attrs.get(STARTED_MS),
        ended_ms=_epoch_ms(trial.datetime_complete),
    )


class Ledger:
    """One sweep's journal, open for reading and writing by one process.

    Args:
        study: The Optuna study in the journal.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._asked: dict[int, optuna.Trial] = {}

    @classmethod
    def create(cls, path: Path, study: Study) -> "Ledger":
        """Start the journal of a new sweep."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        created = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path))),
            study_name=study.name,
            directions=[objective.direction for objective in study.objectives],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            created.set_metric_names([objective.metric for objective in study.objectives])
        created.set_user_attr(STUDY_TEXT, study.text)
        return cls(created)

    @classmethod
    def open(cls, path: Path) -> "Ledger":
        """Open the journal of an existing sweep.

        Raises:
            DataError: If there is none, or it is damaged.
        """
        if not path.is_file():
            raise DataError(f"{path} does not exist; is its folder that of a sweep?")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            storage = JournalStorage(JournalFileBackend(str(path)))
            return cls(optuna.load_study(study_name=None, storage=storage))
        except (KeyError, ValueError, TypeError, AssertionError) as error:
            # what Optuna raises depends on where the damage is
            problem = f"{type(error).__name__}: {error}"
            raise DataError(f"{path} is damaged or no journal of a sweep: {problem}") from error

    def use(self, sampler: BaseSampler) -> None:
        """Let ``sampler`` make the suggestions; the journal does not remember it."""
        self._study.sampler = sampler

    @property
    def study(self) -> Study:
        """The study as it was resolved when the sweep began."""
        return parse_study(self._study.user_attrs[STUDY_TEXT], source="journal")

    def ask(self, space: Space, fixed: Params | None = None) -> tuple[int, dict[str, Value]]:
        """Open a trial and return its number and the searched parameters.

        Args:
            space: What the sampler may choose.
            fixed: Parameters that are given; the sampler chooses the rest of the active ones.
        """
        if fixed is not None:
            self._study.enqueue_trial(dict(fixed))
        with warnings.catch_warnings():
            # A sampler that meets a conditional parameter for the first time draws it at random and
            # says so each time; so it is meant.
            warnings.simplefilter("ignore", UserWarning)
            trial = self._study.ask()
            params = suggest(trial, space)
        params = {**(fixed or {}), **params}
        trial.set_user_attr(PARAMS, params)
        self._asked[trial.number] = trial
        return trial.number, params

    def start(self, number: int, config: Params, started_ms: int) -> None:
        """Note that a trial got its slot, and all that its task is given."""
        self._asked[number].set_user_attr(CONFIG, dict(config))
        self._asked[number].set_user_attr(STARTED_MS, started_ms)

    def complete(
        self,
        number: int,
        values: Sequence[float],
        metrics: Mapping[str, float],
        violations: Mapping[str, float],
    ) -> None:
        """Close a trial that has every objective.

        Args:
            number: The trial.
            values: The objectives in the study's order; finite.
            metrics: All its numbers.
            violations: By how much each constraint is missed; at most 0 is feasible.
        """
        trial = self._asked.pop(number)
        for name, violation in violations.items():
            trial.set_constraint(name, violation)
        trial.set_user_attr(METRICS, dict(metrics))
        self._study.tell(trial, list(values))

    def at_rungs(self, number: int, entries: Sequence[RungEntry]) -> None:
        """Note what an open trial had come to at all its rungs, in place of what was noted."""
        self._asked[number].set_user_attr(RUNGS, [asdict(entry) for entry in entries])

    def prune(self, number: int, stop: Stop) -> None:
        """Close a trial that was stopped early; its numbers are never told as results."""
        trial = self._asked.pop(number)
        for name, violation in stop.violations.items():
            trial.set_constraint(name, violation)
        trial.set_user_attr(REASON, stop.reason)
        trial.set_user_attr(METRICS, dict(stop.metrics))
        trial.set_user_attr(TRAINED, [stop.epoch, stop.epochs])
        self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)

    def fail(self, number: int, reason: str, attrs: Mapping[str, Any] | None = None) -> None:
        """Close a trial that failed, for ``reason``, with further attributes."""
        trial = self._asked.pop(number)
        for name, value in {REASON: reason, **(attrs or {})}.items():
            trial.set_user_attr(name, value)
        self._study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def reject_duplicate(self, number: int, config: Params) -> None:
        """Close a trial whose configuration is known; it is never run and costs no budget."""
        attrs = {DUPLICATE: True, CONFIG: dict(config)}
        self.fail(number, "repeats an earlier configuration", attrs)

    @property
    def running(self) -> tuple[int, ...]:
        """Trials that are open, in the order of their numbers."""
        return tuple(sorted(self._asked))

    def trials(self) -> list[TrialRecord]:
        """Return every trial by number, rejected duplicates too."""
        return [_record(trial) for trial in self._study.get_trials(deepcopy=False)]

    def trial(self, number: int) -> TrialRecord:
        """Return one trial."""
        return _record(self._study.get_trials(deepcopy=False)[number])

    def traceback(self, number: int) -> str:
        """Return where a failed trial raised; empty if it did not raise."""
        text = self._study.get_trials(deepcopy=False)[number].user_attrs.get(TRACEBACK, "")
        return str(text)

    def put_job(self, job: JobRecord) -> None:
        """Write a teacher, baseline or confirmation, in place of an earlier one of its key."""
        self._study.set_user_attr(JOB + job.key, asdict(job))

    def jobs(self) -> list[JobRecord]:
        """Return every teacher, baseline and confirmation, by key."""
        attrs = self._study.user_attrs
        return [JobRecord(**attrs[name]) for name in sorted(attrs) if name.startswith(JOB)]
