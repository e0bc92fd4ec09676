"""Students come back from workers with the last event, and the driver alone writes them."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from in_process import Engine
from safetensors.numpy import load, save
from toy_study import toy_study

from kdtasks.contract.errors import DataError, UserError
from sweeps.common.records import TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.student_weights import StudentStore
from sweeps.search.tune_adapters import SessionCallback, SessionSearcher
from sweeps.tracking.verify import verify_sweep, without_hash
from sweeps.workers.trainable import EVENT


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = Engine(toy_study(budget={"trials": 3}), tmp_path)
    engine.teach()
    return engine


def test_weights_come_back_as_they_were_whatever_their_layout(tmp_path: Path) -> None:
    students = StudentStore(tmp_path)
    weights = {"w": np.arange(6.0).reshape(2, 3).T, "empty": np.zeros((0, 2), np.float32)}
    found = students.get(3, students.put(3, weights))
    assert found.keys() == weights.keys()
    for name, array in weights.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
    assert [path.name for path in tmp_path.iterdir()] == ["trial-3.safetensors"]
    with pytest.raises(DataError, match=r"trial-4\.safetensors"):
        students.get(4)


def zeroed(path: Path) -> None:
    weights = load(path.read_bytes())
    path.write_bytes(save({name: np.zeros_like(array) for name, array in weights.items()}))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
@pytest.mark.parametrize("change", [zeroed, cut, Path.unlink, lambda path: path.write_bytes(b"")])
def test_every_reader_refuses_changed_weights(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    points = [{"method": "vanilla", "width": [2, 3], "x": 0.5}]
    engine = Engine(
        toy_study(
            search={"sampler": "points", "points": points},
            space={},
            confirm={"select": "all", "retrain": False},
        ),
        tmp_path,
    )
    engine.search()
    for trial in Ledger.open(engine.folder.journal).trials():
        content = StudentStore(engine.folder.weights).file(trial.number).read_bytes()
        assert trial.sha256 == hashlib.sha256(content).hexdigest()
    engine.into_mlflow()
    file = StudentStore(engine.folder.weights).file(1)
    assert not [message for message in verify_sweep(engine.folder.path) if "weights" in message]
    change(file)
    [message] = [message for message in verify_sweep(engine.folder.path) if "weights" in message]
    assert str(file) in message
    assert "copy" in message
    with pytest.raises(DataError, match=file.name):
        StudentStore(engine.folder.weights).get(1, engine.ledger.trial(1).sha256)
    assert engine.confirm() == 1
    [failed] = [job for job in engine.ledger.jobs() if job.kind == "confirmation" and job.reason]
    assert file.name in failed.reason


def test_students_without_a_hash_are_counted(tmp_path: Path) -> None:
    points = [{"method": "vanilla", "width": 2, "x": 0.5}]
    engine = Engine(toy_study(search={"sampler": "points", "points": points}, space={}), tmp_path)
    engine.search()
    assert without_hash(engine.folder.path) == 0
    journal = engine.folder.journal
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"sha256"' not in line))
    assert without_hash(engine.folder.path) == 1


def test_only_complete_trials_leave_a_student(tmp_path: Path) -> None:
    points = [{"method": "vanilla", "width": 2, "x": 0.5, "flaw": ["none", "nan", "raise"]}]
    engine = Engine(toy_study(search={"sampler": "points", "points": points}, space={}), tmp_path)
    engine.search()
    assert [path.name for path in engine.folder.weights.iterdir()] == ["trial-0.safetensors"]


def test_a_trial_whose_student_cannot_be_written_is_not_complete(engine: Engine) -> None:
    session = engine.session()
    assignment = session.assign("a")
    assert assignment is not None
    session.started("a")
    event = [session.received("a", message) for message in engine.train(assignment)][-1]
    shutil.rmtree(engine.folder.weights)
    with pytest.raises(UserError, match=r"trial-0\.safetensors cannot be written to: .*No such"):
        session.finished("a", event)
    assert engine.ledger.trial(0).state is TrialState.RUNNING
    again = Ledger.open(engine.folder.journal)
    again.recover()
    assert again.trial(0).interrupted
    assert [t.state for t in again.trials()].count(TrialState.WAITING) == 1  # it runs again


def test_tune_does_not_keep_the_weights(engine: Engine) -> None:
    """What Tune calls a trial's last result is what its callbacks leave of it."""
    session = engine.session()
    searcher, callback = SessionSearcher(session), SessionCallback(session, lambda: False)
    suggested = searcher.suggest("a")
    trial = SimpleNamespace(trial_id="a")
    callback.on_trial_start(trial=trial)
    for event in engine.train(suggested["assignment"]):
        result = {EVENT: event}
        callback.on_trial_result(trial=trial, result=result)
    assert all(isinstance(value, float) for value in result[EVENT].result.values())
    searcher.on_trial_complete("a", result)
    assert engine.ledger.trial(0).state is TrialState.COMPLETE
    assert engine.ledger.trial(0).metrics == result[EVENT].result
    assert StudentStore(engine.folder.weights).get(0).keys() == {"error"}


def test_a_teacher_that_cannot_be_kept_ends_the_sweep_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [{"method": "kd", "width": 2, "x": 0.5, "compression": [4, 8]}]
    engine = Engine(toy_study(search={"sampler": "points", "points": points}, space={}), tmp_path)
    rename = os.rename

    def full_after_one(source: Path, target: Path) -> None:
        if any(not path.name.startswith(".") for path in target.parent.iterdir()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(source, target)

    monkeypatch.setattr(os, "rename", full_after_one)
    with pytest.raises(UserError, match=r"teachers cannot be written to: No space left"):
        engine.teach()
    [kept] = engine.folder.teachers.iterdir()
    monkeypatch.undo()
    engine.teach()
    assert len(list(engine.folder.teachers.iterdir())) == 2
    assert kept.is_dir()
