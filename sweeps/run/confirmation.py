"""Confirmation after the search: repeats candidates and evaluates references on the test split."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from analysis import pareto
from analysis.fronts import split_label
from analysis.knee import find_echoes, knee
from kdtasks.contract.params import Params, Value
from kdtasks.contract.task import Baseline, KDTask
from search_spaces.study import Study
from sweeps.common.curves import thinned
from sweeps.common.events import Event, Training
from sweeps.common.records import JobKind, JobRecord, TrialRecord, TrialState
from sweeps.ledger.front import ParetoState, pareto_state, ranked, values_of
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.student_weights import StudentStore
from sweeps.plan.needs import (
    Need,
    Resources,
    by_baselines,
    by_teacher,
    data_facts,
    need_of,
    with_teacher,
)
from sweeps.progress.events import Display, JobFinished, JobReported, JobsPlanned
from sweeps.workers import jobs
from sweeps.workers.jobs import Handle, Job, Pool

if TYPE_CHECKING:
    from sweeps.tracking.double_entry import RunRecorder


Work = Callable[..., Training[Any]]
"""A function of `sweeps.workers.jobs`, of a task's name and parameters first."""


def candidates(study: Study, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the trials to evaluate on the test split, most important first."""
    return [trial for wave in waves(study, trials) for trial in wave]


def waves(study: Study, trials: Sequence[TrialRecord]) -> list[list[TrialRecord]]:
    """Return the candidates in groups; each group is repeated with all seeds before the next.

    The knee of the front comes first, which is exported by default, then its other members, then
    the best of each combination of ``confirm.each``, then trials near the front, the nearest
    first. The study's limit counts the front and what is near.
    """
    if study.confirm.select == "none":
        return []
    order = pareto_state(trials, study)
    limit = study.confirm.limit
    first = _knee(study, trials, order)
    if study.confirm.select == "all":
        last = len(ranked(trials))
        complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        complete.sort(
            key=lambda one: (one not in first, order.ranks.get(one.number, last), one.number)
        )
        return [complete[:limit]]
    by_number = {trial.number: trial for trial in trials}
    front = [one for row in order.rows if (one := by_number[row.number]) not in first]
    near = _near(study, trials)
    if limit is not None:
        near = near[: max(0, limit - len(order.rows))]
        front = thinned(front, limit - len(first))
    front = [*first, *front]
    taken = {trial.number for trial in [*front, *near]}
    return [front, [one for one in _best_of_each(study, trials) if one.number not in taken], near]


def _knee(study: Study, trials: Sequence[TrialRecord], order: ParetoState) -> list[TrialRecord]:
    """Return the trial at the knee of the front, if there is one, as `knee_trial` finds it."""
    if not order.rows:
        return []
    goals = study.objectives
    costs = [not split_label(goal) for goal in goals]
    echoes = find_echoes(values_of(ranked(trials), study), goals, costs)
    values = [[row.objectives[goal.metric] for goal in goals] for row in order.rows]
    number = order.rows[knee(values, goals, echoes)].number
    return [trial for trial in trials if trial.number == number]


def _best_of_each(study: Study, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the best trial of each combination of values of ``confirm.each``."""
    if not study.confirm.each:
        return []
    goal = study.objectives[0]
    sign = 1.0 if goal.direction == "minimize" else -1.0
    best: dict[tuple[Value | None, ...], TrialRecord] = {}
    order = sorted(
        ranked(trials), key=lambda trial: (sign * trial.metrics[goal.metric], trial.number)
    )
    for trial in order:
        best.setdefault(tuple(trial.config.get(name) for name in study.confirm.each), trial)
    return list(best.values())


def _near(study: Study, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return trials within ``confirm.epsilon`` of the front but not on it, the nearest first."""
    members = ranked(trials)
    behind = pareto.behind_front(values_of(members, study), study.objectives).tolist()
    found = sorted(
        (distance, trial.number, trial)
        for distance, trial in zip(behind, members, strict=True)
        if 0.0 < distance <= study.confirm.epsilon
    )
    return [trial for _, _, trial in found]


def open_jobs(
    study: Study, task: KDTask, needs: Sequence[Need], ledger: Ledger
) -> list[tuple[JobKind, str]]:
    """Return kind and key of the jobs of this phase that are not done yet."""
    trials = ledger.trials()
    taught = by_teacher([*needs, *drawn_teachers(study, task, trials)])
    wanted: list[tuple[JobKind, str]] = [("teacher", key) for key in taught]
    wanted += [("baseline", key) for key in by_baselines(needs, task)]
    for trial in candidates(study, trials):
        own = (trial.config["seed"],)
        seeds = study.seeds.confirm if study.confirm.retrain else own
        wanted += [("confirmation", _repetition(trial, seed)) for seed in seeds]
    done = ledger.milestones.closed_jobs() | {
        job.key for job in ledger.jobs() if job.trial is not None
    }
    return [entry for entry in wanted if "/".join(entry) not in done]


def drawn_teachers(study: Study, task: KDTask, trials: Sequence[TrialRecord]) -> list[Need]:
    """Return the needs of repetitions that may have another teacher than their trial."""
    if study.confirm.teachers == 1:
        return []
    return [
        need_of(task, repeated_params(study, task, trial, seed))
        for trial in candidates(study, trials)
        for seed in study.seeds.confirm
    ]


def repeated_params(study: Study, task: KDTask, trial: TrialRecord, seed: int) -> dict[str, Value]:
    """Return what a trial's repetition with one of ``seeds.confirm`` is given.

    Its teacher is trained with the trial's ``teacher_seed`` plus the place of the seed modulo
    ``confirm.teachers``.
    """
    params = task.complete({**trial.config, "seed": seed})
    return with_teacher(task, params, study.seeds.confirm.index(seed) % study.confirm.teachers)


def _repetition(trial: TrialRecord, seed: Value) -> str:
    return f"{trial.number}/{seed}"


@dataclass(kw_only=True)
class Confirmation:
    """The phase that evaluates on the test split."""

    study: Study
    task: KDTask
    resources: Resources
    students: StudentStore
    pool: Pool
    recorder: "RunRecorder"
    display: Display

    def run(self) -> int:
        """Evaluate references and candidates on the test split; return the number of failed jobs.

        A failed job is recorded and the others continue.
        """
        # workers can read the test splits only from now on
        tests = {key: self.pool.put(dict(s.test)) for key, s in self.resources.scenarios.items()}
        left = set(open_jobs(self.study, self.task, self.resources.needs, self.recorder.ledger))
        drafts = [*self._references(tests), *self._repetitions(tests)]
        drafts = [entry for entry in drafts if (entry[0].kind, entry[0].key) in left]
        for kind in ("teacher", "baseline", "confirmation"):
            count = sum(job.kind == kind for job, _ in drafts)
            self.display.handle(JobsPlanned(kind, count))
        entries = {(job.kind, job.key): record for job, record in drafts}
        facts = data_facts(self.resources.needs, self.task)
        failures = 0
        for job, event in self.pool.run([job for job, _ in drafts]):
            if not event.done:
                shown = JobReported(job.kind, job.key, event.epoch, event.epochs)
                self.display.handle(shown)
                continue
            failures += bool(event.reason)
            self.display.handle(JobFinished(job.kind, job.key, event.reason))
            for record in _results(entries[job.kind, job.key], event, facts.get(job.key, {})):
                self._record(record)
            self.recorder.ledger.milestones.close_job(job.kind, job.key)
        return failures

    def _record(self, record: JobRecord) -> None:
        known = {job.key: job for job in self.recorder.ledger.jobs()}.get(record.key)
        if known is None:
            ended_ms = self.recorder.clock.epoch_ms()
            wall_ms = int(1000 * record.metrics.get("trial_wall_s", 0.0))
            self.recorder.job(replace(record, started_ms=ended_ms - wall_ms, ended_ms=ended_ms))
        elif record.kind == "teacher":
            metrics = {**known.metrics, **record.metrics}
            judged = replace(known, metrics=metrics, reason=record.reason)
            self.recorder.job(replace(judged, traceback=record.traceback))

    def _references(self, tests: dict[str, Handle]) -> Iterator[tuple[Job, JobRecord]]:
        for key, need in by_teacher(self.resources.needs).items():
            teacher, test = self.resources.teachers[key], tests[need.scenario]
            yield self._job("teacher", key, jobs.assess_teacher, need.params, teacher, test)
        for key, need in by_baselines(self.resources.needs, self.task).items():
            scenario = self.resources.scenarios[need.scenario]
            args = (scenario.train, scenario.val, tests[need.scenario], dict(scenario.provenance))
            yield self._job("baseline", key, jobs.assess_baselines, need.params, *args)

    def _repetitions(self, tests: dict[str, Handle]) -> Iterator[tuple[Job, JobRecord]]:
        for wave in waves(self.study, self.recorder.ledger.trials()):
            if not self.study.confirm.retrain:
                for trial in wave:
                    yield self._by_weights(trial, tests)
                continue
            # seed by seed, so that a stopped sweep has evaluated as many trials as possible
            for seed in self.study.seeds.confirm:
                for trial in wave:
                    yield self._by_training(trial, seed, tests)

    def _by_weights(self, trial: TrialRecord, tests: dict[str, Handle]) -> tuple[Job, JobRecord]:
        params = dict(trial.config)
        test = tests[self.task.scenario_fingerprint(params)]
        job, draft = self._repeating(trial, params, jobs.confirm_by_weights, test)
        return replace(job, load=lambda: (self.students.get(trial.number, trial.sha256),)), draft

    def _by_training(
        self, trial: TrialRecord, seed: int, tests: dict[str, Handle]
    ) -> tuple[Job, JobRecord]:
        params = repeated_params(self.study, self.task, trial, seed)
        need = need_of(self.task, params)
        scenario = self.resources.scenarios[need.scenario]
        teacher = None if need.teacher is None else self.resources.teachers[need.teacher]
        args = (scenario.train, scenario.val, teacher, tests[need.scenario])
        return self._repeating(trial, params, jobs.confirm_by_training, *args)

    def _job(
        self, kind: JobKind, key: str, function: Work, params: Params, *args: Any
    ) -> tuple[Job, JobRecord]:
        """Return a job, and what is known of its record before it has run."""
        given, name = dict(params), f"{kind}/{key}"
        job = Job(kind=kind, key=key, function=function, args=(self.study.task, given, *args))
        return job, JobRecord(kind=kind, key=name, params=given, started_ms=0, ended_ms=0)

    def _repeating(
        self, trial: TrialRecord, params: Params, function: Work, *args: Any
    ) -> tuple[Job, JobRecord]:
        key = _repetition(trial, params["seed"])
        job, draft = self._job("confirmation", key, function, params, *args)
        need = need_of(self.task, params)
        return job, replace(
            draft, trial=trial.number, scenario=need.scenario, teacher=need.teacher or ""
        )


def _results(draft: JobRecord, event: Event, data: Params) -> Iterator[JobRecord]:
    """Yield the results of a job, which may be several baselines.

    Args:
        draft: What is known of it.
        event: Its end.
        data: In what its data differ from those of other baselines; what of this a baseline does
            not have among its parameters is added to them and to its name.
    """
    if event.reason:
        yield replace(draft, reason=event.reason, traceback=event.traceback)
    elif draft.kind == "baseline":
        found: list[Baseline] = event.result
        for baseline in found:
            missing = {name: data[name] for name in data if name not in baseline.params}
            # whole paths, too: two folders may have equal last parts
            labels = [f"{name} {value}" for name, value in missing.items()]
            yield replace(
                draft,
                key=f"baseline/{', '.join([baseline.name, *labels])}",
                params={**baseline.params, **missing},
                metrics={name: float(value) for name, value in baseline.metrics.items()},
            )
    else:
        yield replace(draft, metrics=event.result)
