"""Files of a task after the README's pattern: fingerprints that name neither data nor networks."""

import importlib
import os
import sys
from pathlib import Path

import pytest

from kdtasks.contract.task import KDTask
from search_spaces.study import Study, parse_study

NETS = """
WIDTH = 4


def answer(inputs):
    return inputs[:, :1] * WIDTH
"""

DATA = """
import numpy as np


def make_dataset(count, seed):
    rng = np.random.default_rng(seed)
    return {"inputs": rng.normal(size=(count, 3)), "labels": rng.integers(5, size=count)}
"""

TASK = """
import numpy as np

from kdtasks.contract.params import fingerprint
from kdtasks.contract.task import KDTask, MetricInfo, Outcome, Report, ScenarioData, TeacherArtifact
from own_data_file import make_dataset

DEFAULTS = {"method": "kd", "x": 0.5, "seed": 0, "teacher_seed": 0, "data_path": ""}
SEED = 0


class Own(KDTask):
    name = "own"
    metrics = {
        "val_error": MetricInfo(unit="%", direction="minimize", description="error"),
        "macs": MetricInfo(unit="MACs", direction="minimize", description="operations"),
    }
    resource_parameters = frozenset({"method", "teacher_seed", "data_path"})
    baseline_parameters = frozenset()

    def complete(self, params):
        return {**DEFAULTS, **params}

    def scenario_fingerprint(self, params):
        return fingerprint({"samples": 40})

    def teacher_fingerprint(self, params):
        return fingerprint({"seed": params["teacher_seed"]}) if params["method"] == "kd" else None

    def load_scenario(self, params, *, cache_dir, progress):
        train = make_dataset(40, SEED)
        if params["data_path"]:
            train = {"inputs": np.load(params["data_path"]), "labels": train["labels"]}
        val, test = make_dataset(20, 1), make_dataset(20, 2)
        return ScenarioData(train=train, val=val, test=test, provenance={"source": "made up"})

    def cost(self, params):
        return {"macs": 1.0 + params["x"]}

    def train_teacher(self, params, train, val):
        from own_nets_file import answer

        yield Report(epoch=1, epochs=1, metrics={"val_error": 1.0})
        weights = {"w": np.ones(2)}
        outputs = {"answer": answer(train["inputs"])}
        return TeacherArtifact(metrics={"val_error": 1.0}, weights=weights, outputs=outputs)

    def train_student(self, params, train, val, teacher):
        error = float(np.abs(teacher.outputs["answer"] - train["inputs"][:, :1]).mean())
        yield Report(epoch=1, epochs=1, metrics={"val_error": error})
        weights = {"error": np.array([error + params["x"] + params["seed"]])}
        return Outcome(metrics={"val_error": float(weights["error"][0])}, weights=weights)

    def evaluate(self, params, weights, split):
        return {"error": float(weights["error"][0])}

    def evaluate_teacher(self, params, weights, split):
        return {"error": 1.0}

    def baselines(self, params, data):
        return []

    def models(self):
        return []
"""

FILES = {"own_task_file": TASK, "own_data_file": DATA, "own_nets_file": NETS}


class Workshop:
    """A folder with the files of a task, in which they can be changed between two sweeps."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        patch.syspath_prepend(str(folder))
        for name, text in FILES.items():
            self._write(name, text)

    def _write(self, name: str, text: str) -> None:
        (self.folder / f"{name}.py").write_text(text, encoding="utf-8")
        for module in FILES:
            sys.modules.pop(module, None)
        importlib.invalidate_caches()

    def change(self, name: str, old: str, new: str) -> None:
        path = self.folder / f"{name}.py"
        text, written_s = path.read_text(encoding="utf-8"), path.stat().st_mtime
        assert old in text
        self._write(name, text.replace(old, new))
        # Python takes its compiled code again for a file of the same size and second
        os.utime(path, (written_s + 1.0, written_s + 1.0))

    def task(self) -> KDTask:
        found: KDTask = importlib.import_module("own_task_file").Own()
        return found

    @staticmethod
    def study(trials: int = 2, **parameters: object) -> Study:
        lines = [f"  {name}: {value}" for name, value in {"method": "kd", **parameters}.items()]
        return parse_study(STUDY.format(trials=trials, parameters="\n".join(lines)), "own.yaml")


STUDY = """
name: own
title: Own
description: A task of one's own.
task: own_task_file:Own
parameters:
{parameters}
space:
  x: {{type: float, low: 0.0, high: 1.0}}
objectives:
  - {{metric: val_error, direction: minimize, unit: "%", reference: 100.0, label: Error}}
  - {{metric: macs, direction: minimize, unit: MACs, reference: 10.0, label: Operations}}
search: {{sampler: random}}
budget: {{trials: {trials}}}
confirm: {{select: none}}
"""
