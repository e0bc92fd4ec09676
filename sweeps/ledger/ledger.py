"""The Optuna journal of a sweep: the authoritative record of its trials and jobs.

Everything in MLflow can be restored from it.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from kdtasks.contract.errors import DataError
from kdtasks.contract.params import Params, Value
from search_spaces.space import Space
from search_spaces.study import Study, parse_study
from search_spaces.to_optuna import suggest
from sweeps.common.curves import read as read_curves
from sweeps.common.file_types import check_types
from sweeps.common.records import (
    ArtifactRecord,
    EarlierTrial,
    ExportRecord,
    JobRecord,
    RungEntry,
    Stop,
    SweepRecord,
    TrialRecord,
)
from sweeps.ledger.identity import Identity
from sweeps.ledger.journal import Journal, Storage, check_lines, damage
from sweeps.ledger.milestones import Milestones
from sweeps.ledger.optuna_trials import (
    CONFIG,
    CURVES,
    DUPLICATE,
    FIXED,
    INTERRUPTED,
    METRICS,
    PARAMS,
    POINT,
    REASON,
    RETRY_OF,
    RUNGS,
    SHA256,
    STARTED_MS,
    TAUGHT,
    TRAINED,
    all_params,
    earlier_trial,
    is_earlier,
    is_interrupted,
    record_of,
    retry_of,
)

# Attributes of the study in the journal.
STUDY_TEXT, JOB, EXPORT, IDENTITY = "study", "job:", "export:", "identity"
ARTIFACT, SWEEP = "artifact:", "sweep"


class Ledger:
    """One sweep's journal, open for reading and writing by one process.

    Trials of earlier sweeps may come first. Only samplers
    use them; the sweep's own trials are numbered from 0.
    """

    def __init__(
        self,
        study: optuna.Study,
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Read a study; what is written inside ``together`` need reach the disk at its end only."""
        self._study = study
        self._together = together
        trials = study.get_trials(deepcopy=False)
        self._earlier = sum(is_earlier(trial) for trial in trials)
        self._count = len(trials) - self._earlier
        self._interrupted = [t.number - self._earlier for t in trials if is_interrupted(t)]
        self.milestones = Milestones(study)
        """Progress of the sweep besides its trials."""
        self._open: dict[int, optuna.Trial] = {}
        self._sampler_of: Callable[[int], BaseSampler] = lambda seed: RandomSampler(seed)

    @classmethod
    def create(cls, path: Path, study: Study, earlier: Sequence[EarlierTrial] = ()) -> "Ledger":
        """Create the journal of a new sweep atomically; its samplers learn from ``earlier``."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        partial = path.with_name(f".{path.name}.part")
        partial.unlink(missing_ok=True)
        created = optuna.create_study(
            storage=Storage(Journal(partial)),
            study_name=study.name,
            directions=[objective.direction for objective in study.objectives],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            created.set_metric_names([objective.metric for objective in study.objectives])
        created.set_user_attr(STUDY_TEXT, study.text)
        created.add_trials([earlier_trial(trial, study.space) for trial in earlier])
        partial.replace(path)
        return cls.open(path)

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
            check_lines(path)
            journal = Journal(path)
            study = optuna.load_study(study_name=None, storage=Storage(journal))
            ledger = cls(study, journal.together)
            ledger.check()
        except Exception as error:
            # what Optuna raises depends on where the damage is
            raise damage(path, error) from error
        return ledger

    def check(self) -> None:
        """Read everything once; raise if an entry is missing or has the wrong type."""
        _ = self.study, self.identity, self.milestones.closed_jobs()
        trials = self.trials()
        check_types(TrialRecord, *trials)
        check_types(JobRecord, *self.jobs())
        check_types(ExportRecord, *self.exports().values())
        check_types(SweepRecord, self.sweep)
        check_types(ArtifactRecord, *self.artifacts())
        for trial in trials:
            read_curves(trial.curves)

    def use(self, sampler_of: Callable[[int], BaseSampler]) -> None:
        """Set the sampler of suggestions; the journal does not store it.

        Args:
            sampler_of: Makes the sampler of one suggestion from the number of earlier ones. A
                suggestion then does not depend on the state of this process.
        """
        self._sampler_of = sampler_of

    @property
    def study(self) -> Study:
        """The study as resolved when the sweep began."""
        return parse_study(self._study.user_attrs[STUDY_TEXT], source="journal")

    def extend(self, study: Study) -> None:
        """Replace the study by ``study``, which differs in its budget."""
        self._study.set_user_attr(STUDY_TEXT, study.text)

    @property
    def identity(self) -> Identity | None:
        """Data and code of the trials; None until a driver has recorded them."""
        found = self._study.user_attrs.get(IDENTITY)
        return None if found is None else Identity(**found)

    def identify(self, identity: Identity) -> None:
        """Record data and code of trials, in addition to earlier records."""
        known = self.identity
        joined = identity if known is None else known.joined(identity)
        if joined != known:
            self._study.set_user_attr(IDENTITY, asdict(joined))

    def _own(self) -> list[FrozenTrial]:
        """Return the sweep's own trials, ordered by number."""
        return self._study.get_trials(deepcopy=False)[self._earlier :]

    def ask(
        self, space: Space, fixed: Params | None = None, point: int | None = None
    ) -> tuple[int, dict[str, Value]]:
        """Open a trial and return its number and the searched parameters.

        Trials that wait since their driver was killed come first, with the parameters given then.

        Args:
            space: The search space.
            fixed: Given parameters; the sampler chooses the other active ones.
            point: Index of the study's point that gives them.
        """
        with self._together(), warnings.catch_warnings():
            # A sampler warns each time it meets a new conditional parameter, which it draws at
            # random, as intended.
            warnings.simplefilter("ignore", UserWarning)
            if fixed is not None:
                attrs = {} if point is None else {POINT: point}
                self._study.enqueue_trial(dict(fixed), user_attrs=attrs)
                self._count += 1
            waiting = next(self._waiting(), None)
            self._study.sampler = self._sampler(waiting)
            trial = self._study.ask()
            self._count += waiting is None
            given = {} if waiting is None else waiting.system_attrs.get(FIXED, {})
            params = {**given, **suggest(trial, space)}
            trial.set_user_attr(PARAMS, params)
        number = trial.number - self._earlier
        self._open[number] = trial
        return number, params

    def _sampler(self, waiting: FrozenTrial | None) -> BaseSampler:
        """Return the sampler of the next trial, which may be one that waits."""
        if waiting is not None and RETRY_OF in waiting.user_attrs:
            # all its parameters are given: a sampler that counts its suggestions must not be used
            return RandomSampler(seed=0)
        before = self._count if waiting is None else waiting.number - self._earlier
        again = sum(number < before for number in self._interrupted)
        return self._sampler_of(before - again)

    def _waiting(self) -> Iterator[FrozenTrial]:
        return iter(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    @property
    def waiting(self) -> bool:
        """Whether a trial waits that was interrupted or left by a killed driver."""
        return next(self._waiting(), None) is not None

    def recover(self) -> int:
        """Close trials of a killed driver, enqueue interrupted ones; return how many wait."""
        trials = self._own()
        retried = {trial.user_attrs.get(RETRY_OF) for trial in trials}
        done = [trial.user_attrs.get(PARAMS) for trial in trials if trial.values is not None]
        for number, trial in enumerate(trials):
            params = all_params(trial)
            left = trial.state is TrialState.RUNNING and number not in self._open
            again = left or is_interrupted(trial)
            # Enqueue the new trial before closing the old one: a crash in between loses neither. A
            # trial without parameters never began; the sampler will suggest the same again.
            if again and params is not None and trial.number not in retried and params not in done:
                self._study.add_trial(retry_of(trial, params))
                self._count += 1
            if left:
                self._open[number] = optuna.trial.Trial(self._study, trial._trial_id)
                self.fail(number, "its driver was killed while it ran", {INTERRUPTED: True})
        return sum(1 for _ in self._waiting())

    def points_taken(self) -> set[int]:
        """Return the indices of the study's points that have been used."""
        return {
            trial.user_attrs[POINT]
            for trial in self._own()
            if POINT in trial.user_attrs and not is_interrupted(trial)
        }

    def repeats(self) -> int:
        """Return how many of the sampler's latest suggestions in a row were duplicates."""
        count = 0
        for trial in reversed(self._own()):
            attrs = trial.user_attrs
            if not is_interrupted(trial):
                if not attrs.get(DUPLICATE, False) or POINT in attrs:
                    break
                count += 1
        return count

    def start(self, number: int, config: Params, started_ms: int, *, taught: bool) -> None:
        """Record that a trial has started, its parameters, and whether it has a teacher."""
        attrs = {CONFIG: dict(config), TAUGHT: taught, STARTED_MS: started_ms}
        with self._together():
            self._set(number, attrs)

    def _set(self, number: int, attrs: Mapping[str, Any]) -> None:
        for name, value in attrs.items():
            self._open[number].set_user_attr(name, value)

    def complete(
        self,
        number: int,
        values: Sequence[float],
        metrics: Mapping[str, float],
        violations: Mapping[str, float],
        sha256: str = "",
    ) -> None:
        """Close a trial that has all objectives.

        Args:
            number: The trial.
            values: The objectives in the study's order; finite.
            metrics: All its metrics.
            violations: Violation of each constraint; at most 0 is feasible.
            sha256: Of the file with its weights, which must have been written.
        """
        trial = self._open[number]
        with self._together():
            for name, violation in violations.items():
                trial.set_constraint(name, violation)
            self._set(number, {METRICS: dict(metrics), SHA256: sha256})
            self._study.tell(trial, list(values))
        del self._open[number]  # last: the trial stays open if writing fails

    def at_rungs(self, number: int, entries: Sequence[RungEntry]) -> None:
        """Record an open trial's metrics at all its rungs, replacing earlier entries."""
        self._open[number].set_user_attr(RUNGS, [asdict(entry) for entry in entries])

    def curves(self, number: int, curves: str) -> None:
        """Record the learning curves of an open trial, see `sweeps.common.curves`."""
        self._open[number].set_user_attr(CURVES, curves)

    def prune(self, number: int, stop: Stop) -> None:
        """Close a trial that was stopped early; samplers never see its metrics as results."""
        trial = self._open[number]
        trained = [stop.epoch, stop.epochs]
        with self._together():
            for name, violation in stop.violations.items():
                trial.set_constraint(name, violation)
            self._set(number, {REASON: stop.reason, METRICS: dict(stop.metrics), TRAINED: trained})
            self._study.tell(trial, state=TrialState.PRUNED)
        del self._open[number]

    def fail(self, number: int, reason: str, attrs: Mapping[str, Any] | None = None) -> None:
        """Close a failed trial, with further attributes."""
        with self._together():
            self._set(number, {REASON: reason, **(attrs or {})})
            self._study.tell(self._open[number], state=TrialState.FAIL)
        if INTERRUPTED in (attrs or {}):
            self._interrupted.append(number)
        del self._open[number]

    def reject_duplicate(self, number: int, config: Params) -> None:
        """Close a trial that duplicates an earlier one; it never runs and uses no budget."""
        attrs = {DUPLICATE: True, CONFIG: dict(config)}
        self.fail(number, "repeats an earlier configuration", attrs)

    @property
    def running(self) -> tuple[int, ...]:
        """Numbers of the open trials, sorted."""
        return tuple(sorted(self._open))

    def trials(self) -> list[TrialRecord]:
        """Return all trials, ordered by number, duplicates included."""
        return [record_of(trial, number) for number, trial in enumerate(self._own())]

    def trial(self, number: int) -> TrialRecord:
        """Return one trial."""
        storage, study = self._study._storage, self._study._study_id
        at = storage.get_trial_id_from_study_id_trial_number(study, self._earlier + number)
        return record_of(storage.get_trial(at), number)

    @property
    def sweep(self) -> SweepRecord:
        """What is recorded of the sweep as a whole."""
        return SweepRecord(**self._study.user_attrs.get(SWEEP, {}))

    def put_sweep(self, sweep: SweepRecord) -> None:
        """Record facts about the sweep as a whole, replacing earlier ones."""
        if sweep != self.sweep:
            self._study.set_user_attr(SWEEP, asdict(sweep))

    def put_job(self, job: JobRecord) -> None:
        """Record a teacher, baseline or confirmation, replacing an earlier one with its key."""
        self._study.set_user_attr(JOB + job.key, asdict(job))

    def jobs(self) -> list[JobRecord]:
        """Return every teacher, baseline and confirmation, by key."""
        attrs = self._study.user_attrs
        return [JobRecord(**attrs[name]) for name in sorted(attrs) if name.startswith(JOB)]

    def put_export(self, export: ExportRecord) -> None:
        """Record the measurements of an exported student, replacing earlier ones."""
        self._study.set_user_attr(f"{EXPORT}{export.trial}", asdict(export))

    def exports(self) -> dict[int, ExportRecord]:
        """Return the measurements of exported students, by trial."""
        attrs = self._study.user_attrs
        found = [ExportRecord(**attrs[name]) for name in attrs if name.startswith(EXPORT)]
        return {export.trial: export for export in found}

    def put_artifact(self, artifact: ArtifactRecord) -> None:
        """Record a file for MLflow, replacing an earlier one with its path."""
        name = f"{ARTIFACT}{artifact.run}/{artifact.path}"
        if self._study.user_attrs.get(name) != asdict(artifact):
            self._study.set_user_attr(name, asdict(artifact))

    def artifacts(self) -> list[ArtifactRecord]:
        """Return the files recorded for MLflow."""
        attrs = self._study.user_attrs
        return [ArtifactRecord(**attrs[name]) for name in attrs if name.startswith(ARTIFACT)]
