"""Tasks speak in the numbers of their libraries; files and other processes get Python's own."""

import json
import re
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_process import Engine, Watching
from toy_study import ManualClock, toy_study
from toy_task import ToyTask

from kdtasks.contract.reports import forwarded
from kdtasks.contract.task import Report
from sweeps.common.events import Event, events
from sweeps.common.records import FailureKind, TrialState
from sweeps.progress.events import Display, FanOut, TrialStarted
from sweeps.progress.log import EventLog, LogReader
from sweeps.search.tune_adapters import SessionCallback
from sweeps.workers.trainable import EVENT


def reports(*found):
    yield from found
    return {}


@given(
    epoch=st.integers(0, 2**31 - 1),
    kind=st.sampled_from([int, np.int32, np.int64, np.uint32, np.float64, np.array]),
    value=st.floats(width=32),
    sort=st.sampled_from([float, np.float32, np.float64, np.array]),
)
def test_a_report_is_the_same_in_any_library(epoch, kind, value, sort):
    report = Report(epoch=kind(epoch), epochs=kind(epoch), metrics={"loss": sort(value)})
    found, _ = events(reports(report))
    plain, _ = events(reports(Report(epoch=epoch, epochs=epoch, metrics={"loss": value})))
    assert json.dumps(asdict(found)) == json.dumps(asdict(plain))


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (Report(epoch="one", epochs=2, metrics={}), "reports epoch 'one' of 2, .* numbers"),
        (Report(epoch=float("nan"), epochs=2, metrics={}), "reports epoch nan of 2"),
        (Report(epoch=1, epochs=None, metrics={}), "reports epoch 1 of None"),
        (Report(epoch=1, epochs=2, metrics={"loss": "low"}), "loss is 'low', not a number"),
    ],
)
def test_what_is_no_number_fails_the_trial_and_is_named(report, words):
    [event] = events(reports(report))
    assert event.done
    assert event.kind is FailureKind.CONTRACT
    assert re.search(words, event.reason)


HONEST = ToyTask.train_student


def in_numpy(task, params, train, val, teacher):
    def change(report):
        return replace(report, epoch=np.int64(report.epoch), epochs=np.int64(report.epochs))

    done = yield from forwarded(HONEST(task, params, train, val, teacher), change)
    return replace(done, metrics={name: np.float32(value) for name, value in done.metrics.items()})


def test_a_search_whose_task_counts_in_numpy_keeps_ledger_and_log(tmp_path, monkeypatch):
    monkeypatch.setattr(ToyTask, "train_student", in_numpy)
    monkeypatch.setattr("sweeps.progress.log.EVERY_S", -1.0)
    study = toy_study(
        parameters={"epochs": 8},
        stopping={"kind": "asha", "min_share": 0.125, "eta": 2, "min_trials": 2},
    )
    log = EventLog(tmp_path / "log.jsonl", study, ManualClock(), Display())
    with log.kept():
        engine = Engine(study, tmp_path / "home", log)
        engine.teach()
        engine.search()
    trials = engine.ledger.trials()
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert all(trial.rungs for trial in trials)
    found = [e for e in LogReader(tmp_path / "log.jsonl").new() if e["event"] == "trial_reported"]
    assert {event["epochs"] for event in found} == {8}


def test_what_is_no_json_costs_the_log_a_line_and_the_sweep_nothing(tmp_path):
    display, path = Watching(), tmp_path / "log.jsonl"
    log = EventLog(path, toy_study(), ManualClock(), display)
    with log.kept():
        log.handle(TrialStarted(0, {"x": object()}))
        log.handle(TrialStarted(1, {"x": 0.5}))
    assert [event["trial"] for event in LogReader(path).new()] == [1]
    [note] = display.notes
    assert "TypeError" in note


class Faulty(Display):
    def handle(self, event):
        if isinstance(event, TrialStarted):
            raise RuntimeError("an engine's own fault")


@pytest.mark.parametrize("where", ["start", "result"])
def test_a_fault_while_tune_calls_ends_the_search_between_two_turns(tmp_path, where):
    engine = Engine(toy_study(), tmp_path, Faulty())
    session = engine.session()
    callback = SessionCallback(session, lambda: False)
    assert session.assign("a") is not None
    if where == "start":
        callback.on_trial_start(trial=SimpleNamespace(trial_id="a"))
    else:
        callback.on_trial_result(trial=SimpleNamespace(trial_id="nobody"), result={EVENT: Event()})
    with pytest.raises((RuntimeError, KeyError)) as raised:
        callback.on_step_end()
    assert raised.value is session.fault


def test_a_failed_display_gets_no_more_events():
    class Other(Watching):
        def handle(self, event):
            self.notes.append(f"trial {event.trial}")

    other = Other()
    watching = FanOut(Faulty(), other)
    watching.handle(TrialStarted(0, {}))
    watching.handle(TrialStarted(1, {}))
    assert other.notes == ["trial 0", "trial 1"]
