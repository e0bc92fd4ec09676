"""What the README shows is what works: its files are taken from it and run."""

import re
import sys
from pathlib import Path

import pytest
from csi_examples import drained
from typer.testing import CliRunner

from kdtasks.contract.registry import FIELDS, load_task
from search_spaces.study import Study, load_study
from sweeps.cli.main import app
from sweeps.plan.preflight import check_study

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [README, *(page.read_text(encoding="utf-8") for page in ROOT.glob("docs/**/*.md"))]
BLOCK = re.compile(r"^```(?:python|yaml)\n# (?P<name>\S+)\n(?P<text>.*?)^```$", re.M | re.S)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files of the README, where a reader would have saved them."""
    for block in BLOCK.finditer(README):
        (tmp_path / block["name"]).write_text(block["text"], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("beam_task", None)


def first_results(study: Study, cache: Path) -> list[dict[str, float]]:
    """Train the first trial of every need of a study, as the engine does; return their metrics."""
    task, found = load_task(study.task), []
    assert all(hasattr(task, name) for name in FIELDS)
    for need in check_study(study).needs:
        data = task.load_scenario(need.params, cache_dir=cache, progress=lambda *_: None)
        assert data.provenance
        assert isinstance(task.baselines(need.params, data), list)
        teacher = None
        if need.teacher is not None:
            reports, teacher = drained(task.train_teacher(need.params, data.train, data.val))
            assert reports
            assert task.evaluate_teacher(need.params, teacher.weights, data.test)
        reports, outcome = drained(task.train_student(need.params, data.train, data.val, teacher))
        assert reports[-1].epoch == reports[-1].epochs == len(reports)
        assert task.evaluate(need.params, outcome.weights, data.test)
        found.append({**task.cost(need.params), **outcome.metrics})
    return found


def test_it_can_be_read_in_one_go():
    assert len(README.splitlines()) <= 200


def test_the_examples_are_complete(folder):
    names = {"beam_task.py", "beams.yaml"}
    assert {path.name for path in folder.iterdir()} == names


@pytest.mark.slow
def test_own_task_and_study(folder):
    study = load_study("beams.yaml", ["space.width.high=32"])
    results = first_results(study, folder / "cache")
    assert len(results) == 2
    for metrics in results:
        assert metrics.keys() >= {objective.metric for objective in study.objectives}
        assert metrics["val_error"] < 90.0  # far below the 94 % of guessing


def test_every_command_is_listed():
    commands = [command.name or command.callback.__name__ for command in app.registered_commands]
    for command in [*commands, "studies", "studies show", "studies schema"]:
        call = rf"\bkdsweep {command}\b"
        assert any(re.search(call, text) for text in DOCUMENTS), command
    shown = CliRunner().invoke(app, ["run", "--help"]).output
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    listed = page[page.index("| `kdsweep run STUDY`") :].splitlines()[0]
    for option in re.findall(r"`(--[a-z-]+)", listed):
        assert option in shown


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "docs/engine.md"])
def test_every_file_that_is_named_exists(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    text = BLOCK.sub("", text)
    for path in re.findall(r"`((?:kdtasks|search_spaces|sweeps|analysis|tests)/[\w/.*-]+)`", text):
        assert list(ROOT.glob(path.rstrip("/"))), f"{document} names {path}, which is not there"
