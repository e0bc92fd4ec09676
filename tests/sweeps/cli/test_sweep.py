"""The commands as a person types them, on one real sweep of the toy task."""

import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from command_line import kdsweep
from toy_study import toy_study
from traps import write_traps

from search_spaces.study import load_study
from sweeps.cli.sweeps import free_port
from sweeps.common.environment import source_digest
from sweeps.plan.preflight import check_study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    # MLflow's models, with the SQLAlchemy that it allows
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

ROOT = Path(__file__).resolve().parents[3]
COMMAND = str(Path(sys.executable).with_name("kdsweep"))
CALL = "import sys; from sweeps.cli.main import main; main(sys.argv[1:])"
CALL_ALL = """
import contextlib, io, json, sys
from sweeps.cli.main import main
shown = []
for words in json.loads(sys.argv[1]):
    texts, code = (io.StringIO(), io.StringIO()), 0
    with contextlib.redirect_stdout(texts[0]), contextlib.redirect_stderr(texts[1]):
        try:
            main(words)
        except SystemExit as end:
            code = end.code or 0
    shown.append([code, *(text.getvalue() for text in texts)])
print(json.dumps([shown, list(sys.modules)]))
"""
READING = (
    "status toy",
    "front toy",
    "front toy --json",
    "best toy",
    "best toy --json",
    "best toy --max ue_flops=0",
    "importance toy",
    "importance toy --json",
    "importance toy --method magic",
    "tables toy --json",
    "compare toy other",
    "report toy",
    "report toy --paper figures",
    "verify toy",
    "list",
)


def call_all(folder: Path, commands: list[list[str]]):
    """Run commands in one process; return code, output and errors of each, and loaded modules."""
    done = subprocess.run(
        [sys.executable, "-c", CALL_ALL, json.dumps(commands)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown, modules = json.loads(done.stdout)
    return [
        subprocess.CompletedProcess(words, *found)
        for words, found in zip(commands, shown, strict=True)
    ], {*modules}


MY_TASK = """
import random  # Python's, not the file beside this one
import beside
from toy_task import ToyTask
import sweeps, kdtasks, analysis

class Mine(ToyTask):
    def train_teacher(self, *args):
        beside.note("pool worker")
        return (yield from super().train_teacher(*args))
    def train_student(self, *args):
        beside.note("trial")
        return (yield from super().train_student(*args))
"""
BESIDE = """
import os
def note(caller):
    title = " ".join(open("/proc/self/cmdline").read().split("\\0"))
    with open(os.environ["TRAPPED"] + ".callers", "a") as file:
        file.write(f"{caller} {title}\\n")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the sweep ``toy`` was run by `kdsweep run`; the task lies beside the study's file.

    So did files with the names of libraries, until the end of the sweep.
    """
    place = tmp_path_factory.mktemp("cli")
    folder, env = write_traps(place)
    traps = list(folder.iterdir())
    shutil.copy(Path(__file__).parents[1] / "toy_task.py", folder)
    (folder / "my_task.py").write_text(MY_TASK)
    (folder / "beside.py").write_text(BESIDE)
    study = yaml.safe_load(toy_study().text)
    study["task"] = "my_task:Mine"
    study["search"]["points"] = [{"flaw": "raise"}]
    (folder / "toy.yaml").write_text(yaml.safe_dump(study))
    done = subprocess.run(
        [COMMAND, "run", "toy.yaml", "--trials", "4", "--slots", "1"],
        cwd=folder,
        env={**env, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    (folder / "shown.txt").write_text(done.stdout)
    assert done.returncode == 0, done.stderr
    for trap in traps:
        shutil.rmtree(trap) if trap.is_dir() else trap.unlink()
    return folder


@pytest.fixture(scope="module")
def read(folder):
    """What the commands that read a sweep have shown, by command, and the modules they loaded."""
    (folder / "runs" / "toy" / "report" / "report.html").unlink()
    done, modules = call_all(folder, [shlex.split(command) for command in READING])
    return {**dict(zip(READING, done, strict=True)), "modules": modules}


def test_run_prints_where_everything_is(folder):
    shown = (folder / "shown.txt").read_text()
    assert "\x1b" not in shown
    assert "toy: 3 trials finished, 1 failed" in shown
    assert "the budget of trials is spent" in shown
    assert "trial 0 failed: RuntimeError: the loss is not a number" in shown
    assert f"report:    {Path('runs/toy/report/report.html')}" in shown
    assert (folder / "runs" / "toy" / "report" / "report.html").is_file()
    assert "ui toy" in shown.splitlines()[-1]


def test_no_process_of_the_sweep_took_a_file_for_a_library(folder):
    """Neither driver, pool worker, trainable, node actor, nor the process that grows forests."""
    trapped = folder.parent / "trapped"
    assert not trapped.exists(), trapped.read_text()
    # named, for one might mean it
    assert f"not your {folder / 'random.py'}" in (folder / "shown.txt").read_text()
    callers = trapped.with_name("trapped.callers").read_text().splitlines()
    assert {line.partition(" ray::")[0] for line in callers} == {"pool worker", "trial"}
    assert any("NodeHost" in line for line in callers)


def test_front_is_the_one_of_the_report(folder, read):
    filed = json.loads((folder / "runs" / "toy" / "report" / "front.json").read_text())
    assert json.loads(read["front toy --json"].stdout) == filed
    table = read["front toy"].stdout
    assert table in (folder / "shown.txt").read_text()
    numbers = {line.split()[0] for line in table.splitlines()}
    assert {str(row["trial"]) for row in filed["front"]} <= numbers
    assert f"{filed['knee']} (knee)" in table
    assert any(row["method"].startswith("teacher") for row in filed["references"])
    for row in filed["references"]:
        assert row["method"] in table
        assert f"({row['method']})" in read["status toy"].stdout


def test_best_takes_the_first_of_the_front_and_names_what_fits(folder, read):
    rows = json.loads((folder / "runs" / "toy" / "report" / "front.json").read_text())["front"]
    found = json.loads(read["best toy --json"].stdout)
    assert found["chosen"]["trial"] == rows[0]["trial"]
    assert f"take trial {rows[0]['trial']}" in read["best toy"].stdout
    assert f"export toy --trial {rows[0]['trial']})" in read["best toy"].stdout
    refused = read["best toy --max ue_flops=0"]
    assert refused.returncode == 2
    least = min(row["ue_flops"] for row in rows)
    assert f"--max ue_flops={least:g} would allow trial" in refused.stderr


def test_importance_covers_the_chosen_methods(read):
    assert "too few trials: 3 finished, 10 needed" in read["importance toy"].stdout
    found = json.loads(read["importance toy --json"].stdout)
    assert found["trials"] == 3
    assert {one["metric"] for one in found["objectives"]} == {"val_nmse_db", "ue_flops"}
    refused = read["importance toy --method magic"]
    assert refused.returncode == 2
    assert "no finished trial of method 'magic'; it has some of " in refused.stderr


def test_tables_as_data_have_the_numbers_of_the_study(read):
    found = json.loads(read["tables toy --json"].stdout)
    assert found.keys() >= {"sweep", "study", "task", "made", "tables", "claims", "printed"}
    assert found["made"]["source"] == source_digest()
    assert found["made"]["ended"].endswith("+00:00")
    assert "front" in [table["name"] for table in found["printed"]]


def test_an_unknown_sweep_is_not_compared(read):
    refused = read["compare toy other"]
    assert refused.returncode == 2
    assert "no sweep 'other'" in refused.stderr


def test_a_task_without_export_is_reported(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command adds this folder
    code, _, errors = kdsweep(capsys, "export", "toy")
    for name in ("my_task", "beside"):
        sys.modules.pop(name, None)
    assert code == 2
    assert "task toy does not define how its students are deployed" in errors
    assert "Traceback" not in errors


def test_report_is_written_anew(folder, read):
    page = folder / "runs" / "toy" / "report" / "report.html"
    assert read["report toy"].stdout.strip() == str(page.relative_to(folder))
    assert page.stat().st_size > 0


def test_figures_and_tables_for_a_paper_are_written_beside_the_report(folder, read):
    lines = read["report toy --paper figures"].stdout.splitlines()
    written = {Path(line).name for line in lines}
    assert {"front.pdf", "front.png", "front.tex", "front.md", "hypervolume.pdf"} <= written
    assert {path.name for path in (folder / "figures").iterdir()} == written


def test_verify_lists_every_difference(folder, read, capsys):
    assert read["verify toy"].returncode == 0
    damaged = folder / "damaged" / "toy"
    shutil.copytree(folder / "runs" / "toy", damaged)
    with sqlite3.connect(damaged / "mlflow.db") as database:
        database.execute("UPDATE latest_metrics SET value = value + 1 WHERE key = 'ue_flops'")
    database.close()
    code, shown, errors = kdsweep(capsys, "verify", "toy", "--home", str(folder / "damaged"))
    assert code == 1
    assert shown.count("metric ue_flops") >= 3
    assert errors == ""


def test_reading_loads_neither_torch_nor_ray(read):
    refused = {command for command in READING if read[command].returncode}
    assert refused == {READING[5], READING[8], READING[10]}
    assert {"analysis.report", "analysis.compare"} <= read["modules"]
    assert not {"torch", "ray"} & read["modules"]


def test_the_commands_of_the_tour_read_a_sweep(folder, monkeypatch, capsys):
    """Those that start nothing; the one that runs a sweep fits its study."""
    tour = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    lines = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```$", tour, re.M | re.S)
        for line in block.splitlines()
    ]
    run, *others = [shlex.split(line)[1:] for line in lines]
    settings = [word for before, word in pairwise(run) if before == "--set"]
    assert run[:2] == ["run", "csi-methods"]
    assert check_study(load_study("csi-methods", settings)).needs
    assert {words[0] for words in others} >= {"status", "front", "verify", "best"}
    toys = [[w.replace("csi-methods", "toy").replace("params", "flops") for w in o] for o in others]
    monkeypatch.chdir(folder)
    done = [kdsweep(capsys, *words) for words in toys]
    assert [code for code, *_ in done] == [0] * len(toys), done


def test_list_counts_the_trials(read):
    shown = read["list"].stdout
    assert shown.splitlines()[-1].split() == ["toy", "toy", "3", "1", "reported"]


def ask(url: str, body: dict[str, object] | None = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - loopback
        url, data=data, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        return bytes(answer.read())


def wait_for(url: str, server: subprocess.Popen[str]) -> None:
    for _ in range(240):
        assert server.poll() is None, "the server ended"
        try:
            ask(url)
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise AssertionError("the server does not answer")


def refused_without_token(address: str) -> None:
    for path in ("/", "/health", "/?token=wrong", "/api/2.0/mlflow/experiments/search"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.build_opener().open(address + path)


DELETE = """
exec 3<>/dev/tcp/127.0.0.1/$1
printf 'POST /api/2.0/mlflow/runs/delete HTTP/1.0\r\nContent-Type: application/json\r\n' >&3
printf 'Content-Length: %d\r\n\r\n%s' ${#2} "$2" >&3
head -1 <&3
"""


def other_user_deletes(port: int, run: str) -> str:
    """Let another user try to delete a run; return the first line of the answer."""
    if not shutil.which("setpriv") or os.getuid():
        return "not tried: 401 "
    user = ["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", DELETE, "bash"]
    done = subprocess.run(
        ["setpriv", *user, str(port), json.dumps({"run_id": run})],
        capture_output=True,
        text=True,
        cwd="/",
        check=True,
    )
    return done.stdout


def test_ui_serves_runs_and_artifacts_on_loopback_until_interrupted(folder):
    port = free_port(None)
    server = subprocess.Popen(
        [sys.executable, "-c", CALL, "ui", "toy", "--port", str(port)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        first = server.stdout.readline()
        token = first.split("?token=")[1].split()[0]
        assert token not in " ".join(Path(f"/proc/{server.pid}/cmdline").read_text().split("\0"))
        urllib.request.install_opener(
            urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        )
        wait_for(f"{address}/?token={token}", server)
        refused_without_token(address)
        api = f"{address}/api/2.0/mlflow"
        found = json.loads(ask(f"{api}/experiments/search", {"max_results": 10}))
        ids = [experiment["experiment_id"] for experiment in found["experiments"]]
        runs = json.loads(ask(f"{api}/runs/search", {"experiment_ids": ids}))["runs"]
        parent = next(run["info"] for run in runs if run["info"]["run_name"] == "toy")
        assert len(runs) > 4
        assert " 401 " in other_user_deletes(port, parent["run_id"])
        page = ask(f"{address}/get-artifact?path=report/report.html&run_uuid={parent['run_id']}")
        assert page.lstrip().lower().startswith(b"<!doctype html")
    finally:
        os.killpg(server.pid, signal.SIGINT)  # as Ctrl-C does
        # not communicate(): it loses what readline() has already taken from the pipe
        with server:
            out, err = server.stdout.read(), server.stderr.read()
        urllib.request.install_opener(urllib.request.build_opener())
    assert first.startswith(f"MLflow UI of toy: {address}")
    assert f"the front: {address}/?token={token}#/experiments/" in out
    assert "Traceback" not in err
    assert token not in err
