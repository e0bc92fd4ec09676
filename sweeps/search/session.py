"""The running search: hands out trials, judges and records their results.

Ray Tune drives it through `sweeps.search.tune_adapters`; it does not depend on Ray.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from types import MappingProxyType

from kdtasks.contract.task import Arrays, KDTask, Outcome
from search_spaces.study import Study
from sweeps.common.curves import Curves
from sweeps.common.environment import return_free_memory
from sweeps.common.events import Event, WorkFailedError, at_work
from sweeps.common.records import FailureKind, Stop, TrialRecord, TrialState
from sweeps.ledger.front import ParetoState, pareto_state, undominated
from sweeps.ledger.optuna_trials import FAILURE, INTERRUPTED, METRICS, TRACEBACK
from sweeps.ledger.student_weights import StudentStore
from sweeps.plan.needs import Resources, need_of
from sweeps.progress import events
from sweeps.progress.events import Display
from sweeps.progress.state import Utilisation
from sweeps.search.asha import EarlyStopping
from sweeps.search.proposals import Proposals
from sweeps.search.verdict import judge
from sweeps.tracking.double_entry import RunRecorder
from sweeps.workers.jobs import Assignment

SOME_TRIALS = 100
"""After so many trials the driver's free memory is returned to the system."""


@dataclass(kw_only=True)
class SearchSession:
    """One search.

    Attributes:
        before: Complete trials of earlier drivers.
        pareto_state: Pareto order of those that no other dominates.
        fault: An error of the engine, raised where that is safe.
    """

    study: Study
    task: KDTask
    resources: Resources
    proposals: Proposals
    recorder: RunRecorder
    students: StudentStore
    display: Display
    utilisation: Utilisation
    before: InitVar[Sequence[TrialRecord]] = ()
    complete: int = field(init=False)
    pareto_state: ParetoState = field(init=False)
    fault: Exception | None = None

    def __post_init__(self, before: Sequence[TrialRecord]) -> None:
        self.complete = len(before)
        self._undominated = undominated(before, self.study)
        self.pareto_state = pareto_state(self._undominated, self.study)
        self._numbers: dict[str, int] = {}
        self._stopped: dict[int, Stop] = {}
        self._weights: dict[str, Arrays] = {}
        self._early = EarlyStopping(self.study, self.task, self.recorder.ledger)
        self._curves = Curves(self.study)
        self._noted_lack = False
        self._noted_below: set[str] = set()
        self.utilisation.begin()

    def assign(self, trial_id: str) -> Assignment | None:
        """Return the assignment of trial process ``trial_id``; None if there is nothing left."""
        while (proposal := self.proposals.next()) is not None:
            self._show_refused()
            try:
                with at_work():
                    need = need_of(self.task, proposal.config)
            except WorkFailedError as failed:  # an error of the task fails only this trial
                trace = {TRACEBACK: failed.traceback}
                self._fail(proposal.number, failed.kind, failed.reason, trace)
                continue
            if lack := self.resources.lack(need):
                self._fail(proposal.number, FailureKind.NOT_PREPARED, lack)
                continue
            if stop := self._early.before(proposal.number, proposal.config):
                self._stop(proposal.number, stop)
                continue
            self._numbers[trial_id] = proposal.number
            self._curves.begin(proposal.number, proposal.config)
            return Assignment(
                number=proposal.number,
                config=proposal.config,
                scenario=need.scenario,
                teacher=need.teacher,
            )
        self._show_refused()
        return None

    def _show_refused(self) -> None:
        for number in self.proposals.refused:
            record = self.recorder.trial(number)
            kind = record.failure or FailureKind.REFUSED
            self.display.handle(events.TrialFailed(number, kind, record.reason))
        self.proposals.refused.clear()

    def started(self, trial_id: str) -> None:
        """Record that the process of a trial runs."""
        number = self._numbers[trial_id]
        self.utilisation.started(number)
        self.display.handle(events.TrialStarted(number, self.recorder.ledger.trial(number).params))

    def reported(self, trial_id: str, event: Event) -> None:
        """Forward a report of a running trial."""
        if not event.done:
            number = self._numbers[trial_id]
            self._curves.add(number, event)
            shown = events.TrialReported(number, event.epoch, event.epochs, event.metrics)
            self.display.handle(shown)

    def received(self, trial_id: str, event: Event) -> Event:
        """Move the student out of an event of its trial; `finished` stores or drops it."""
        if not isinstance(event.result, Outcome):
            return event
        self._weights[trial_id] = event.result.weights
        return replace(event, result=event.result.metrics)

    def stops(self, trial_id: str, event: Event) -> bool:
        """Return whether a trial must stop after this event; `finished` closes it."""
        number = self._numbers[trial_id]
        stop = self._early.after(number, event)
        if self._early.lacking and not self._noted_lack:
            self._noted_lack = True
            self.display.note(
                f"trial {number} reports no {', '.join(sorted(self._early.lacking))} at "
                f"{event.epoch} of {event.epochs} epochs: such trials are not stopped there"
            )
        if stop is not None:
            self._stopped[number] = stop
        return stop is not None

    def finished(self, trial_id: str, event: Event | None) -> None:
        """Close a trial after its last event, which is None if its process died."""
        number = self._numbers.pop(trial_id)
        if number % SOME_TRIALS == 0:
            return_free_memory()
        weights = self._weights.pop(trial_id, {})
        self._note_curves(number)
        if stop := self._stopped.pop(number, None):
            self.utilisation.ended(number, math.nan)
            self._stop(number, stop)
            return
        if event is None:
            reason = "its process died, also when it was retried"
            event = Event(done=True, reason=reason, kind=FailureKind.PROCESS_DIED)
        metrics = event.result or {}
        self.utilisation.ended(number, metrics.get("trial_wall_s", math.nan))
        if event.reason:
            self._fail(number, event.kind, event.reason, {TRACEBACK: event.traceback})
            return
        verdict = judge(self.study, metrics)
        if verdict.reason:
            self._fail(number, verdict.kind, verdict.reason, {METRICS: metrics})
            return
        self._note_below(number, metrics)
        # a complete trial must have its student
        sha256 = self.students.put(number, weights)
        self._early.ended(number, TrialState.COMPLETE)
        self.recorder.ledger.complete(number, verdict.values, metrics, verdict.violations, sha256)
        self._rank(self.recorder.trial(number))
        self.display.handle(events.TrialFinished(number, metrics))
        state = self.pareto_state
        self.display.handle(events.FrontChanged(state.rows, state.hypervolume))

    def _note_below(self, number: int, metrics: Mapping[str, float]) -> None:
        """Tell the user once per objective that a value lies below the logarithmic scale."""
        for goal in self.study.objectives:
            if metrics[goal.metric] < goal.floor and goal.metric not in self._noted_below:
                self._noted_below.add(goal.metric)
                self.display.note(
                    f"{goal.metric} of trial {number} is {metrics[goal.metric]:g}: hypervolume and "
                    f"figures place it at {goal.floor:g}, the end of its logarithmic scale, a "
                    "millionth of the reference"
                )

    def _note_curves(self, number: int) -> None:
        if curves := self._curves.end(number):
            self.recorder.ledger.curves(number, curves)

    def _rank(self, record: TrialRecord) -> None:
        self.complete += 1
        self._undominated = undominated([*self._undominated, record], self.study)
        self.pareto_state = pareto_state(self._undominated, self.study)
        self.recorder.hypervolume(self.complete, self.pareto_state.hypervolume)

    def _stop(self, number: int, stop: Stop) -> None:
        self._early.ended(number, TrialState.PRUNED)
        self.recorder.ledger.prune(number, stop)
        self.recorder.trial(number)
        self.display.handle(events.TrialStopped(number, stop.epoch, stop.epochs))

    def _fail(
        self,
        number: int,
        kind: FailureKind,
        reason: str,
        attrs: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self._early.ended(number, TrialState.FAIL)
        self.recorder.ledger.fail(number, reason, {FAILURE: kind.value, **attrs})
        self.recorder.trial(number)
        self.display.handle(events.TrialFailed(number, kind, reason))

    def closed(self) -> None:
        """Tell the user, at the end of the search, which kept kinds have no finished trial."""
        if missing := self._early.missing():
            self.display.note(
                f"stopping.keep: no trial finished with {', '.join(missing)}; they were not "
                "proposed, violate constraints, or failed"
            )

    def abandon(self, reason: str) -> None:
        """Close all open trials as interrupted, for ``reason``; they run again on resume."""
        running = self.recorder.ledger.running
        for number in running:
            self.utilisation.ended(number, math.nan)
        for number in running:
            self._note_curves(number)
            self._fail(number, FailureKind.INTERRUPTED, reason, {INTERRUPTED: True})
        self._numbers.clear()
        self._stopped.clear()
