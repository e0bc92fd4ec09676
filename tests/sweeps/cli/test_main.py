import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import kdsweep, make_sweep
from synthetic_frames import make_frames, study
from synthetic_topologies import make_topology_frames
from toy_study import toy_study

from analysis.paper_view import paper_views
from kdtasks.contract.errors import ConfigError
from search_spaces.study import available, load_study, parse_study
from sweeps.cli.main import app, main
from sweeps.cli.output import paper_tables, show_paper
from sweeps.cli.run import make_importable, overrides
from sweeps.cli.sweeps import UI_PORTS, free_name, free_port, sweep_lines

ROOT = Path(__file__).resolve().parents[3]
CALL = "import sys; from sweeps.cli.main import main; main(sys.argv[1:])"
LOADED = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
COMMANDS = [
    "run",
    "resume",
    "check",
    "status",
    "front",
    "best",
    "importance",
    "compare",
    "export",
    "register",
    "report",
    "tables",
    "verify",
    "ui",
    "list",
    "models",
    "parameters",
    "studies",
    "studies show",
    "studies schema",
    "data inspect",
    "doctor",
]


def modules_after(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED + CALL, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(command, capsys):
    code, out, _ = kdsweep(capsys, *command.split(), "--help")
    assert code == 0
    assert f"Example: kdsweep {command}" in out


@pytest.mark.parametrize("words", [[], ["data"]])
def test_without_a_command_help_is_printed_as_it_is(words, capsys):
    code, out, err = kdsweep(capsys, *words)
    assert (code, err) == (0, "")
    assert out == kdsweep(capsys, *words, "--help")[1]
    assert out.count("\n") > 5


def test_no_command_is_without_test_of_its_help():
    named = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert named | {"studies", "studies show", "studies schema", "data inspect"} == set(COMMANDS)


def test_help_loads_nothing_slow():
    heavy = {"numpy", "pandas", "pydantic", "mlflow", "optuna", "plotly", "torch", "ray"}
    assert not heavy & modules_after("--help")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["run", "csi-feedbac"], "did you mean 'csi-feedback'"),
        (["run", "missing.yaml"], "missing.yaml: cannot be read"),
        (["run", "csi-feedback", "--trials", "0"], "must be at least 1, got 0"),
        (["run", "csi-feedback", "--time", "soon"], "budget.time"),
        (["run", "csi-feedback", "--time", "5"], "--time 5: give a unit: 5s, 5m or 5h"),
        (["run", "csi-feedback", "--time", "2.5"], "2.5m"),
        (["run", "csi-feedback", "--set", "budget.trails=3"], "did you mean 'trials'?"),
        (["run", "csi-feedback", "--set", "budget"], "budget"),
        (["run", "csi-feedback", "--slots", "x"], "see kdsweep run --help"),
        (["run", "csi-feedback", "--transport", "pigeon"], "'ray', 'inprocess'"),
        (["run"], "Missing argument 'STUDY...'"),
        (["resume", "nothing"], "no sweep 'nothing'"),
        (["front", "nothing"], "no sweep 'nothing'"),
        (["best", "nothing"], "no sweep 'nothing'"),
        (["export", "nothing"], "no sweep 'nothing'"),
        (["register", "nothing"], "no sweep 'nothing'"),
        (["compare", "nothing"], "name two different sweeps"),
        (["compare", "same", "same"], "name two different sweeps"),
        (["compare", "nothing", "else"], "no sweep 'nothing'"),
        (["report", "nothing"], "no sweep 'nothing'"),
        (["verify", "nothing"], "no sweep 'nothing'"),
        (["ui", "nothing"], "no sweep 'nothing'"),
        (["studies", "show", "nothing"], "there is no study 'nothing'"),
        (["models", "nothing"], "no task 'nothing'"),
        (["models", "no.such.module:Task"], "cannot be imported"),
        (["frunt"], "Did you mean 'front'"),
    ],
)
def test_a_user_error_is_one_line(arguments, hint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = kdsweep(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("kdsweep: ")
    assert err.count("\n") == 1
    assert hint in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--actors", "4096"], "actors must lie in"),
        (["--slots", "4096"], "lower slots to"),
        (["--transport", "inprocess", "--actors", "1"], "leave actors out"),
    ],
)
def test_a_trial_that_cannot_fit_is_refused_before_anything_starts(
    arguments, hint, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(toy_study().text)
    code, _, err = kdsweep(capsys, "run", "toy.yaml", *arguments)
    assert code == 2
    assert hint in err
    assert [path.name for path in tmp_path.iterdir()] == ["toy.yaml"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_debug_works_anywhere(place):
    arguments = ["studies", "show", "nothing"]
    arguments.insert(place, "--debug")
    with pytest.raises(ValueError, match="there is no study 'nothing'"):
        main(arguments)


def test_studies_are_listed_with_their_titles(capsys):
    code, out, _ = kdsweep(capsys, "studies")
    assert code == 0
    assert all(name in out and title in out for name, title in available().items())
    assert json.loads(kdsweep(capsys, "studies", "--json")[1]) == available()


@pytest.mark.parametrize("name", sorted(available()))
def test_a_shown_study_can_be_saved_and_run(name, capsys):
    _, out, _ = kdsweep(capsys, "studies", "show", name)
    shown, shipped = parse_study(out, "saved.yaml"), load_study(name)
    assert shown.space == shipped.space
    assert shown.objectives == shipped.objectives
    assert shown.search == shipped.search


def test_an_empty_home_shows_the_first_command(capsys, tmp_path):
    code, out, _ = kdsweep(capsys, "list", "--home", str(tmp_path / "none"))
    assert code == 0
    assert "kdsweep run" in out


def test_a_damaged_sweep_hides_no_other(tmp_path, capsys):
    for name in ("bad", "good"):
        make_sweep(tmp_path, name)
    (tmp_path / "bad" / "journal.log").unlink()
    states = {sweep.name: sweep.state for sweep in sweep_lines(tmp_path)}
    assert states["good"] == "no report yet"
    assert "does not exist" in states["bad"]
    code, out, _ = kdsweep(capsys, "list", "--home", str(tmp_path))
    assert code == 0
    assert "\x1b" not in out
    _, out, _ = kdsweep(capsys, "list", "--home", str(tmp_path), "--json")
    assert {row["name"]: row["state"] for row in json.loads(out)} == states


def test_a_sweep_without_database_needs_its_server(tmp_path, capsys):
    make_sweep(tmp_path, "remote")
    code, _, err = kdsweep(capsys, "ui", "remote", "--home", str(tmp_path))
    assert code == 2
    assert "--tracking-uri" in err
    assert kdsweep(capsys, "front", "remote", "--home", str(tmp_path))[0] == 0


def test_the_home_may_come_from_the_environment(tmp_path, capsys, monkeypatch):
    make_sweep(tmp_path, "mine")
    monkeypatch.setenv("KDSWEEP_HOME", str(tmp_path))
    _, out, _ = kdsweep(capsys, "list")
    assert "mine" in out


def test_a_sweep_is_called_after_its_study_and_numbered(tmp_path):
    assert free_name(tmp_path, "toy") == "toy"
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy-2").mkdir()
    assert free_name(tmp_path, "toy") == "toy-3"


def test_shorthands_win_over_settings():
    settings = overrides(["budget.trials=5", "parameters.preset=small"], 7, "90s")
    study = load_study("csi-feedback", settings)
    assert (study.budget.trials, study.budget.time_s) == (7, 90.0)
    assert study.parameters["preset"] == "small"


def test_tasks_are_found_beside_their_study_but_shadow_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    here = str(Path.cwd())
    sys.path[:0] = ["", str(tmp_path)]  # as Python's -c and a PYTHONPATH have it
    libraries = [entry for entry in sys.path if entry not in ("", here, str(tmp_path))]
    make_importable(str(tmp_path / "study.yaml"))
    assert sys.path == [*libraries, here, str(tmp_path)]


def test_the_ui_takes_a_free_port_and_refuses_a_taken_one(tmp_path, capsys):
    make_sweep(tmp_path, "mine")
    (tmp_path / "mine" / "mlflow.db").touch()
    assert free_port(None) in UI_PORTS
    with pytest.raises(ConfigError, match=r"\[1, 65535\], got 70000"):
        free_port(70000)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = str(server.getsockname()[1])
        code, _, err = kdsweep(capsys, "ui", "mine", "--home", str(tmp_path), "--port", port)
    assert code == 2
    assert f"port {port} is taken" in err


def test_a_task_without_published_networks_is_reported(capsys):
    code, out, _ = kdsweep(capsys, "models", "toy_task:ToyTask")
    assert code == 0
    assert "toy_task:ToyTask" in out
    assert "models()" in out
    code, out, _ = kdsweep(capsys, "models", "toy_task:ToyTask", "--json")
    assert json.loads(out) == []


def test_models_prints_the_paper_s_counts(capsys):
    code, out, _ = kdsweep(capsys, "models", "csi-feedback", "--json")
    counts = {(row["model"], row["compression"]): row["ue_flops"] for row in json.loads(out)}
    assert code == 0
    # as published by Cui et al., to the unit
    assert counts == {
        ("CRNet", "1/16"): 11_407_232,
        ("CRNet-SE", "1/16"): 601_984,
        ("CRNet", "1/32"): 11_145_152,
        ("CRNet-SE", "1/32"): 339_904,
    }


def test_paper_tables_and_claims_are_printed(capsys):
    show_paper(make_frames(report=True))
    shown = capsys.readouterr().out
    for table in study(report=True).report.tables:
        assert f"Table {table.id}" in shown
        assert all(row.label in shown for row in table.rows)
    for claim in study(report=True).report.claims:
        assert claim.text in shown
    assert "−10.39" in shown  # the paper's number
    assert "not measured: vanilla beats PCA" in shown


def test_a_study_without_tables_prints_none(capsys):
    show_paper(make_frames())
    assert capsys.readouterr().out == ""


def test_tables_by_aspect_are_split_where_the_terminal_is_narrow(capsys):
    frames = make_topology_frames()
    view = paper_views(frames)[0]
    assert [len(paper_tables(view, width)) for width in (200, 80, 30)] == [1, 2, 6]
    for width in (200, 80):
        tables = paper_tables(view, width)
        shown = [column.header.plain for table in tables for column in table.columns[1:]]
        assert shown == [row.label for row in view.spec.rows]
    show_paper(frames)
    out = capsys.readouterr().out
    assert f"Words against numbers: {view.agreement}" in out
    for statement in view.statements:
        assert f"{statement.agreement}: {statement.aspect.name}: {statement.paper}" in out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("kdsweep bes", ["best"]),
        ("kdsweep run csi-t", ["csi-tables", "csi-tables-short"]),
        ("kdsweep studies show lidar-da", ["lidar-datafree"]),
        ("kdsweep models mi", ["mimo-detection"]),
        ("kdsweep front mi", ["mine", "mixed"]),
        ("kdsweep front other", []),
    ],
)
def test_the_shell_completes_commands_studies_tasks_and_sweeps(
    typed, offered, tmp_path, capsys, monkeypatch
):
    for name in ("mine", "mixed", "yours"):
        make_sweep(tmp_path, name)
    monkeypatch.setenv("KDSWEEP_HOME", str(tmp_path))
    monkeypatch.setenv("_KDSWEEP_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    _, out, _ = kdsweep(capsys)
    assert sorted(out.split()) == offered


def test_completion_can_be_installed(capsys):
    _, out, _ = kdsweep(capsys, "--help")  # the option itself asks which shell called it
    assert "--install-completion" in out
    assert "--show-completion" in out


def test_a_new_study_links_its_schema(capsys):
    _, shown, _ = kdsweep(capsys, "studies", "schema")
    mark, _, path = shown.strip().partition("=")
    assert mark == "# yaml-language-server: $schema"
    whole = json.loads(kdsweep(capsys, "studies", "schema", "--json")[1])
    assert json.loads(Path(path).read_text(encoding="utf-8")) == whole
    assert "task" in whole["properties"]
