"""The phases of a sweep: teachers, search, confirmation, report."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from analysis import layout
from kdtasks.contract.error_text import one_line
from kdtasks.contract.errors import UserError
from kdtasks.contract.task import ScenarioData
from search_spaces.study import Study
from sweeps.common.interrupts import BackgroundContext, Interrupts
from sweeps.common.records import TrialRecord
from sweeps.ledger.front import pareto_state
from sweeps.ledger.identity import TeacherIdentity
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.student_weights import StudentStore
from sweeps.ledger.teacher_cache import TeacherStore
from sweeps.ledger.totals import finished_in_order
from sweeps.plan.needs import Resources, share_data
from sweeps.plan.preflight import Plan
from sweeps.progress.events import Display, PhaseBegun, SearchStarted
from sweeps.progress.utilisation import Utilisation
from sweeps.run.confirmation import Confirmation, drawn_teachers
from sweeps.run.resume import num_spent, work_left
from sweeps.run.site import Site
from sweeps.run.teachers import prepare_teachers
from sweeps.search.proposals import Proposals
from sweeps.search.samplers import known_costs, make_sampler
from sweeps.search.session import SearchSession
from sweeps.tracking.double_entry import RunRecorder
from sweeps.workers.jobs import Pool


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The phases of one sweep, and their shared objects."""

    study: Study
    plan: Plan
    folder: SweepFolder
    tracking_uri: str
    site: Site
    data: dict[str, ScenarioData]
    teachers: Mapping[str, TeacherIdentity]
    recorder: RunRecorder
    display: Display
    interrupts: Interrupts
    pool: Pool
    utilisation: Utilisation
    ray: BackgroundContext

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
            prepare_teachers(
                resources,
                self.study.task,
                self.teachers,
                store=TeacherStore(self.folder.teachers),
                pool=self.pool,
                recorder=self.recorder,
                display=self.display,
            )

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
        complete = finished_in_order(trials)
        session = SearchSession(
            study=self.study,
            task=self.plan.task,
            resources=resources,
            proposals=Proposals(self.study, self.plan.task, ledger, self.recorder.clock),
            recorder=self.recorder,
            students=StudentStore(self.folder.weights),
            display=self.display,
            utilisation=self.utilisation,
            complete=complete,
            pareto_state=pareto_state(complete, self.study),
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
