"""Sweeps of strangers: whatever their files hold, they hide no other and are told in one line."""

import json

import pytest
from command_line import kdsweep, make_sweep
from toy_study import toy_study

from kdtasks.contract.errors import DataError
from sweeps.cli.sweeps import sweep_lines
from sweeps.ledger.journal import Journal
from sweeps.ledger.launch_settings import read_settings
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.process_lock import LEASE_FILE, read_driver
from sweeps.mirror import storage_lock as storage_lease
from sweeps.mirror.storage import open_storage
from sweeps.mirror.storage_lock import DRIVER_FILE
from sweeps.progress.log import LONGEST_LINE, SCHEMA, LogReader

DEEP = 200_000 * "["
TRIAL = {"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": "2026-01-01T00:00:00"}


def attribute(name: str, value: object) -> dict[str, object]:
    """Entry of a journal that sets an attribute of trial 0."""
    return {"op_code": 8, "worker_id": "w", "trial_id": 0, "user_attr": {name: value}}


def study_attribute(name: str, value: object) -> dict[str, object]:
    """Entry of a journal that sets an attribute of the study."""
    return {"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {name: value}}


def nested(depth: int) -> list[object]:
    """Lists within lists."""
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


LINES = {
    "deep": [DEEP],
    "deeper than is copied": [study_attribute("x", nested(700))],
    "list": [[]],
    "number of 5000 digits": ["9" * 5000],
    "no text": ["\udcff\udcfe"],
    "rungs": [TRIAL, attribute("rungs", [{"rung": 1}])],
    "rungs of no list": [TRIAL, attribute("rungs", 7)],
    "failure": [TRIAL, attribute("failure", "unheard of")],
    "trained": [TRIAL, attribute("trained", ["a", "b"])],
    "trained once": [TRIAL, attribute("trained", [1])],
    "metrics": [TRIAL, attribute("metrics", "none")],
    "curves": [TRIAL, attribute("curves", DEEP)],
    "curves of text": [TRIAL, attribute("curves", '{"a": [["x", "y"]]}')],
    "job": [study_attribute("job:a", {"kind": "unheard of"})],
    "export": [study_attribute("export:1", [])],
    "identity": [study_attribute("identity", {"data": 1})],
    "study": [study_attribute("study", DEEP)],
    "study of a number": [study_attribute("study", 3)],
    "no number": [{"op_code": "x", "worker_id": "w"}],
}


@pytest.mark.parametrize("name", LINES)
def test_a_hostile_journal_hides_no_other_sweep(tmp_path, capsys, name):
    for sweep in ("bad", "good"):
        make_sweep(tmp_path, sweep)
    journal = tmp_path / "bad" / "journal.log"
    lines = [line if isinstance(line, str) else json.dumps(line) for line in LINES[name]]
    with journal.open("ab") as file:
        file.write("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    states = {sweep.name: sweep.state for sweep in sweep_lines(tmp_path)}
    assert states["good"] == "no report yet"
    assert "journal.log" in states["bad"]
    assert "damaged" in states["bad"]
    assert len(states["bad"]) < 600
    code, out, _ = kdsweep(capsys, "list", "--home", str(tmp_path))
    assert (code, "good" in out) == (0, True)
    with pytest.raises(DataError, match=r"journal\.log"):
        Ledger.open(journal)


def test_a_journal_that_may_not_be_read_hides_no_other_sweep(tmp_path, monkeypatch):
    for sweep in ("bad", "good"):
        make_sweep(tmp_path, sweep)

    def journal(path):
        if path.parent.name == "bad":
            raise PermissionError(13, "Permission denied")
        return Journal(path)

    monkeypatch.setattr("sweeps.ledger.ledger.Journal", journal)
    states = {sweep.name: sweep.state for sweep in sweep_lines(tmp_path)}
    assert "access rights" in states["bad"]


@pytest.mark.parametrize(
    "text",
    [
        *(DEEP, "[]", "null", '{"seats": 3}', '{"seats": {"slots": "many"}}', "\udcff"),
        *('{"seats": {}, "folder": 5}', '{"seats": {}, "tracking_uri": 7}'),
        *('{"seats": {}, "id": []}', '{"seats": {}, "task_path": {"a": 1}}'),
    ],
)
def test_hostile_settings_are_one_line_and_not_quoted(tmp_path, capsys, text):
    make_sweep(tmp_path, "bad")
    file = tmp_path / "bad" / "sweep.json"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(DataError, match=r"sweep\.json.*--tracking-uri"):
        read_settings(file.parent)
    for command in ("ui", "resume", "verify"):
        code, _, err = kdsweep(capsys, command, "bad", "--home", str(tmp_path))
        assert code == 2
        assert "sweep.json" in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("text", [DEEP, '{"driver": {"pid": 1e999}}', "[[]]", "\udcff"])
def test_a_hostile_note_of_a_driver_is_nobodys(tmp_path, text):
    (tmp_path / LEASE_FILE).write_text(text, errors="surrogateescape")
    assert read_driver(tmp_path) is None
    storage = open_storage(tmp_path.as_uri(), "s")
    storage.write(DRIVER_FILE, text.encode(errors="surrogateescape"))
    assert storage_lease.read_driver(storage) is None


def event(name: str, /, **fields: object) -> str:
    """A line of a log in which every other field is a text."""
    full = {**dict.fromkeys(SCHEMA[name], "x"), **fields}
    return json.dumps({"time": "2026-01-01T00:00:00Z", "event": name, **full})


OPENED = event("opened", pid=1, trials=3, time_s=None, objectives=[], before={})


@pytest.mark.parametrize(
    "lines",
    [
        [DEEP],
        ['{"event": [], "time": ""}'],
        ['{"event": "note", "time": "0001-01-01T00:00:00", "text": ""}'],
        [OPENED, event("search_started", trials=1, time_s=1, slots=0), event("closed")],
        [OPENED, event("search_started", trials="a", time_s="b", slots="c")],
        [OPENED, event("phase", name="unheard of")],
        [OPENED, event("phase", name=[])],
        [OPENED, event("data_progress", done={}, total=[], unit=0), event("phase", name="data")],
        [OPENED, event("front", size=[], hypervolume={}, best=3)],
        [OPENED, event("closed", outcome=[1], why=2)],
        [OPENED, event("trial_started", trial=[], params=nested(90))],
        [event("opened", before=3), event("opened", before={"trials_complete": "x"})],
        [event("opened", trials=[], objectives=5, before={"trials_complete": 2})],
    ],
)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_hostile_log_is_left_out_or_named(tmp_path, capsys, lines, options):
    make_sweep(tmp_path, "bad")
    (tmp_path / "bad" / "log.jsonl").write_text("\n".join(lines) + "\n")
    code, _, err = kdsweep(capsys, "status", "bad", "--home", str(tmp_path), *options)
    assert code in (0, 2)
    if code:
        assert "log.jsonl" in err
        assert err.count("\n") == 1


def test_a_line_without_end_fills_no_memory(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text(3 * LONGEST_LINE * "[" + "\n" + OPENED + "\n")
    assert [one["event"] for one in LogReader(file).new()] == ["opened"]


def test_an_honest_ledger_still_opens(tmp_path):
    make_sweep(tmp_path, "good")
    assert Ledger.open(tmp_path / "good" / "journal.log").study.name == toy_study().name
