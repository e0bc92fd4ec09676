"""What a person sees of a sweep that is stopped or refused early, or fails in part.

By the command, in this process and without Ray.
"""

import importlib
import re
import signal
import sys

import pytest
from toy_study import toy_study

from sweeps.cli.main import main

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

TASK = """
import asyncio, os, signal
from toy_task import ToyTask

class Own(ToyTask):
    name = "own"
"""
LOADING = """
    def load_scenario(self, params, *, cache_dir, progress):
        {}
        return super().load_scenario(params, cache_dir=cache_dir, progress=progress)
"""
TRAINING = """
    def train_student(self, params, data, val, teacher):
        {}
        return (yield from super().train_student(params, data, val, teacher))
"""
COMPLETING = """
    def complete(self, params):
        {}
        return super().complete(params)
"""
TEACHING = """
    def train_teacher(self, params, data, val):
        {}
        return (yield from super().train_teacher(params, data, val))
"""
JUDGING = """
    def evaluate(self, params, weights, split):
        {}
        return super().evaluate(params, weights, split)
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a study of a task with the given body; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    importlib.invalidate_caches()

    def typed(body, *words):
        (tmp_path / "own_task.py").write_text(TASK + body)
        text = re.sub(
            r"^task: .*$", "task: own_task:Own", toy_study(budget={"trials": 2}).text, flags=re.M
        )
        (tmp_path / "own.yaml").write_text(text)
        sys.modules.pop("own_task", None)
        with pytest.raises(SystemExit) as end:
            main([*(words or ("run", "own.yaml")), "--home", "home", "--backend", "inline"])
        capture = capsys.readouterr()
        return end.value.code, capture.out, capture.err

    yield typed
    sys.modules.pop("own_task", None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_while_data_are_loaded_names_the_next_command(run, number, tmp_path):
    code, _, err = run(LOADING.format(f"os.kill(os.getpid(), {int(number)})"))
    assert code == 130
    assert err.startswith("kdsweep: interrupted")
    assert "same command again" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "home" / "toy").exists()


def test_a_sweep_that_is_there_is_to_be_resumed(run, tmp_path):
    kill = "os.path.exists('kill') and os.kill(os.getpid(), signal.SIGTERM)"
    assert run(LOADING.format(kill))[0] == 0
    (tmp_path / "kill").touch()
    code, _, err = run(LOADING.format(kill), "resume", "toy")
    assert code == 130
    assert "resume toy" in err


@pytest.mark.parametrize("name", ["GeneratorExit", "asyncio.CancelledError", "SystemExit"])
@pytest.mark.parametrize(
    ("body", "code"),
    [(LOADING, 2), (TRAINING, 1), (TEACHING, 2), (COMPLETING, 2)],
    ids=["data", "student", "teacher", "parameters"],
)
def test_whatever_a_task_raises_is_one_line(run, name, body, code):
    got, out, err = run(body.format(f"raise {name}('of ours')"))
    assert got == code
    assert "Traceback" not in out + err
    assert "own_task.py" in out + err


def test_a_failed_teacher_leads_to_where_it_failed(run):
    code, out, _ = run(TEACHING.format("raise ValueError('of ours')"))
    assert code == 2
    assert re.search(r"failures: .*status toy --failed", out)


def test_failed_repetitions_lead_to_where_they_failed(run):
    body = JUDGING.format("raise ValueError('of ours')")
    _, out, _ = run(body)
    assert " 0 failed" in out
    assert re.search(r"failures: .*status toy --failed", out)


def test_nothing_has_failed_is_not_hinted_at(run):
    assert "failures:" not in run("")[1]


@pytest.mark.parametrize(
    "words", [("--name", "Not A Name"), ("--name", "toy", "--tracking-uri", "http://127.0.0.1:9")]
)
def test_a_sweep_that_is_refused_is_not_announced(run, words):
    code, out, err = run("", "run", "own.yaml", *words)
    assert code == 2
    assert err
    assert "sweep " not in out
    assert "home" not in out


def test_a_refused_fingerprint_of_a_teacher_leaves_the_name_free(run, tmp_path):
    body = """
    def teacher_fingerprint(self, params):
        return params["method"] == "kd" and "one" or None
"""
    searched = ("--set", "space.compression={type: choice, values: [4, 8]}")
    code, _, err = run(body, "run", "own.yaml", *searched)
    assert code == 2
    assert "teacher_fingerprint must contain it" in err
    assert not (tmp_path / "home" / "toy").exists()
