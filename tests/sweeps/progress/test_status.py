"""What `kdsweep status` makes of a log; the sweep itself is made up."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from toy_study import ManualClock, toy_study

from sweeps.cli.status import picture, show_status
from sweeps.common.records import FailureKind, FrontRow
from sweeps.ledger.process_lock import LEASE_FILE, LOCK_FILE, LOST_S, lock_id, read_driver
from sweeps.progress import events
from sweeps.progress.events import Display
from sweeps.progress.log import EventLog
from sweeps.progress.state import Utilisation
from sweeps.progress.status import StatusReader, SweepStatus

START_S = ManualClock().epoch_ms() / 1000


@contextmanager
def driver(folder: Path, clock: ManualClock, complete: int = 0) -> Iterator[EventLog]:
    """A driver that works on the sweep, and ends without a word."""
    folder.mkdir(exist_ok=True)
    log = EventLog(folder / "log.jsonl", toy_study(), clock, Display())
    with log.kept():
        log.opened("toy", "here", {"trials_complete": complete, "trials_failed": 0})
        yield log


def lease(
    folder: Path, pid: int | None = None, created: float | None = None, host: str = ""
) -> None:
    """Write who drives the sweep; this process unless another is named."""
    me = psutil.Process()
    (folder / LOCK_FILE).touch()
    stream_name = {
        "pid": me.pid if pid is None else pid,
        "created": me.create_time() if created is None else created,
        "host": host or socket.gethostname(),
        "lock": lock_id(folder),
    }
    (folder / LEASE_FILE).write_text(json.dumps({"driver": stream_name, "processes": []}))


def search(log: EventLog, clock: ManualClock) -> None:
    """Trials 0 to 4, one after another on two slots: done, stopped, failed, failed, running."""
    log.handle(events.PhaseBegun("search"))
    log.handle(events.SearchStarted(8, None, 2))
    log.handle(events.TrialStarted(0, {"x": 0.5}))
    clock.now_s += 10.0
    log.handle(
        events.TrialFinished(0, {"val_nmse_db": -3.0, "ue_flops": 1e3, "trial_wall_s": 10.0})
    )
    values = {"val_nmse_db": -3.0, "ue_flops": 1e3}
    log.handle(events.FrontChanged([FrontRow(number=0, params={}, objectives=values)], 2.5))
    log.handle(events.TrialStarted(1, {"x": 0.1}))
    clock.now_s += 4.0
    log.handle(events.TrialStopped(1, 1, 2))
    for number in (2, 3):
        log.handle(events.TrialStarted(number, {"x": 0.2}))
        log.handle(events.TrialFailed(number, FailureKind.RAISED, "RuntimeError: no\nsecond line"))
    log.handle(events.TrialStarted(4, {"x": 0.9}))
    clock.now_s += 6.0
    log.handle(events.TrialReported(4, 1, 2, {}))


def read(folder: Path, clock: ManualClock, later_s: float = 0.0) -> SweepStatus:
    return StatusReader(folder).read(START_S + clock.now_s + later_s)


def shown(folder: Path, capsys, *, as_json: bool = False, watch: bool = False) -> str:
    show_status(folder, folder.parent, as_json=as_json, watch=watch)
    return capsys.readouterr().out


def test_the_status_of_a_running_sweep_is_complete(tmp_path, capsys):
    folder, clock = tmp_path / "toy", ManualClock()
    with driver(folder, clock) as log:
        lease(folder)
        search(log, clock)
        status = read(folder, clock, later_s=5.0)
        text = shown(folder, capsys)
    assert (status.state, status.pid, status.phase) == ("running", os.getpid(), "search")
    assert (status.complete, status.stopped, status.failed, status.budget) == (1, 1, 2, 8)
    [running] = status.running
    assert (running.name, running.epoch, running.epochs) == ("trial 4", 1, 2)
    assert running.seconds == pytest.approx(11.0)
    assert status.elapsed_s == pytest.approx(25.0)
    assert status.left_s is not None
    assert (status.front, status.hypervolume) == (1, 2.5)
    assert [(best.metric, best.value, best.trial) for best in status.best] == [
        ("val_nmse_db", -3.0, 0),
        ("ue_flops", 1000.0, 0),
    ]
    [group] = status.failures
    assert (group.kind, group.reason, group.trials) == ("raised", "RuntimeError: no", (2, 3))
    assert status.utilisation_whole == pytest.approx((10 + 4 + 11) / (2 * 25.0))
    for part in ("4 of 8: 1 complete, 1 stopped early, 2 failed, 1 running", "trial 4", "x=0.9"):
        assert part in text
    assert "2 × raised: RuntimeError: no (trials 2, 3)" in text
    assert "\x1b" not in text


def test_nothing_is_written_and_no_lock_is_taken(tmp_path):
    folder, clock = tmp_path / "toy", ManualClock()
    with driver(folder, clock) as log:
        search(log, clock)
    lease(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    folder.chmod(0o500)
    try:
        assert read(folder, clock).state == "running"
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("outcome", ["finished", "interrupted", "failed"])
def test_a_sweep_without_driver_has_the_status_of_its_last_one(tmp_path, outcome, capsys):
    folder, clock = tmp_path / "toy", ManualClock()
    with driver(folder, clock) as log:
        search(log, clock)
        log.closed(outcome, "for a reason")
    status = read(folder, clock, later_s=3600.0)
    assert (status.state, status.why, status.pid) == (outcome, "for a reason", None)
    assert (status.running, status.left_s) == ((), None)
    assert status.elapsed_s == pytest.approx(20.0)
    assert ("resume toy" in shown(folder, capsys)) == (outcome != "finished")


@pytest.mark.parametrize("how", ["gone", "another's number", "no lease"])
def test_a_killed_driver_is_noticed(tmp_path, how):
    folder, clock = tmp_path / "toy", ManualClock()
    with driver(folder, clock) as log:
        search(log, clock)
    if how == "gone":
        lease(folder, pid=2**22 + 1)
    elif how == "another's number":
        lease(folder, created=1.0)
    assert read(folder, clock).state == "died"


def test_a_driver_elsewhere_runs_as_long_as_it_gives_signs_of_life(tmp_path):
    folder, clock = tmp_path / "toy", ManualClock()
    with driver(folder, clock) as log:
        search(log, clock)
    lease(folder, pid=1, created=1.0, host="another-machine")
    assert read(folder, clock).state == "running"
    now_s = (folder / LEASE_FILE).stat().st_mtime
    os.utime(folder / LEASE_FILE, (now_s - 2 * LOST_S, now_s - 2 * LOST_S))
    assert read(folder, clock).state == "died"


def test_a_resumed_sweep_counts_what_the_ledger_had_and_forgets_what_ran(tmp_path):
    folder, clock = tmp_path / "toy", ManualClock()
    with driver(folder, clock) as log:
        search(log, clock)  # trial 4 is open when the driver is killed
    clock.now_s += 1000.0
    with driver(folder, clock, complete=1) as log:
        log.handle(events.PhaseBegun("search"))
        log.handle(events.SearchStarted(7, None, 2))
        log.handle(events.TrialStarted(5, {"x": 0.9}))
        clock.now_s += 5.0
        log.handle(
            events.TrialFinished(5, {"val_nmse_db": -4.0, "ue_flops": 1e3, "trial_wall_s": 5.0})
        )
        lease(folder)
        status = read(folder, clock)
    assert (status.complete, status.running, status.drivers) == (2, (), 2)
    assert status.elapsed_s == pytest.approx(25.0)  # not the night between
    assert status.front == 1  # as the last driver left it


def test_interrupted_trials_have_not_failed(tmp_path):
    folder, clock = tmp_path / "toy", ManualClock()
    with driver(folder, clock) as log:
        search(log, clock)
        log.handle(events.TrialFailed(4, FailureKind.INTERRUPTED, "interrupted by the user"))
        log.closed("interrupted", "the user stopped the sweep")
    status = read(folder, clock)
    assert (status.failed, sum(group.count for group in status.failures)) == (2, 2)


def test_how_busy_the_slots_were_is_the_drivers_word_once_it_has_ended(tmp_path):
    folder, clock = tmp_path / "toy", ManualClock()
    with driver(folder, clock) as log:
        search(log, clock)
        account = Utilisation(1, clock)
        account.begin()
        account.started(0)
        clock.now_s += 8.0
        account.ended(0, 2.0)
        log.closed("finished", "the budget of trials is spent", account)
    assert read(folder, clock).utilisation_whole == pytest.approx(0.25)


def test_half_a_line_at_the_end_changes_nothing(tmp_path):
    folder, clock = tmp_path / "toy", ManualClock()
    with driver(folder, clock) as log:
        search(log, clock)
    before = read(folder, clock)
    path = folder / "log.jsonl"
    content = path.read_bytes()
    last = content.rstrip(b"\n").rpartition(b"\n")[2]
    for end in range(1, len(last), 7):
        path.write_bytes(content + last[:end])
        assert read(folder, clock) == before


@pytest.mark.parametrize(
    "line",
    [
        '{"time":"2023-11-14T22:13:20.000Z","event":"phase","name":3}',
        '{"time":"2023-11-14T22:13:20.000Z","event":"trial_failed","trial":0,"kind":"?","reason":""}',
        '{"time":"2023-11-14T22:13:20.000Z","event":"opened","sweep":1,"study":1,"pid":1,"host":1,'
        '"trials":"x","time_s":1,"objectives":1,"before":1}',
    ],
)
def test_a_line_of_another_version_hides_no_other(tmp_path, line):
    folder, clock = tmp_path / "toy", ManualClock()
    with driver(folder, clock) as log:
        search(log, clock)
    path = folder / "log.jsonl"
    before = read(folder, clock)
    path.write_text(f"{line}\n{path.read_text()}")
    assert read(folder, clock) == before


def test_json_has_everything_and_no_number_that_json_lacks(tmp_path, capsys):
    folder, clock = tmp_path / "toy", ManualClock()
    with driver(folder, clock) as log:
        search(log, clock)
    found = json.loads(shown(folder, capsys, as_json=True), parse_constant=lambda name: 1 / 0)
    assert found.keys() == set(SweepStatus.__dataclass_fields__)
    assert found["failures"][0]["count"] == 2


@pytest.mark.parametrize("as_json", [False, True])
def test_watching_ends_with_the_sweep(tmp_path, capsys, monkeypatch, as_json):
    folder, clock = tmp_path / "toy", ManualClock()
    with driver(folder, clock) as log:
        lease(folder)
        search(log, clock)
        waits = []

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                log.closed("finished", "the budget of trials is spent")
                (folder / LEASE_FILE).unlink()

        monkeypatch.setattr("sweeps.cli.status.time.sleep", wait)
        text = shown(folder, capsys, as_json=as_json, watch=True)
    assert len(waits) == 3
    if as_json:
        states = [json.loads(line)["state"] for line in text.splitlines()]
        assert states == ["running"] * 3 + ["finished"]
    else:
        assert text.count("searching for") == 3
        assert "finished: the budget of trials is spent" in text


def test_a_sweep_without_log_is_reported(tmp_path, capsys):
    folder = tmp_path / "toy"
    folder.mkdir()
    status = StatusReader(folder).read(START_S)
    assert status.state == "unknown"
    assert "no log" in shown(folder, capsys)
    assert read_driver(folder) is None


@pytest.mark.parametrize("phase", ["data", "teachers", "confirm", "report"])
def test_every_phase_can_be_drawn(tmp_path, phase):
    folder, clock = tmp_path / "toy", ManualClock()
    with driver(folder, clock) as log:
        lease(folder)
        log.handle(events.PhaseBegun(phase))
        log.handle(events.JobsPlanned("teacher", 3))
        log.handle(events.JobReported("teacher", "ab", 1, 4))
        status = read(folder, clock, later_s=7.0)
    assert status.phase_s == pytest.approx(7.0)
    assert picture(status, tmp_path, bar=True).row_count >= 4
    [job] = status.running
    assert (job.name, job.epoch) == ("teacher ab", 1)
