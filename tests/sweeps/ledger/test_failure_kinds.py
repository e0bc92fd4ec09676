"""What sort of failure a trial's is: decided where it arises, kept, tagged and counted."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_process import Engine
from toy_study import toy_study
from toy_task import ToyTask

from analysis import layout
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value
from sweeps.common.events import WorkFailedError, events
from sweeps.common.records import FailureKind, TrialRecord, TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.totals import counts, failed, lost_methods, paid
from sweeps.progress.state import Utilisation
from sweeps.tracking.runs import child_of_trial

KINDS = {
    "raise": FailureKind.RAISED,
    "nan": FailureKind.NOT_FINITE,
    "inf": FailureKind.NOT_FINITE,
    "missing": FailureKind.MISSING,
    "minus-flops": FailureKind.OFF_SCALE,
}


def make(home: Path, trials: int = 8) -> Engine:
    points = [{"method": "kd", "width": 2, "x": 0.5, "flaw": list(KINDS)}]
    study = toy_study(search={"sampler": "tpe", "points": points}, budget={"trials": trials})
    engine = Engine(study, home)
    engine.teach()
    return engine


def test_every_flaw_has_its_kind_in_ledger_and_mlflow(tmp_path):
    engine = make(tmp_path)
    engine.search()
    engine.recorder.settle(Utilisation(1, engine.clock))
    trials = Ledger.open(engine.folder.journal).trials()
    found = {trial.config["flaw"]: trial.failure for trial in trials[: len(KINDS)]}
    assert found == KINDS
    assert {trial.failure for trial in trials[len(KINDS) :]} == {None}
    tags = engine.tracker.children["trial/1"].tags
    assert tags[layout.FAILURE] == "not_finite"
    assert layout.FAILURE not in engine.tracker.children["trial/6"].tags
    counted = {name: n for name, n in engine.tracker.metrics.items() if "failed_" in name}
    assert counted == {
        "failed_raised": 1,
        "failed_not_finite": 2,
        "failed_missing": 1,
        "failed_off_scale": 1,
    }


def test_the_counts_by_kind_add_up_to_the_failed_trials(tmp_path):
    engine = make(tmp_path)
    engine.search()
    trials = engine.ledger.trials()
    tally = counts(trials)
    kinds = [n for name, n in tally.items() if name.startswith(layout.FAILED_KIND)]
    assert sum(kinds) == tally["trials_failed"] == len(list(failed(trials)))


def test_a_configuration_that_the_task_refuses(tmp_path, monkeypatch):
    honest = ToyTask.complete

    def complete(task: ToyTask, params: Params) -> dict[str, Value]:
        if params.get("flaw") == "nan":
            raise ConfigError("not that one")
        return honest(task, params)

    engine = make(tmp_path)
    monkeypatch.setattr(ToyTask, "complete", complete)
    engine.search()
    kinds = {t.params.get("flaw"): t.failure for t in engine.ledger.trials()[: len(KINDS)]}
    assert kinds == {**KINDS, "nan": FailureKind.REFUSED}


def test_a_process_that_died_and_data_that_are_not_there(tmp_path):
    engine = make(tmp_path)
    session = engine.session()
    assert session.assign("a") is not None
    session.started("a")
    session.finished("a", None)
    engine.resources.teachers.clear()
    assert session.assign("b") is not None  # the first that needs no teacher
    failures = [trial.failure for trial in engine.ledger.trials()]
    assert failures[0] is FailureKind.PROCESS_DIED
    assert set(failures[1 : len(KINDS)]) == {FailureKind.NOT_PREPARED}
    engine.resources.scenarios.clear()
    assert session.assign("c") is None
    last = engine.ledger.trials()[-1]
    assert last.failure is FailureKind.NOT_PREPARED
    assert last.reason.startswith("scenario ")


def test_an_interrupted_trial_is_no_failure(tmp_path):
    engine = make(tmp_path)
    session = engine.session()
    assert session.assign("a") is not None
    session.started("a")
    session.abandon("interrupted by the user")
    [trial] = engine.ledger.trials()
    assert trial.failure is FailureKind.INTERRUPTED
    assert list(failed([trial])) == []
    assert child_of_trial(trial).tags[layout.FAILURE] == layout.FAILURE_INTERRUPTED


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("no"), FailureKind.RAISED),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), FailureKind.DISK),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), FailureKind.DISK),
        (FileNotFoundError(errno.ENOENT, "gone"), FailureKind.RAISED),
        (WorkFailedError("an actor died", "", FailureKind.NODE_LOST), FailureKind.NODE_LOST),
    ],
)
def test_a_worker_reports_the_kind_of_failure(error, kind):
    def work():  # type: ignore[no-untyped-def]
        raise error
        yield

    [event] = events(work())
    assert event.kind is kind
    # and it passes through a second process, as that of a node, unchanged
    passed = WorkFailedError(event.reason, event.traceback, event.kind)

    def again():  # type: ignore[no-untyped-def]
        raise passed
        yield

    [event] = events(again())
    assert event.kind is kind


def test_what_trials_cost_is_summed_without_the_night_before_a_resume():
    spans = [(1000, 3000, False), (2000, 2500, False), (1000, 90_000_000, True)]
    trials = [
        TrialRecord(
            number=number,
            state=TrialState.FAIL if interrupted else TrialState.COMPLETE,
            params={},
            metrics={} if interrupted else {"trial_cpu_s": 0.5},
            interrupted=interrupted,
            started_ms=begun,
            ended_ms=ended,
        )
        for number, (begun, ended, interrupted) in enumerate(spans)
    ]
    assert paid(trials) == {layout.TRIALS_CPU_S: 1.0, layout.TRIALS_WALL_S: 2.5}


RUN = st.builds(
    lambda method, state, ended: TrialRecord(
        number=0, state=state, params={}, config={"csi/method": method, "width": 1}, **ended
    ),
    st.sampled_from(["kd", "vanilla", "own:loss"]),
    st.sampled_from([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]),
    st.sampled_from([{}, {}, {"duplicate": True}, {"interrupted": True}]),
)


@given(st.lists(RUN, max_size=8))
def test_a_method_is_lost_if_it_was_tried_twice_and_only_failed(trials):
    def ran(method: object) -> list[TrialRecord]:
        mine = [one for one in trials if one.config["csi/method"] == method]
        return [one for one in mine if not (one.duplicate or one.interrupted)]

    for method in ("kd", "vanilla", "own:loss"):
        good = counts(ran(method))["trials_failed"] < len(ran(method))
        lost = f"csi/method {method}" in lost_methods(trials)
        assert lost is (len(ran(method)) > 1 and not good)
