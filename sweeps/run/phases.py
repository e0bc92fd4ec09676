"""Drives a sweep whose data are loaded: opens its records, runs its phases, and summarises it."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from analysis import layout
from kdtasks.contract.error_text import one_line
from kdtasks.contract.errors import UserError
from sweeps.common.clock import SystemClock
from sweeps.common.environment import describe_environment
from sweeps.common.records import TrialRecord
from sweeps.ledger.front import pareto_state
from sweeps.ledger.identity import flat
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import put_text
from sweeps.ledger.student_weights import StudentStore
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.ledger.totals import counts, finished_in_order, lost_methods
from sweeps.plan.needs import Resources, share_data
from sweeps.progress.events import PhaseBegun, SearchStarted
from sweeps.run.confirmation import Confirmation, drawn_teachers
from sweeps.run.resume import Start, num_spent, work_left
from sweeps.run.site import NOWHERE
from sweeps.run.summary import SweepSummary
from sweeps.run.teachers import Teaching
from sweeps.search.proposals import Proposals
from sweeps.search.samplers import known_costs, make_sampler
from sweeps.search.session import SearchSession
from sweeps.tracking.data_inputs import data_inputs
from sweeps.tracking.double_entry import RunRecorder
from sweeps.tracking.writer import Tracker
from sweeps.workers.jobs import Pool


@dataclass(frozen=True, kw_only=True)
class Sweep(Start):
    """The phases of one sweep, and their shared objects."""

    recorder: RunRecorder
    pool: Pool

    @property
    def tracking_uri(self) -> str:
        """MLflow's address of the sweep's runs."""
        return self.settings.tracking_uri or self.folder.tracking_uri

    def work_left(self) -> bool:
        """Return whether anything must be trained or evaluated."""
        return work_left(self.study, self.plan, self.recorder.ledger)

    def searched(self) -> str:
        """Return why the search has ended; empty if it has not."""
        return self.recorder.ledger.milestones.ended(self.study.budget)

    def prepare(self) -> Resources:
        """Share the data and make teachers available."""
        resources = share_data(self.plan.needs, self.data, self.pool)
        self.data.clear()  # workers read the copy in the object store
        self._teach(resources)
        return resources

    def _teach(self, resources: Resources) -> None:
        """Train the teachers that are missing."""
        self.display.handle(PhaseBegun("teachers"))
        with self.interrupts.deferred():
            Teaching(
                resources=resources,
                task_name=self.study.task,
                identities=self.teachers,
                store=TeacherStore(self.folder.teachers),
                pool=self.pool,
                recorder=self.recorder,
                display=self.display,
            ).run()

    def search(self, resources: Resources) -> str:
        """Run the trials; return why the search ended.

        Raises:
            KeyboardInterrupt: If the user stopped it; open trials are closed by then.
        """
        if ended := self.searched():
            return ended
        self.display.handle(PhaseBegun("search"))
        ledger, trials = self.recorder.ledger, self.recorder.ledger.trials()
        ledger.use(partial(make_sampler, self.study, known_costs(self.study, self.plan.task)))
        self._announce(trials)
        ledger.milestones.begin_session(self.recorder.clock.epoch_ms())
        shutil.rmtree(self.folder.scratch, ignore_errors=True)
        session = SearchSession(
            study=self.study,
            task=self.plan.task,
            resources=resources,
            proposals=Proposals(self.study, self.plan.task, ledger, self.recorder.clock),
            recorder=self.recorder,
            students=StudentStore(self.folder.weights),
            display=self.display,
            utilisation=self.utilisation,
            before=finished_in_order(trials),
        )
        with closing_trials(session):
            try:
                with self.interrupts.deferred(), self.recorder.deferring():
                    self.site.search(session, self.folder.scratch, self.interrupts)
            finally:
                shutil.rmtree(self.folder.scratch, ignore_errors=True)
        session.closed()
        ledger.milestones.end_search(self.study.budget, session.proposals.ended)
        return session.proposals.ended

    def _announce(self, trials: Sequence[TrialRecord]) -> None:
        budget, spent = self.study.budget, num_spent(self.recorder.ledger)
        time_s = budget.time_s
        if time_s is not None:
            time_s = max(0.0, time_s - self.recorder.ledger.milestones.searched_s(trials))
        slots = self.site.allocation.slots
        self.display.handle(SearchStarted(budget.trials - spent, time_s, slots))
        if spent:
            self.display.note(f"{spent} of {budget.trials} trials were run before")

    def confirm(self, resources: Resources) -> None:
        """Evaluate on the test split, after training the teachers that repetitions draw."""
        drawn = drawn_teachers(self.study, self.plan.task, self.recorder.ledger.trials())
        if drawn:
            resources.needs = (*resources.needs, *drawn)
            self._teach(resources)
        self.display.handle(PhaseBegun("confirm"))
        confirmation = Confirmation(
            study=self.study,
            task=self.plan.task,
            resources=resources,
            students=StudentStore(self.folder.weights),
            pool=self.pool,
            recorder=self.recorder,
            display=self.display,
        )
        with self.interrupts.deferred():
            failures = confirmation.run()
        if failures:
            self.display.note(f"{failures} jobs of the confirmation failed; see the report")

    def report(self) -> Path:
        """Write the report and attach it."""
        # imported late: figures take seconds, for which the first trial need not wait
        from analysis.report import build_report
        from sweeps.tracking.read import sweep_frames

        self.display.handle(PhaseBegun("report"))
        page = build_report(sweep_frames(self.folder.path), self.folder.report)
        self.recorder.attach_report([page.with_name(name) for name in layout.REPORT_FILES])
        return page


@contextmanager
def closing_trials(session: SearchSession) -> Iterator[None]:
    """Close trials that are open when the search ends, and raise the session's fault."""
    ended_by: BaseException | None = None
    try:
        yield
    except BaseException as error:
        ended_by = error
        raise
    finally:
        try:
            session.abandon(_ending(session.fault or ended_by))
        except UserError as fault:  # a full disk; trials stay open until the sweep is resumed
            session.fault = session.fault or fault
    if session.fault is not None:
        raise session.fault


def _ending(error: BaseException | None) -> str:
    """Return why trials were left open."""
    if error is None or isinstance(error, KeyboardInterrupt):
        return "interrupted by the user"
    return f"interrupted by an error of the sweep itself: {one_line(error)}"


def drive(run: Sweep) -> SweepSummary:
    """Complete a sweep and return its summary.

    Raises:
        UserError: If a teacher cannot be trained, or MLflow does not answer.
    """
    clock = run.recorder.clock
    started_s = clock.elapsed_s()
    ended, interrupted = run.searched(), False
    try:
        try:
            if run.work_left():
                with run.ray:
                    resources = run.prepare()
                    ended = run.search(resources)
                    run.confirm(resources)
        except KeyboardInterrupt:
            interrupted, ended = True, "the user stopped the sweep"
        if lost := run.recorder.lost():
            interrupted, ended = True, lost
        run.display.handle(PhaseBegun("record"))
        run.recorder.settle(run.utilisation, "KILLED" if interrupted else "FINISHED")
    except BaseException:
        run.recorder.give_up()
        raise
    report = None if interrupted else run.report()
    trials = run.recorder.ledger.trials()
    order = pareto_state(trials, run.study)
    totals = counts(trials)
    return SweepSummary(
        name=run.folder.name,
        folder=run.folder.path,
        tracking_uri=run.tracking_uri,
        complete=totals["trials_complete"],
        pruned=totals["trials_pruned"],
        epochs_saved=totals["epochs_saved"],
        failed=totals["trials_failed"],
        lost_methods=lost_methods(trials),
        jobs_failed=sum(bool(job.reason) for job in run.recorder.ledger.jobs()),
        confirmations=run.recorder.confirmed(),
        front=order.rows,
        hypervolume=order.hypervolume,
        report=report,
        interrupted=interrupted,
        ended=ended,
        seconds=clock.elapsed_s() - started_s,
        utilisation=run.utilisation.share(),
    )


def open_sweep(start: Start) -> Sweep:
    """Open the records of a sweep.

    Raises:
        UserError: If MLflow does not answer.
    """
    recorder = _open_recorder(start)
    put_text(start.folder.path / layout.VIEWS_FILE, json.dumps(recorder.offer_views()))
    if start.site is not NOWHERE:  # else the site was described when trials ran
        recorder.attach(layout.ENVIRONMENT_FILE, describe_environment(start.site.allocation))
    task, contents = start.study.task, start.identity.data
    found = {
        key: {**scenario.provenance, "content": flat(contents[key])}
        for key, scenario in start.data.items()
    }
    recorder.attach(layout.PROVENANCE_FILE, found)
    data = start.data.items()
    recorder.attach_data(
        [one for key, scenario in data for one in data_inputs(task, key, scenario, contents[key])]
    )
    recorder.attach_file(start.folder.study)
    pool = start.site.pool(start.interrupts)
    return Sweep(**vars(start), recorder=recorder, pool=pool)


def _open_recorder(start: Start) -> RunRecorder:
    folder, study = start.folder, start.study
    settings, ledger = start.settings, start.ledger
    clock, tracker = SystemClock(), None
    if ledger is None:
        ledger = Ledger.create(folder.journal, study, start.earlier)
    else:
        tracker = Tracker.resume(folder, settings.tracking_uri, settings.id)
    ledger.identify(start.identity)
    if (started_ms := ledger.sweep.started_ms) is None:
        begun = [trial.started_ms for trial in ledger.trials() if trial.started_ms is not None]
        started_ms = min(begun, default=clock.epoch_ms())
        ledger.put_sweep(replace(ledger.sweep, started_ms=started_ms))
    if tracker is None:
        tracker = Tracker.start(folder, settings.tracking_uri, study, started_ms, settings.id)
    recorder = RunRecorder(folder, ledger, tracker, clock, start.display)
    recorder.lost = start.lost
    recorder.catch_up()
    return recorder
