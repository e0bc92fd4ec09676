"""A task that uses global state as one should not, and leaves a mess for whoever comes next."""

import random
from collections.abc import Generator
from typing import ClassVar

import numpy as np
import torch
from toy_task import ToyTask

from kdtasks.contract.params import Params
from kdtasks.contract.task import (
    Arrays,
    Baseline,
    MetricInfo,
    Outcome,
    Report,
    ScenarioData,
    TeacherArtifact,
)

DRAWN = ("drawn_random", "drawn_numpy", "drawn_torch", "bits", "threads", "grad")


def leak() -> dict[str, float]:
    """Return what is found in generators and defaults, and leave others."""
    found = {
        "drawn_random": random.random(),  # noqa: S311 - as users do
        "drawn_numpy": float(np.random.rand()),  # noqa: NPY002 - as users do
        "drawn_torch": float(torch.rand(())),
        "bits": float(torch.finfo(torch.zeros(()).dtype).bits),
        "threads": float(torch.get_num_threads()),
        "grad": float(torch.is_grad_enabled()),
    }
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    return found


class LeakyTask(ToyTask):
    metrics: ClassVar[dict[str, MetricInfo]] = {
        **ToyTask.metrics,
        **{name: MetricInfo(unit="", direction="minimize", description=name) for name in DRAWN},
    }

    def train_student(
        self, params: Params, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
    ) -> Generator[Report, None, Outcome]:
        found = leak()
        yield Report(epoch=1, epochs=1, metrics={"val_nmse_db": -1.0})
        metrics = {"val_nmse_db": -1.0, "teacher_forward_samples": 0.0, **found}
        return Outcome(metrics=metrics, weights={"error": np.zeros(1)})

    def train_teacher(
        self, params: Params, train: Arrays, val: Arrays
    ) -> Generator[Report, None, TeacherArtifact]:
        yield Report(epoch=1, epochs=1, metrics={})
        return TeacherArtifact(metrics=leak(), weights={}, outputs={})

    def evaluate(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        return leak()

    def evaluate_teacher(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        return leak()

    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        return [Baseline(name="leaky", params={}, metrics=leak())]
