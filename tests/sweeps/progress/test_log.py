import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import Watching
from toy_study import ManualClock, toy_study
from tried import times

from sweeps.common.records import FailureKind, FrontRow
from sweeps.progress import events
from sweeps.progress.events import Display, FanOut, SweepEvent
from sweeps.progress.log import EVERY_SHARE, SCHEMA, EventLog, LogReader


@contextmanager
def opened(path: Path, clock: ManualClock, watching: Display | None = None) -> Iterator[EventLog]:
    log = EventLog(path, toy_study(), clock, watching or Display())
    with log.kept():
        log.opened("toy", "here", {"trials_complete": 0})
        yield log


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def row(number: int, error: float) -> FrontRow:
    values = {"val_nmse_db": error, "ue_flops": 1000.0}
    return FrontRow(number=number, params={}, objectives=values)


def play(display: Display, clock: ManualClock) -> None:
    """One of everything."""
    display.handle(events.PhaseBegun("data"))
    clock.now_s += 10.0
    display.data_progress(1, 2, "samples")
    clock.now_s += 10.0
    display.data_progress(2, 2, "samples")
    display.handle(events.PhaseBegun("teachers"))
    display.handle(events.JobsPlanned("teacher", 1))
    display.handle(events.JobReported("teacher", "ab", 1, 4))
    display.handle(events.JobFinished("teacher", "ab", ""))
    display.handle(events.PhaseBegun("search"))
    display.handle(events.SearchStarted(4, None, 2))
    display.handle(events.TrialStarted(0, {"method": "kd", "x": 0.5}))
    clock.now_s += 10.0
    display.handle(events.TrialReported(0, 1, 2, {"val_nmse_db": -1.0}))
    display.handle(
        events.TrialFinished(0, {"val_nmse_db": -3.0, "ue_flops": 1e3, "trial_wall_s": 1.0})
    )
    display.handle(events.FrontChanged([row(0, -3.0)], 2.5))
    display.handle(events.TrialStarted(1, {}))
    display.handle(events.TrialStopped(1, 1, 2))
    display.handle(events.TrialStarted(2, {}))
    display.handle(events.TrialFailed(2, FailureKind.RAISED, "RuntimeError: no\nsecond line"))
    display.note("look")
    display.handle(events.LineLogged({"event": "note", "text": "look"}))


def test_every_event_has_the_fields_of_the_schema_and_no_other(tmp_path):
    clock, path = ManualClock(), tmp_path / "log.jsonl"
    with opened(path, clock) as log:
        log.process(None, clock.epoch_ms() / 1e3)
        play(log, clock)
        log.closed("finished", "the budget of trials is spent")
    written = lines(path)
    assert {event["event"] for event in written} == set(SCHEMA)
    for event in written:
        assert event.keys() == {"time", "event", *SCHEMA[event["event"]]}
        assert event["time"].endswith("Z")
        assert datetime.fromisoformat(event["time"]).tzinfo is not None
    assert [event["event"] for event in LogReader(path).new()] == [e["event"] for e in written]


def test_the_log_grows_by_few_bytes_per_trial_however_many_epochs_it_has(tmp_path):
    clock, path = ManualClock(), tmp_path / "log.jsonl"
    with opened(path, clock) as log:
        before = path.stat().st_size
        log.handle(
            events.TrialStarted(7, {"method": "response", "alpha": 0.123456789012345, "width": 16})
        )
        for epoch in range(1, 1001):
            clock.now_s += 10.0
            log.handle(events.TrialReported(7, epoch, 1000, {}))
        log.handle(
            events.TrialFinished(7, {"val_nmse_db": -12.3456789012345, "ue_flops": 123456.0})
        )
        grown = path.stat().st_size - before
    assert sum(e["event"] == "trial_reported" for e in lines(path)) <= 1 / EVERY_SHARE
    assert grown < 2000


def test_short_trials_are_not_reported_between_their_ends(tmp_path):
    clock, path = ManualClock(), tmp_path / "log.jsonl"
    with opened(path, clock) as log:
        log.handle(events.TrialStarted(0, {}))
        for epoch in range(1, 4):
            clock.now_s += 1.0
            log.handle(events.TrialReported(0, epoch, 3, {}))
    assert "trial_reported" not in {event["event"] for event in lines(path)}


def test_a_front_that_stays_is_written_once(tmp_path):
    clock, path = ManualClock(), tmp_path / "log.jsonl"
    with opened(path, clock) as log:
        for _ in range(3):
            log.handle(events.FrontChanged([row(0, -3.0), row(4, -5.0)], 2.5))
    [front] = [event for event in lines(path) if event["event"] == "front"]
    assert front["size"] == 2
    assert front["best"]["val_nmse_db"] == {"value": -5.0, "trial": 4}


def test_an_error_closes_the_log_with_what_it_was(tmp_path):
    path = tmp_path / "log.jsonl"
    with pytest.raises(RuntimeError), opened(path, ManualClock()):
        raise RuntimeError("no answer")
    last = lines(path)[-1]
    assert (last["outcome"], last["why"]) == ("failed", "RuntimeError: no answer")


def test_only_the_first_word_about_the_end_counts_and_none_before_the_start(tmp_path):
    path = tmp_path / "log.jsonl"
    with opened(path, ManualClock()) as log:
        log.closed("interrupted", "the user stopped the sweep")
        log.closed("failed", "later")
    assert [e.get("outcome") for e in lines(path)] == [None, "interrupted"]
    fresh = EventLog(tmp_path / "other.jsonl", toy_study(), ManualClock(), Display())
    with pytest.raises(RuntimeError), fresh.kept():
        raise RuntimeError("the data cannot be had")
    assert (tmp_path / "other.jsonl").read_text() == ""


def test_a_full_disk_is_noted_once_and_spoils_no_later_line(tmp_path, monkeypatch):
    clock, path, watching = ManualClock(), tmp_path / "log.jsonl", Watching()
    honest, room = os.write, [10**6]

    def write(number: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = data[: room[0]]
        room[0] -= len(part)
        return honest(number, part)

    monkeypatch.setattr(os, "write", write)
    with opened(path, clock, watching) as log:
        room[0] = 25  # a part of a line
        log.handle(events.TrialStarted(0, {}))
        log.handle(events.TrialStarted(1, {}))
        room[0] = 10**6
        log.handle(events.TrialStarted(2, {}))
    read = LogReader(path).new()
    assert [event.get("trial") for event in read] == [None, 2]
    [note] = watching.notes
    assert "log.jsonl cannot be written to: No space left" in note


def test_a_log_that_cannot_be_made_stops_nothing(tmp_path):
    watching = Watching()
    with opened(tmp_path / "missing" / "log.jsonl", ManualClock(), watching) as log:
        log.handle(events.PhaseBegun("data"))
    assert len(watching.notes) == 1


def test_a_resumed_sweep_appends_also_behind_half_a_line(tmp_path):
    path = tmp_path / "log.jsonl"
    with opened(path, ManualClock()) as log:
        log.handle(events.PhaseBegun("data"))
    path.write_bytes(path.read_bytes() + b'{"time":"2026-01-01T00:00:00.000Z","ev')
    with opened(path, ManualClock()) as log:
        log.handle(events.PhaseBegun("search"))
    names = [event["event"] for event in LogReader(path).new()]
    assert names == ["opened", "phase", "opened", "phase"]


@settings(deadline=None, max_examples=times(30))
@given(cuts=st.lists(st.integers(0, 4000), max_size=8))
def test_a_log_read_in_pieces_is_the_log_read_at_once(tmp_path_factory, cuts):
    folder = tmp_path_factory.mktemp("log")
    whole, growing, clock = folder / "log.jsonl", folder / "growing.jsonl", ManualClock()
    with opened(whole, clock) as log:
        play(log, clock)
    content, reader = whole.read_bytes(), LogReader(growing)
    found = reader.new()
    for end in [*sorted(min(cut, len(content)) for cut in cuts), len(content)]:
        growing.write_bytes(content[:end])
        found += reader.new()
    assert found == LogReader(whole).new()


@pytest.mark.parametrize(
    "line", ["", "[]", "3", "{}", '{"event":"phase"}', '{"event":"new","time":"x"}', "\x00\xff"]
)
def test_lines_that_are_no_events_are_left_out(tmp_path, line):
    path = tmp_path / "log.jsonl"
    with opened(path, ManualClock()):
        pass
    path.write_text(f"{line}\n{path.read_text()}{line}\n")
    assert [event["event"] for event in LogReader(path).new()] == ["opened"]


def test_a_missing_log_has_no_events(tmp_path):
    assert LogReader(tmp_path / "log.jsonl").new() == []


class Recorder(Display):
    """Remembers every event."""

    def __init__(self) -> None:
        self.events: list[SweepEvent] = []

    def handle(self, event: SweepEvent) -> None:
        self.events.append(event)


class Closed(Display):
    """A terminal that is gone."""

    def __init__(self) -> None:
        self.events = 0

    def handle(self, event: SweepEvent) -> None:
        self.events += 1
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_all_displays_get_all_events_in_order():
    first, second, alone = Recorder(), Recorder(), Recorder()
    play(FanOut(first, second), ManualClock())
    play(alone, ManualClock())
    assert first.events == second.events == alone.events
    kinds = {kind for kind in vars(events).values() if isinstance(kind, type)}
    kinds = {kind for kind in kinds if issubclass(kind, SweepEvent)} - {SweepEvent}
    assert {type(event) for event in alone.events} == kinds


def test_a_closed_terminal_gets_nothing_more_and_ends_nothing():
    gone, other = Closed(), Recorder()
    play(FanOut(gone, other), ManualClock())
    assert gone.events == 1
    assert len(other.events) > 10


def test_the_log_remembers_nothing_of_jobs_and_trials_that_have_ended(tmp_path):
    clock = ManualClock()
    with opened(tmp_path / "log.jsonl", clock) as log:
        play(log, clock)
        assert not log._reported
