"""Records results in the ledger first, then in MLflow and in the file of results.

MLflow may be unreachable for a while: `settle` writes missing entries.
"""

import hashlib
import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeAlias

from analysis import layout
from kdtasks.contract.errors import UserError
from sweeps.common.clock import Clock
from sweeps.common.records import ArtifactRecord, JobRecord, TrialRecord
from sweeps.common.secrets import redacted
from sweeps.ledger.front import pareto_state
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.totals import counts, faults, finished_in_order, paid
from sweeps.progress.events import Display
from sweeps.progress.state import Utilisation
from sweeps.tracking.client import DatasetInput, TrackingError
from sweeps.tracking.results import write_results
from sweeps.tracking.runs import (
    ChildRun,
    Status,
    child_of_job,
    child_of_trial,
    ended_children,
    ranked_children,
)
from sweeps.tracking.writer import Tracker

Write: TypeAlias = Callable[[], None]
"""Writes an entry to MLflow."""

PAUSE_S = 600.0
"""Pause of writing after MLflow did not answer [s], because every attempt delays the search.

With an attempt of ten seconds in `sweeps.tracking.writer`, that costs less than 2 % of the time.
"""


class RunRecorder:
    """The ledger, MLflow and the file of results of one sweep."""

    def __init__(
        self, folder: SweepFolder, ledger: Ledger, tracker: Tracker, clock: Clock, display: Display
    ) -> None:
        self.study = ledger.study
        self._folder = folder
        self.ledger = ledger
        self.tracker = tracker
        self.clock = clock
        self.lost: Callable[[], str] = lambda: ""
        """Why this driver no longer owns the sweep and may not write MLflow; empty if it does."""
        self._display = display
        self._warned = False
        self._away_until_s = -math.inf
        # files that could not be written to MLflow
        self._unattached: list[Write] = []
        # pending writes with their turn of the search; None: writes are immediate
        self._pending_writes: deque[tuple[int, Write]] | None = None
        self._turn = 0

    @contextmanager
    def deferring(self) -> Iterator[None]:
        """Delay writes of trials until `flush_one` or the end: a write takes about 20 ms.

        Free slots then get their next trial first.
        """
        self._pending_writes = deque()
        try:
            yield
        finally:
            pending, self._pending_writes = self._pending_writes, None
            for _, write in pending:
                self._try(write)

    def flush_one(self) -> None:
        """Write one pending entry from before the last call to MLflow.

        Called in turns of the search without reports, or when many entries are pending.
        """
        self._turn += 1
        if self._pending_writes and self._pending_writes[0][0] < self._turn - 1:
            self._try(self._pending_writes.popleft()[1])

    @property
    def num_pending(self) -> int:
        """Number of pending writes."""
        return len(self._pending_writes or ())

    def _submit(self, write: Write) -> None:
        if self._pending_writes is None:
            self._try(write)
        else:
            self._pending_writes.append((self._turn, write))

    def trial(self, number: int) -> TrialRecord:
        """Write an ended trial to MLflow and return it."""
        record = self.ledger.trial(number)
        self._submit(lambda: self.tracker.write(child_of_trial(record)))
        return record

    def job(self, job: JobRecord) -> None:
        """Record a teacher, a baseline or a confirmation, or more metrics of it."""
        self.ledger.put_job(job)
        self._try(lambda: self.tracker.write(child_of_job(job)))

    def hypervolume(self, finished: int, value: float) -> None:
        """Record the hypervolume after a number of finished trials."""
        now_ms = self.clock.epoch_ms()
        self._submit(lambda: self.tracker.hypervolume(finished, value, now_ms))

    def attach(self, name: str, facts: Mapping[str, object]) -> None:
        """Attach JSON facts to the sweep's run, at the end if MLflow does not answer now."""
        text = json.dumps(facts, indent=1, default=str)
        known = self.ledger.sweep
        self.ledger.put_sweep(replace(known, texts={**known.texts, name: text}))
        self._record_hash(name, text.encode())
        self._attach(lambda: self.tracker.text(name, text))

    def attach_file(self, path: Path) -> None:
        """Attach a file to the sweep's run, at the end if MLflow does not answer now."""
        self._record_hash(path.name, path.read_bytes())
        self._attach(lambda: self.tracker.files([path], ""))

    def _record_hash(self, path: str, content: bytes) -> None:
        """Record the hash of a file that is attached to the sweep's run."""
        digest = hashlib.sha256(content).hexdigest()
        self.ledger.put_artifact(ArtifactRecord(run="", path=path, sha256=digest))

    def attach_data(self, inputs: Sequence[DatasetInput]) -> None:
        """Record the data of the sweep, at the end if MLflow does not answer now."""
        self._attach(lambda: self.tracker.data(inputs))

    def _attach(self, write: Write) -> None:
        if not self._try(write):
            self._unattached.append(write)

    def attach_report(self, paths: Sequence[Path]) -> None:
        """Attach the report's files to the sweep's run, after `settle`."""
        if self.lost():
            return
        try:
            for path in paths:
                self._record_hash(f"report/{path.name}", path.read_bytes())
            self.write_results()  # once more, as the ledger has grown
            self.tracker.files(paths, "report")
        except (TrackingError, OSError) as error:
            self._display.note(
                f"MLflow: {redacted(str(error))}; the report is in the sweep's folder, and kdsweep "
                "resume attaches it"
            )

    def write_results(self) -> None:
        """Write the file of results; without it commands read the ledger."""
        try:
            write_results(self._folder, self.ledger)
        except UserError as error:
            self._display.note(str(error))

    def confirmed(self) -> int:
        """Return the number of successful confirmations."""
        return sum(job.kind == "confirmation" and not job.reason for job in self.ledger.jobs())

    @property
    def _away(self) -> bool:
        """Whether MLflow did not answer recently, or another driver owns it."""
        return bool(self.lost()) or self.clock.elapsed_s() < self._away_until_s

    def _try(self, write: Write) -> bool:
        """Write an entry unless MLflow is away; return whether it was written."""
        if self._away:
            return False
        try:
            write()
        except (TrackingError, OSError) as error:
            self._away_until_s = self.clock.elapsed_s() + PAUSE_S
            if not self._warned:
                why = redacted(str(error))
                self._display.note(f"MLflow: {why}; missing entries are written at the end")
            self._warned = True
            return False
        return True

    def give_up(self) -> None:
        """Close the sweep's run after an error, or delete it if it is empty."""
        self._warned = True  # the error itself is reported
        if not (self.ledger.trials() or self.ledger.jobs()):
            self._try(self.tracker.discard)
            return
        self._try(lambda: self.tracker.end("FAILED", self.clock.epoch_ms()))

    def offer_views(self) -> list[tuple[str, str]]:
        """Store views of the sweep in MLflow; return their titles and addresses."""
        offered: list[tuple[str, str]] = []
        self._try(lambda: offered.extend(self.tracker.offer_views(self.study)))
        return offered

    def catch_up(self) -> None:
        """Write missing entries of the ledger to MLflow, as far as it answers."""
        ledger = self.ledger
        trials = ledger.trials()
        children = ended_children(trials, ledger.jobs(), ledger.exports())
        self._try(lambda: self._write_missing(children, trials))

    def _write_missing(self, children: Iterable[ChildRun], trials: Sequence[TrialRecord]) -> None:
        self.tracker.write_missing(children)
        done = finished_in_order(trials)
        known = self.tracker.hypervolumes()
        for finished, last in enumerate(done, start=1):
            if finished not in known:
                volume = pareto_state(done[:finished], self.study).hypervolume
                self.tracker.hypervolume(finished, volume, last.ended_ms or 0)

    def settle(self, utilisation: Utilisation, status: Status = "FINISHED") -> None:
        """Write missing entries, ranks and counts to MLflow, and close the sweep's run.

        With ``KILLED``, for a sweep that the user stopped, it does not wait for a MLflow that did
        not answer recently. If another driver owns the sweep, it does nothing.

        Raises:
            UserError: If MLflow still does not answer.
        """
        if self.lost():
            return
        known, now_ms = self.ledger.sweep, self.clock.epoch_ms()
        shares = {
            layout.UTILISATION: utilisation.share(),
            layout.UTILISATION_WHOLE: utilisation.whole(),
        }
        metrics = {name: share for name, share in shares.items() if not math.isnan(share)}
        self.ledger.put_sweep(replace(known, ended_ms=now_ms, metrics={**known.metrics, **metrics}))
        stopped = status == "KILLED"
        try:
            if stopped and self._away:
                raise _unsettled("it did not answer recently", stopped=stopped)
            self._settle()
            self.tracker.end(status, now_ms)
        except (TrackingError, OSError) as error:
            self._away_until_s = self.clock.elapsed_s() + PAUSE_S
            raise _unsettled(redacted(str(error)), stopped=stopped) from error
        finally:
            self.write_results()

    def _settle(self) -> None:
        while self._unattached:
            self._unattached[0]()
            del self._unattached[0]
        trials, jobs = self.ledger.trials(), self.ledger.jobs()
        children = ranked_children(trials, jobs, self.ledger.exports(), self.study)
        self._write_missing(children, trials)
        facts = {**counts(trials), **paid(trials), **self.ledger.sweep.metrics}
        self.tracker.facts(facts, self.clock.epoch_ms())
        failures = [asdict(fault) for fault in faults(trials, jobs)]
        text = json.dumps(failures, indent=1)
        self._record_hash(layout.FAILURES_FILE, text.encode())
        self.tracker.text(layout.FAILURES_FILE, text)


def _unsettled(why: str, *, stopped: bool) -> UserError:
    """Return the error for a sweep that ends with entries missing in MLflow."""
    state = "results so far are" if stopped else "the complete sweep is"
    fix = "continues it and " if stopped else ""
    return UserError(
        f"MLflow cannot be written to: {why}; {state} in the sweep's folder, and kdsweep resume "
        f"{fix}writes the missing entries"
    )
