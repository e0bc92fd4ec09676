"""The public face: what a script or notebook imports, from the page that teaches it."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from two_networks import Angle, Clusters

import kdsweep as kd
from benchmarks import run_notebook
from kdsweep.api import _check_code, _objective, _plain
from kdtasks.contract.errors import ConfigError
from tests.test_docs import commands, typed

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
pytestmark = pytest.mark.usefixtures("tables_made_once")
NOLOAD = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
"""MLflow's models, with the SQLAlchemy that it allows."""
SPACE = {"width": kd.Int(2, 24), "method": kd.Choice(["vanilla", "feature"])}


def shortened(text):
    """Return code of a page with a third of its teacher's epochs, and a tenth of its students'."""

    def fewer(found):
        return f"{found[1]}{int(found[2]) // (3 if 'teacher' in found[1] else 10)}"

    return re.sub(r'(\w*epochs\\?": )(\d+)', fewer, text)


@pytest.fixture
def page(own_folder, monkeypatch):
    """The files of the page, in the current folder, from which is imported."""
    monkeypatch.syspath_prepend(str(own_folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert list(commands("two-networks"))
    script = own_folder / "search.py"
    script.write_text(shortened(script.read_text()))
    return own_folder


def run(*words):
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, env=None
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@NOLOAD
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_script_of_the_page_gives_tables_figures_and_a_student(page):
    assert "val_accuracy" in run("search.py")
    found = kd.open_sweep("modulation")
    assert len(found.trials) == 6
    assert set(found.trials["state"]) == {"COMPLETE"}
    assert {*found.curves()["metric"]} >= {"val_accuracy", "train_total_loss"}
    assert found.baselines["name"].tolist() == ["majority class"]
    assert 30 < found.baselines["test_accuracy"][0] < 40
    assert found.teachers["val_accuracy"][0] > found.baselines["val_accuracy"][0]
    best = found.best(max={"params": 1000})
    assert best.values["params"] <= 1000
    front = found.front["val_accuracy"][found.front["params"] <= 1000]
    assert best.values["val_accuracy"] == front.max()
    assert (page / "student" / "student.onnx").is_file()
    assert len(found.plot_front("macs", "accuracy").data)
    assert len(found.plot_curves().data) == len(found.trials)
    assert len(found.plot_progress().data[0].y) == len(found.trials)
    assert len(found.plot_parameters().data)
    with pytest.raises(ConfigError, match="6 finished, 10 needed"):
        found.plot_importance()
    assert repr(found).endswith("6 of 6 trials finished)")
    for line in (*commands("export"), *commands("resume")):
        assert not typed(line), line
    assert (page / "student" / "student.int8.onnx").is_file()


WAYS_YAML = """
name: yaml
title: The same as in Python
task: modulation:Modulation
parameters: {epochs: 2, teacher_epochs: 2}
space:
  method: {type: choice, values: [response, feature, relation, self]}
  topology: {type: choice, values: [none, decentralized], when: {method: [response]}}
objectives:
  - {metric: val_accuracy, direction: maximize, unit: "%", reference: 0.0}
  - {metric: macs, direction: minimize, unit: MACs, reference: 1.0e+5, scale: log}
search: {sampler: grid}
seeds: {confirm: [101]}
"""


@NOLOAD
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_python_inline_and_yaml_over_ray_are_equal_for_every_method_and_four_edges(
    page,
):
    one = kd.sweep(
        importlib.import_module("modulation").Modulation,
        space={
            "method": kd.Choice(["response", "feature", "relation", "self"]),
            "topology": kd.Choice(["none", "decentralized"], when={"method": ["response"]}),
        },
        parameters={"epochs": 2, "teacher_epochs": 2},
        objectives=["accuracy", "macs"],
        sampler="grid",
        trials=5,
        seeds=[101],
        name="inline",
        backend="inline",
    )
    (page / "ways.yaml").write_text(WAYS_YAML)
    assert not typed("kdsweep run ways.yaml --slots 1")
    other = kd.open_sweep("yaml")
    numbers = ["val_accuracy", "macs", "params", "train_gflop", "bytes_down", "raw_samples_up"]
    pd.testing.assert_frame_equal(one.trials[numbers], other.trials[numbers], check_exact=True)
    assert one.confirmations["test_accuracy"].equals(other.confirmations["test_accuracy"])
    trials = one.trials.set_index("number")
    assert set(trials["param.method"]) == {"response", "feature", "relation", "self"}
    [networked] = trials.index[trials["param.topology"] == "decentralized"]
    assert trials.loc[networked, "bytes_down"] > 0
    exported = {0: ["student"], networked: [f"edge-{k}-student" for k in range(4)]}
    for number, networks in exported.items():
        kd.Student(one.folder, int(number), {}, {}, {}).export(str(number))
        assert sorted(file.stem for file in (page / f"{number}").glob("*.onnx")) == networks


def test_what_is_exported_is_there_and_nothing_is_imported_before():
    loaded = run("-c", "import sys, kdsweep; print(*(m for m in sys.modules))").split()
    assert not {"torch", "ray", "pandas", "mlflow", "sweeps"} & {*loaded}
    assert all(getattr(kd, name) is not None for name in kd.__all__)
    with pytest.raises(AttributeError, match="no attribute 'sweeep'"):
        kd.sweeep  # noqa: B018 - the look-up is what is tested


def test_the_task_of_the_page_takes_few_lines():
    page = (ROOT / "docs" / "two-networks.md").read_text()
    block = page.split("```python\n# modulation.py\n")[1].split("```")[0]
    [task] = [n for n in ast.parse(block).body if getattr(n, "name", "") == "Modulation"]
    assert task.end_lineno - task.lineno < 16


def test_objectives_take_direction_unit_and_worst_value_from_the_task():
    quality = _objective(Clusters, "accuracy", {}, SPACE)
    assert quality == {
        "metric": "val_accuracy",
        "direction": "maximize",
        "unit": "%",
        "label": "accuracy",
        "reference": 0.0,
    }
    cost = _objective(Clusters(), "macs", {}, SPACE)
    assert cost["reference"] == pytest.approx(1.1 * 24 * 7)
    assert (cost["direction"], cost["scale"]) == ("minimize", "log")


def test_a_condition_is_written_as_it_was_given():
    given = {"values": ("a", "b"), "when": {"method": ("kd",)}, "type": "choice"}
    assert _plain(kd.Choice(["a", "b"], when={"method": ["kd"]})) == given


@pytest.mark.parametrize(
    ("task", "wanted", "worst"), [("csi-feedback", "nmse_db", 0.0), ("mimo-detection", "ber", 0.5)]
)
def test_a_quality_that_is_minimised_needs_no_more_than_its_name(task, wanted, worst):
    found = _objective(task, wanted, {}, {})
    assert (found["direction"], found["reference"]) == ("minimize", worst)


def test_the_worst_value_of_numbers_is_that_of_their_mean():
    splits = Angle().data(None)
    expected = (splits.val[1] - splits.train[1].mean()).square().mean()
    assert _objective(Angle, "mse", {}, {})["reference"] == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("task", "wanted", "words"),
    [
        (Clusters, "accurracy", "'accurracy' is no metric of clusters; there are val_accuracy"),
        (Angle, "latency_ms", "name the worst value of latency_ms that still counts"),
    ],
)
def test_an_objective_that_is_not_known_is_refused(task, wanted, words):
    with pytest.raises(ConfigError, match=words):
        _objective(task, wanted, {}, {})


def test_a_class_in_the_program_that_was_started_is_refused_before_anything_starts(tmp_path):
    (tmp_path / "own.py").write_text(
        f"import sys; sys.path += [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "import kdsweep as kd\nfrom two_networks import Clusters\n"
        "class Own(Clusters):\n    name = 'own'\n    metrics = Clusters.scores\n"
        "    def data(self, p):\n        print('data are made')\n"
        "goals = ['accuracy', 'macs']\n"
        "try:\n    kd.sweep(Own, space={'width': kd.Int(2, 9)}, objectives=goals, trials=2)\n"
        "except Exception as error:\n    print(error)\n"
    )
    shown = run(str(tmp_path / "own.py"))
    assert "put it into a file of its own" in shown
    assert "%%writefile my_task.py" in shown
    assert "data are made" not in shown
    assert not (tmp_path / "runs").exists()


@NOLOAD
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_notebook_runs(monkeypatch, own_folder, capsys):
    # it goes to another folder, and imports from it
    monkeypatch.setattr(tempfile, "tempdir", str(own_folder))
    monkeypatch.setattr(sys, "argv", ["run_notebook.py", "short.ipynb"])
    (own_folder / "short.ipynb").write_text(shortened(NOTEBOOK.read_text()))
    run_notebook.main()
    shown = capsys.readouterr().out
    assert shown.startswith("[]\n")
    assert "student.onnx" in shown


def test_the_notebook_has_small_outputs_and_the_class_of_the_page():
    text = NOTEBOOK.read_text()
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert len(text) < 40_000
    assert all(cell["execution_count"] for cell in cells)
    head, _, task = "".join(cells[0]["source"]).partition("\n")
    assert head == "%%writefile modulation.py"
    assert f"# modulation.py\n{task}\n```" in (ROOT / "docs" / "two-networks.md").read_text()


@pytest.mark.parametrize("file", ["late_task", "late_net"])
def test_a_file_that_has_changed_since_it_was_imported_is_refused(file, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "late_net.py").write_text("from two_networks import Clusters\n")
    (tmp_path / "late_task.py").write_text(
        "from late_net import Clusters\n"
        "class Late(Clusters):\n    name = 'late'\n    metrics = Clusters.scores\n"
    )
    task = importlib.import_module("late_task")
    _check_code(task.Late)
    changed = tmp_path / f"{file}.py"
    os.utime(changed, ns=(0, changed.stat().st_mtime_ns + 1))
    with pytest.raises(ConfigError, match=f"{file}.py changed after Late was imported.*reload"):
        _check_code(task.Late())
    _check_code(importlib.reload(task).Late)
    for name in ("late_task", "late_net"):
        sys.modules.pop(name)


def test_check_tries_a_task(tmp_path):
    assert kd.check(Clusters, tmp_path, method="vanilla", epochs=1) == []
