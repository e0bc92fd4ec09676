"""The journal against Optuna's own backend, and trials that wait."""

import errno
import json
import os

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from kdtasks.contract.errors import UserError
from sweeps.ledger.journal import Journal, Packed, Storage

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9)
)
ATTRS = st.dictionaries(st.text(max_size=3), st.recursive(VALUES, st.lists, max_leaves=4))
ENTRIES = st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=5), max_size=2))


@given(st.lists(ENTRIES.filter(bool), max_size=4), st.lists(st.integers(0, 12), max_size=4))
def test_optunas_own_backend_reads_and_writes_the_same(tmp_path_factory, written, starts):
    folder = tmp_path_factory.mktemp("journal")
    ours, theirs = Journal(folder / "ours"), JournalFileBackend(str(folder / "theirs"))
    for logs in written:
        ours.append_logs(logs)
        theirs.append_logs(logs)
    assert (folder / "ours").read_bytes() == (folder / "theirs").read_bytes()
    for first in starts:  # in any order: what was read before is read again
        assert list(ours.read_logs(first)) == list(theirs.read_logs(first))


def test_what_another_process_has_half_written_is_read_when_it_is_whole(tmp_path):
    path = tmp_path / "journal.log"
    reader = Journal(path)
    Journal(path).append_logs([{"a": 1}])
    line = json.dumps({"b": 2}).encode() + b"\n"
    with path.open("ab") as file:
        file.write(line[:4])
    assert list(reader.read_logs(0)) == [{"a": 1}]
    assert list(reader.read_logs(1)) == []
    with path.open("ab") as file:
        file.write(line[4:])
    assert list(reader.read_logs(1)) == [{"b": 2}]


def test_what_belongs_together_is_sent_to_the_disk_once(tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr(os, "fsync", lambda _: sent.append(journal._path.stat().st_size))
    journal = Journal(tmp_path / "journal.log")
    with journal.together():
        for number in range(3):
            journal.append_logs([{"a": number}])
            assert sent == []
    journal.append_logs([{"a": 3}])
    assert sent == [24, 32]
    with pytest.raises(TypeError), journal.together():
        journal.append_logs([{"a": 4}, {"a": object()}])
    assert sent == [24, 32, 32]  # whatever happens, what stands in the file is sent


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    def full(_number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = Journal(tmp_path / "journal.log")
    journal.append_logs([{"a": 1}])
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(UserError, match=r"journal\.log cannot be written to: No space left"):
            journal.append_logs([{"b": 2}])
    journal.append_logs([{"c": 3}])
    assert list(journal.read_logs(0)) == [{"a": 1}, {"c": 3}]


@given(st.lists(st.sampled_from(["ask", "enqueue", "add", "finish"]), max_size=20))
def test_trials_that_wait_are_found_as_optuna_finds_them(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("storage") / "journal.log"
    ours = optuna.create_study(storage=Storage(Journal(path)), study_name="a")
    space = {"x": FloatDistribution(0.0, 1.0)}
    waiting, running = [], []
    for count, step in enumerate(steps):
        if step == "ask":
            trial = ours.ask(space)
            # first the waiting ones, in their order, then new ones
            assert trial.number == (waiting.pop(0) if waiting else len(ours.trials) - 1)
            running.append(trial)
        elif step == "finish" and running:
            ours.tell(running.pop(), 0.5)
        elif step != "finish":
            waiting.append(len(ours.trials))
            if step == "enqueue":
                ours.enqueue_trial({"x": count / 20.0})
            else:
                ours.add_trial(create_trial(state=TrialState.WAITING))
        found = ours.get_trials(states=(TrialState.WAITING,))
        assert [trial.number for trial in found] == waiting


@given(st.lists(ATTRS, min_size=2, max_size=4))
def test_an_ended_trial_has_the_attributes_that_optuna_reads(tmp_path_factory, attrs_of):
    path = tmp_path_factory.mktemp("storage") / "journal.log"
    ours = optuna.create_study(storage=Storage(Journal(path)), study_name="a")
    space = {"x": FloatDistribution(0.0, 1.0)}
    for number, attrs in enumerate(attrs_of):
        for known in ours.get_trials(states=(TrialState.RUNNING,)):
            ours.tell(known.number, 0.5)
        trial = ours.ask(space)
        assert trial.number == number
        for name, value in attrs.items():
            trial.set_user_attr(name, value)
    theirs = optuna.load_study(
        study_name="a", storage=JournalStorage(JournalFileBackend(str(path)))
    )
    found = ours.get_trials(deepcopy=False)
    for kept, read, attrs in zip(found, theirs.get_trials(), attrs_of, strict=True):
        assert kept.user_attrs.copy() == dict(kept.user_attrs) == read.user_attrs == attrs
        assert len(kept.user_attrs) == len(attrs)
        assert kept.distributions == read.distributions
        assert kept.state is read.state
    *ended, running = found
    assert {type(one.user_attrs) for one in ended} == {Packed} != {type(running.user_attrs)}
    assert len({id(one.distributions) for one in ended}) == 1
