"""A task that uses global state as one should not, and leaves a mess for whoever comes next."""

import random
from collections.abc import Generator
from typing import ClassVar

import numpy as np
import torch
from toy_task import ToyTask

from kdtasks.config import Params
from kdtasks.task import Arrays, MetricInfo, Outcome, Report, TeacherArtifact

DRAWN = ("drawn_random", "drawn_numpy", "drawn_torch", "bits", "threads", "grad")


class LeakyTask(ToyTask):
    metrics: ClassVar[dict[str, MetricInfo]] = {
        **ToyTask.metrics,
        **{name: MetricInfo(unit="", direction="minimize", description=name) for name in DRAWN},
    }

    def train_student(
        self, params: Params, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
    ) -> Generator[Report, None, Outcome]:
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
        yield Report(epoch=1, epochs=1, metrics={"val_nmse_db": -1.0})
        metrics = {"val_nmse_db": -1.0, "teacher_forward_samples": 0.0, **found}
        return Outcome(metrics=metrics, weights={"error": np.zeros(1)})
