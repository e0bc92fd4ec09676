"""The event log of a sweep, ``log.jsonl``, for `kdsweep status` and other programs.

One JSON object per line; a resumed sweep appends. Readers ignore incomplete lines, which a killed
driver or a full disk leaves.
"""

import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil

from kdtasks.contract.error_text import one_line
from kdtasks.data.reading import MOST_LOG_BYTES, check_file, parsed_json
from search_spaces.study import Study
from sweeps.common.clock import Clock
from sweeps.common.records import FrontRow
from sweeps.common.secrets import redacted
from sweeps.progress import events
from sweeps.progress.events import Display, SweepEvent
from sweeps.progress.state import Utilisation

SCHEMA: Mapping[str, Mapping[str, str]] = {
    "opened": {
        "sweep": "name of the sweep",
        "study": "name of its study",
        "pid": "number of the process that drives it",
        "host": "machine of that process",
        "trials": "trials of the whole budget",
        "time_s": "limit of the search's wall time [s]; null for none",
        "objectives": "metric, label, unit and direction of each",
        "before": "earlier trials by how they ended, as in the metrics of the sweep's run",
    },
    "process": {
        "seconds": "since the command or the call of kd.sweep began [s]",
        "checks": "of which for checks of the study [s]",
    },
    "phase": {"name": "data, start, teachers, search, confirm, record or report"},
    "note": {"text": "message to the user"},
    "data_progress": {"done": "parts loaded", "total": "parts in all", "unit": "name of the parts"},
    "jobs_planned": {"kind": "teacher, baseline or confirmation", "count": "jobs that follow"},
    "job_reported": {"kind": "", "key": "", "epoch": "epochs done", "epochs": "epochs planned"},
    "job_finished": {"kind": "", "key": "", "reason": "why it failed; empty if it did not"},
    "search_started": {
        "trials": "trials left of the budget",
        "time_s": "time left of the budget [s]; null for no limit",
        "slots": "trials at once",
    },
    "trial_started": {"trial": "its number in the ledger", "params": "searched parameters"},
    "trial_reported": {"trial": "", "epoch": "epochs done", "epochs": "epochs planned"},
    "trial_finished": {
        "trial": "",
        "objectives": "by metric",
        "wall_s": "wall time of its process [s]; null if unknown",
        "cpu_s": "processor time of its nodes [s]; null if unknown",
    },
    "trial_stopped": {"trial": "", "epoch": "epochs done", "epochs": "epochs planned"},
    "trial_failed": {
        "trial": "",
        "kind": "kind of failure, a value of `sweeps.common.records.FailureKind`",
        "reason": "reason, in one line",
    },
    "front": {
        "size": "trials on the front",
        "hypervolume": "of the front",
        "best": "by metric: the best value on the front and its trial",
    },
    "closed": {
        "outcome": "finished, interrupted or failed; a killed driver writes no line",
        "why": "why the search ended, or what went wrong",
        "utilisation": "share of the slots' time used by trials once all slots were warm; "
        "null if unknown",
        "utilisation_whole": "the same of the whole search",
    },
}
"""Fields of every event, besides ``time`` (UTC, ISO 8601, milliseconds) and ``event``."""

LINES: Mapping[type[SweepEvent], str] = {
    events.PhaseBegun: "phase",
    events.Note: "note",
    events.DataLoaded: "data_progress",
    events.JobsPlanned: "jobs_planned",
    events.JobReported: "job_reported",
    events.JobFinished: "job_finished",
    events.SearchStarted: "search_started",
    events.TrialStarted: "trial_started",
    events.TrialReported: "trial_reported",
    events.TrialFinished: "trial_finished",
    events.TrialStopped: "trial_stopped",
    events.TrialFailed: "trial_failed",
    events.FrontChanged: "front",
}
"""The line of an event; its fields are the event's, but for what `EventLog` puts in their place."""

EVERY_S, EVERY_SHARE = 5.0, 0.1
"""Shortest time [s] and part of a training between two logged reports: at most 10 per training."""
LONGEST_LINE = 2**20
"""Longest line that is read [bytes]; ours are below 100 kB."""
LONGEST = 500
"""Longest text in the log [characters]."""

Outcome = Literal["finished", "interrupted", "failed"]


def finite(value: float | None) -> float | None:
    """Return a finite number, or None, for JSON."""
    return value if value is not None and math.isfinite(value) else None


def _text(text: str) -> str:
    return redacted(" ".join(text.split()))[:LONGEST]


def stamp(epoch_ms: int) -> str:
    """Return a time in UTC as events have it."""
    moment = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class EventLog(Display):
    """A display that appends to the log; if that fails, it warns once, on another display."""

    def __init__(self, path: Path, study: Study, clock: Clock, display: Display) -> None:
        self._path = path
        self._study = study
        self._clock = clock
        self._display = display
        self._file: int | None = None
        self._torn = False
        self._warned = False
        self._open = False
        self._reported: dict[object, tuple[float, float]] = {}
        self._front: tuple[object, ...] = ()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the file open inside, and log an error that ends the sweep."""
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            size = os.fstat(self._file).st_size
            self._torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"
        except OSError as error:
            self._warn(error)
        try:
            yield
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            self.closed("interrupted" if interrupted else "failed", one_line(error))
            raise
        finally:
            if self._file is not None:
                os.close(self._file)
            self._file = None

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            why = error.strerror if isinstance(error, OSError) else one_line(error)
            self._display.note(f"{self._path} cannot be written to: {why}; the sweep continues")
        self._warned = True

    def _write(self, event: str, facts: Mapping[str, Any]) -> None:
        entry = {"time": stamp(self._clock.epoch_ms()), "event": event, **facts}
        try:
            line = json.dumps(entry, separators=(",", ":"))
        except (TypeError, ValueError) as error:  # a value of a user's task is not JSON
            self._warn(error)
            return
        self._display.handle(events.LineLogged(entry))
        if self._file is not None:
            self._append(self._file, line)

    def _append(self, file: int, line: str) -> None:
        # a partial earlier line must not spoil this one
        data = b"\n" * self._torn + line.encode() + b"\n"
        self._torn = True
        try:
            while data:
                data = data[os.write(file, data) :]
        except OSError as error:
            self._warn(error)
        else:
            self._torn = False

    def opened(self, name: str, host: str, before: Mapping[str, int]) -> None:
        """This process begins to drive the sweep; ``before`` counts earlier trials."""
        self._open = True
        goals = self._study.objectives
        names = ("metric", "label", "unit", "direction")
        facts = {
            "sweep": name,
            "study": self._study.name,
            "pid": os.getpid(),
            "host": host,
            "trials": self._study.budget.trials,
            "time_s": finite(self._study.budget.time_s),
            "objectives": [{name: getattr(goal, name) for name in names} for goal in goals],
            "before": dict(before),
        }
        self._write("opened", facts)

    def process(self, begun_s: float | None, checked_s: float) -> None:
        """Log the time before this log: Python and imports, and checks of the study.

        Both times are in seconds since 1970; if ``begun_s`` is None, it began with this process.
        """
        now_s, begun_s = time.time(), begun_s or psutil.Process().create_time()
        facts = {"seconds": max(0.0, now_s - begun_s), "checks": max(0.0, now_s - checked_s)}
        self._write("process", facts)

    def closed(self, outcome: Outcome, why: str, utilisation: Utilisation | None = None) -> None:
        """The driver ends; only the first call after `opened` is logged."""
        if self._open:
            facts = {
                "outcome": outcome,
                "why": _text(why),
                "utilisation": finite(utilisation.share() if utilisation else None),
                "utilisation_whole": finite(utilisation.whole() if utilisation else None),
            }
            self._write("closed", facts)
        self._open = False

    def handle(self, event: SweepEvent) -> None:
        self._forget(event)
        name = LINES.get(type(event))
        if name is not None and self._wanted(event):
            self._write(name, self._facts(event))

    def _forget(self, event: SweepEvent) -> None:
        """Drop when jobs and trials that have ended were last reported."""
        match event:
            case events.PhaseBegun():
                self._reported.clear()
            case events.JobFinished(kind, key):
                self._reported.pop((kind, key), None)
            case (
                events.TrialFinished(number)
                | events.TrialStopped(number)
                | events.TrialFailed(number)
            ):
                self._reported.pop(number, None)

    def _wanted(self, event: SweepEvent) -> bool:
        """Return whether an event is due for a line."""
        match event:
            case events.DataLoaded(done, total):
                return self._due("data", done, total)
            case events.JobReported(kind, key, epoch, epochs):
                new = (kind, key) not in self._reported  # no other line marks its begin
                return self._due((kind, key), epoch, epochs) or new
            case events.TrialStarted(number):
                self._due(number, 0, 0)
            case events.TrialReported(number, epoch, epochs):
                return self._due(number, epoch, epochs)
            case events.FrontChanged(rows, volume):
                before, self._front = self._front, (volume, *(row.number for row in rows))
                return before != self._front
        return True

    def _facts(self, event: SweepEvent) -> dict[str, Any]:
        """Return the fields of an event's line."""
        facts = {field.name: getattr(event, field.name) for field in fields(event)}
        match event:
            case events.Note(text):
                facts["text"] = _text(text)
            case events.JobFinished():
                facts["reason"] = _text(event.reason)
            case events.SearchStarted():
                facts["time_s"] = finite(event.time_s)
            case events.TrialReported():
                del facts["metrics"]
            case events.TrialFinished(number, metrics):
                return self._of_finished(number, metrics)
            case events.TrialFailed():
                facts["reason"] = _text((event.reason.strip().splitlines() or [""])[0])
            case events.FrontChanged(rows, volume):
                best = self._best(rows)
                return {"size": len(rows), "hypervolume": finite(volume), "best": best}
        return facts

    def _of_finished(self, number: int, metrics: Mapping[str, float]) -> dict[str, Any]:
        goals = [goal.metric for goal in self._study.objectives]
        return {
            "trial": number,
            "objectives": {name: finite(metrics.get(name)) for name in goals},
            "wall_s": finite(metrics.get("trial_wall_s")),
            "cpu_s": finite(metrics.get("trial_cpu_s")),
        }

    def _best(self, rows: Sequence[FrontRow]) -> dict[str, Any]:
        best = {}
        for goal in self._study.objectives if rows else ():
            pick = min if goal.direction == "minimize" else max
            value, number = pick((row.objectives[goal.metric], row.number) for row in rows)
            best[goal.metric] = {"value": value, "trial": number}
        return best

    def _due(self, key: object, done: int, of: int) -> bool:
        """Return whether a report is due; the start has a line of its own."""
        share = done / of if of else 0.0
        now_s = self._clock.elapsed_s()
        last_s, last = self._reported.setdefault(key, (now_s, 0.0))
        if now_s - last_s < EVERY_S or share - last < EVERY_SHARE:
            return False
        self._reported[key] = (now_s, share)
        return True


class LogReader:
    """Reads a log, which need not exist yet, and later the lines added to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> list[dict[str, Any]]:
        """Return the events of complete new lines.

        Raises:
            DataError: If the file is larger than a log can be.
        """
        return list(self._new())

    def _new(self) -> Iterator[dict[str, Any]]:
        if not self._path.is_file():
            return
        check_file(self._path, MOST_LOG_BYTES)
        with suppress(OSError), self._path.open("rb") as file:
            file.seek(self._offset)
            while line := file.readline(LONGEST_LINE):
                whole = line.endswith(b"\n")
                if not whole and len(line) < LONGEST_LINE:
                    return  # incomplete: being written
                self._offset += len(line)
                event = _event(line) if whole else None
                if event is not None:
                    yield event


def _event(line: bytes) -> dict[str, Any] | None:
    """Return the event in a line; None if it is damaged or unknown to this version."""
    try:
        event = parsed_json(line)
        expected = SCHEMA[event["event"]]
        event["time"] = datetime.fromisoformat(event["time"]).timestamp()
    except (ValueError, ArithmeticError, TypeError, LookupError):
        return None
    return event if expected.keys() <= event.keys() else None
