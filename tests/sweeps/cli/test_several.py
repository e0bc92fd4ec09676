"""`kdsweep run` of several studies: order, exit codes, events, one Ray."""

import json
import re
from pathlib import Path

import pytest
import ray
from command_line import kdsweep
from synthetic_frames import make_frames
from toy_study import toy_study

from kdtasks.contract.errors import UserError
from sweeps.cli.several import Ended
from sweeps.common.records import FrontRow
from sweeps.progress.events import LineLogged
from sweeps.progress.log import SCHEMA
from sweeps.run.summary import SweepSummary

ROOT = Path(__file__).resolve().parents[3]


BEST = FrontRow(number=0, params={}, objectives={"val_nmse_db": -7.5, "ue_flops": 8.0})


def summary(folder, **changes):
    facts = {
        "name": folder.name, "folder": folder, "tracking_uri": "", "complete": 3, "pruned": 1,
        "epochs_saved": 2, "failed": 0, "jobs_failed": 0, "confirmations": 0, "front": (BEST,),
        "hypervolume": 0.0, "report": None, "interrupted": False, "ended": "done", "seconds": 5.0,
        "utilisation": 1.0,
    }  # fmt: skip
    return SweepSummary(**{**facts, **changes})


ENDINGS = {
    "done": lambda folder: summary(folder),
    "lost": lambda folder: summary(folder, failed=2, lost_methods=("method mine:loss",)),
    "empty": lambda folder: summary(folder, complete=0, failed=3, front=()),
    "infeasible": lambda folder: summary(folder, front=()),
    "stopped": lambda folder: summary(folder, interrupted=True),
}


@pytest.fixture
def begun(own_folder, monkeypatch):
    """A folder with a study per ending; the engine does as their names say, and notes it."""
    found = []

    def run_study(study, *, name, home, display, **_options):
        found.append(name)
        display.handle(LineLogged({"time": "now", "event": "opened", "sweep": name}))
        print("text for people")  # noqa: T201 - what a task may print
        if study.name == "refused":
            raise UserError("no data there")
        if study.name == "ctrl-c":
            raise KeyboardInterrupt
        return ENDINGS[study.name](home / name)

    monkeypatch.setattr("sweeps.run.runner.run_study", run_study)
    monkeypatch.setattr("sweeps.tracking.read.sweep_frames", lambda _folder: make_frames(3))
    for name in (*ENDINGS, "refused", "ctrl-c"):
        (own_folder / f"{name}.yaml").write_text(toy_study(name=name).text)
    return found


def call(capsys, *names: str):
    return kdsweep(capsys, "run", *(f"{name}.yaml" for name in names), "--backend", "inline")


@pytest.mark.parametrize(
    ("names", "code", "runs"),
    [
        (["done", "done"], 0, 2),
        (["empty", "done"], 1, 2),
        (["done", "lost"], 1, 2),
        (["done", "infeasible"], 1, 2),
        (["refused", "empty", "done"], 2, 3),
        (["stopped", "done"], 130, 1),
        (["ctrl-c", "refused"], 130, 1),
    ],
)
def test_the_exit_code_is_the_largest_and_only_an_interruption_ends_all(
    begun, capsys, names, code, runs
):
    assert call(capsys, *names)[0] == code
    assert len(begun) == runs


def test_methods_that_only_failed_are_named(begun, capsys):
    code, out, _ = call(capsys, "lost")
    assert (code, out.count("every trial of method mine:loss failed")) == (1, 1)


def test_a_table_has_all_of_them(begun, capsys):
    code, out, err = call(capsys, "done", "refused", "stopped", "empty")
    rows = {words[0]: words for words in map(str.split, out.splitlines()[-4:])}
    ends = {"done": "0", "refused": "2", "stopped": "130", "empty": "begun"}
    assert {name: words[-1] for name, words in rows.items()} == ends
    assert rows["done"][1:7] == ["3", "finished,", "1", "stopped,", "0", "failed"]
    assert (code, err.count("kdsweep: no data there")) == (130, 1)


def test_events_are_all_that_a_program_reads(begun, capsys):
    _, out, err = kdsweep(
        capsys, "run", "done.yaml", "refused.yaml", "--backend", "inline", "--json"
    )
    events = [json.loads(line) for line in out.splitlines()]
    assert [(one["sweep"], one["event"]) for one in events] == [
        ("done", "opened"), ("done", "ended"), ("refused", "opened"), ("refused", "ended"),
    ]  # fmt: skip
    assert events[1].keys() == {"time", "event", *Ended.__dataclass_fields__}
    assert [one["exit"] for one in events[1::2]] == [0, 2]
    assert events[3]["error"] == "no data there"
    assert "text for people" in err


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["done.yaml", "empty.yaml", "--name", "one"], ["--name one"]),
        (["done.yaml", "wrong.yaml"], ["wrong.yaml", "budget.trials", "0"]),
        (["here.yaml", "other/there.yaml"], ["here.yaml", "there.yaml", "other"]),
    ],
)
def test_a_mistake_in_one_is_found_before_the_first_begins(begun, capsys, tmp_path, words, facts):
    (tmp_path / "wrong.yaml").write_text(toy_study().text.replace("trials: 8", "trials: 0"))
    (tmp_path / "other").mkdir()
    for place in ("here", "other/there"):
        task = Path(place).name
        (tmp_path / f"{place}.yaml").write_text(toy_study(task=f"{task}:Own").text)
        (tmp_path / f"{place}.py").write_text("raise RuntimeError  # nothing imports it")
    code, _, err = kdsweep(capsys, "run", *words, "--backend", "inline")
    assert (code, begun) == (2, [])
    assert all(fact in err for fact in facts), err


def test_the_page_names_every_event_and_field():
    page = (ROOT / "docs/automation.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.M)
    named = {event: set(re.findall(r"`(\w+)`", fields)) for event, fields in rows}
    events = {name: set(fields) for name, fields in SCHEMA.items()}
    assert named == {**events, "ended": set(Ended.__dataclass_fields__) - {"sweep"}}


@pytest.mark.slow
@pytest.mark.timeout(180)
# MLflow's models, with the SQLAlchemy that it allows
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
@pytest.mark.usefixtures("own_folder")
def test_two_studies_share_one_ray_and_what_is_cached(tmp_path, monkeypatch, capsys):
    init, begun = ray.init, []
    monkeypatch.setattr(ray, "init", lambda **options: (begun.append(1), init(**options)))
    points = [{"method": ["vanilla", "kd"], "width": 2, "x": 0.5}]
    for name in ("first", "second"):
        study = toy_study(
            name=name, search={"sampler": "points", "points": points}, confirm={"select": "none"}
        )
        (tmp_path / f"{name}.yaml").write_text(study.text)
    one_process = ("--slots", "1", "--transport", "inprocess")
    code, out, err = kdsweep(capsys, "run", "first.yaml", "second.yaml", "--json", *one_process)
    assert (code, begun) == (0, [1]), err
    events = [json.loads(line) for line in out.splitlines()]
    ended = [(one["sweep"], one["complete"]) for one in events if one["event"] == "ended"]
    assert ended == [("first", 2), ("second", 2)]
    log = (tmp_path / "runs/first/log.jsonl").read_text().splitlines()
    of_first = [one for one in events if one["sweep"] == "first" and one["event"] != "ended"]
    assert [{**json.loads(line), "sweep": "first"} for line in log] == of_first
    planned = {one["sweep"]: one["count"] for one in reversed(events)
               if one["event"] == "jobs_planned" and one["kind"] == "teacher"}  # fmt: skip
    assert planned == {"first": 1, "second": 0}
