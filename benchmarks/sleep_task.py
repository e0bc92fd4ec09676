"""A task that only sleeps: what is left of a sweep's time is the engine's. Imports no torch."""

# ruff: noqa: ARG002 - the methods are those of KDTask

import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value, fingerprint
from kdtasks.contract.task import (
    Arrays,
    Baseline,
    KDTask,
    MetricInfo,
    Outcome,
    Progress,
    Report,
    ScenarioData,
    TeacherArtifact,
)

DEFAULTS: dict[str, Value] = {
    "method": "vanilla",
    "x": 0.5,
    "width": 8,
    "epochs": 3,
    "epoch_s": 0.0,
    "log": "",
    "seed": 0,
}


def nap(seconds: float, log: str) -> None:
    """Sleep, and note the process, the beginning and the end [s since 1970] in a file per process.

    Args:
        seconds: How long.
        log: Folder of the notes; empty for none.
    """
    begun_s = time.time()
    time.sleep(seconds)
    if log:
        with (Path(log) / f"{os.getpid()}.txt").open("a", encoding="utf-8") as notes:
            notes.write(f"{begun_s!r} {time.time()!r}\n")


def error_now() -> float:
    """Return a number that falls with time.

    Each trial that reaches a rung is then its best: every rung is sorted, and no trial is stopped.
    """
    return -time.monotonic()


class SleepTask(KDTask):
    """Sleeps ``epoch_s`` seconds per epoch and notes when, for `benchmarks.dispatch`."""

    name = "sleep"
    metrics: ClassVar[dict[str, MetricInfo]] = {
        "val_error": MetricInfo(unit="", direction="minimize", description="falls with time"),
        "flops": MetricInfo(unit="", direction="minimize", description="grows with width"),
    }
    resource_parameters = frozenset()
    baseline_parameters = frozenset()

    def complete(self, params: Params) -> dict[str, Value]:
        for name in params:
            if name not in DEFAULTS:
                raise ConfigError(f"unknown parameter {name!r}; there are {sorted(DEFAULTS)}")
        return {**DEFAULTS, **params}

    def scenario_fingerprint(self, params: Params) -> str:
        return fingerprint({"scenario": "sleep"})

    def teacher_fingerprint(self, params: Params) -> str | None:
        return None

    def load_scenario(self, params: Params, *, cache_dir: Path, progress: Progress) -> ScenarioData:
        nothing = {"nothing": np.zeros(1, dtype=np.float32)}
        return ScenarioData(
            train=nothing, val=nothing, test=nothing, provenance={"source": "nothing"}
        )

    def cost(self, params: Params) -> dict[str, float]:
        return {"flops": 1000.0 * float(params["width"])}

    def train_teacher(
        self, params: Params, train: Arrays, val: Arrays
    ) -> Generator[Report, None, TeacherArtifact]:
        raise NotImplementedError

    def train_student(
        self, params: Params, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
    ) -> Generator[Report, None, Outcome]:
        epochs = int(params["epochs"])
        for epoch in range(1, epochs + 1):
            nap(float(params["epoch_s"]), str(params["log"]))
            yield Report(epoch=epoch, epochs=epochs, metrics={"val_error": error_now()})
        metrics = {"val_error": error_now(), "teacher_forward_samples": 0.0}
        return Outcome(metrics=metrics, weights={"x": np.array([float(params["x"])])})

    def evaluate(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        return {"error": float(weights["x"][0])}

    def evaluate_teacher(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        raise NotImplementedError

    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        return []

    def models(self) -> list[dict[str, Any]]:
        return []
