"""A task without networks: everything is a formula, so that an engine test takes milliseconds."""

import os
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kdtasks.contract.deployment import NETWORK_METRICS
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
    "compression": 4,
    "x": 0.5,
    "width": 2,
    "flaw": "none",
    "epochs": 2,
    "epoch_s": 0.0,
    "seed": 0,
    "teacher_seed": 0,
}
FLAWS = ("none", "raise", "nan", "inf", "missing", "zero-flops", "minus-flops", "die")


def error_db(x: float, width: int, compression: int, noise: float) -> float:
    """Smaller is better; falls with width, best at x = 0.3."""
    return -10.0 - width + 20.0 * (x - 0.3) ** 2 + compression / 4 + 0.1 * noise


class ToyTask(KDTask):
    name = "toy"
    metrics: ClassVar[dict[str, MetricInfo]] = {
        "val_nmse_db": MetricInfo(unit="dB", direction="minimize", description="error"),
        "ue_flops": MetricInfo(unit="FLOPs", direction="minimize", description="complexity"),
        "payload_bits": MetricInfo(unit="bit", direction="minimize", description="feedback"),
        "teacher_forward_samples": NETWORK_METRICS["teacher_forward_samples"],
    }
    resource_parameters = frozenset({"method", "compression", "teacher_seed"})
    baseline_parameters = frozenset({"compression"})

    def complete(self, params: Params) -> dict[str, Value]:
        for name in params:
            if name not in DEFAULTS:
                raise ConfigError(f"unknown parameter {name!r}; there are {sorted(DEFAULTS)}")
        full = {**DEFAULTS, **params}
        if full["flaw"] not in FLAWS:
            raise ConfigError(f"flaw must be one of {FLAWS}, got {full['flaw']!r}")
        if full["method"] == "vanilla":
            full["teacher_seed"] = 0
        return full

    def scenario_fingerprint(self, params: Params) -> str:
        return fingerprint({"scenario": "toy"})

    def teacher_fingerprint(self, params: Params) -> str | None:
        if params["method"] == "vanilla":
            return None
        names = ("compression", "teacher_seed")
        return fingerprint({name: params[name] for name in names})

    def load_scenario(self, params: Params, *, cache_dir: Path, progress: Progress) -> ScenarioData:
        progress(1, 1, "samples")
        return ScenarioData(
            train={"noise": np.linspace(-1.0, 1.0, 64, dtype=np.float32)},
            val={"noise": np.zeros(8, dtype=np.float32)},
            test={"noise": np.full(8, 0.5, dtype=np.float32)},
            provenance={"source": "formula"},
        )

    def cost(self, params: Params) -> dict[str, float]:
        flops = 1000.0 * float(params["width"])
        if params["flaw"] == "zero-flops":
            flops = 0.0
        if params["flaw"] == "minus-flops":
            flops = -1.0
        return {"ue_flops": flops, "payload_bits": 4096.0 / float(params["compression"])}

    def train_teacher(
        self, params: Params, train: Arrays, val: Arrays
    ) -> Generator[Report, None, TeacherArtifact]:
        yield Report(epoch=1, epochs=1, metrics={"val_nmse_db": -20.0})
        return TeacherArtifact(
            metrics={"val_nmse_db": -20.0, "train_core_seconds": 0.0},
            weights={"w": np.arange(6, dtype=np.float32).reshape(2, 3).T + params["teacher_seed"]},
            outputs={"codes": np.asarray(train["noise"]) * float(params["compression"])},
        )

    def train_student(
        self, params: Params, train: Arrays, val: Arrays, teacher: TeacherArtifact | None
    ) -> Generator[Report, None, Outcome]:
        if params["flaw"] == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        bonus = 0.0
        if teacher is not None:
            expected = np.asarray(train["noise"]) * float(params["compression"])
            assert np.array_equal(teacher.outputs["codes"], expected)
            bonus = 1.0
        epochs = int(params["epochs"])
        for epoch in range(1, epochs + 1):
            time.sleep(float(params["epoch_s"]))
            so_far = (self._error(params) - bonus) * epoch / epochs
            yield Report(epoch=epoch, epochs=epochs, metrics={"val_nmse_db": so_far})
        if params["flaw"] == "raise":
            raise RuntimeError("the loss is not a number\nsecond line")
        weights = {"error": np.array([self._error(params) - bonus], dtype=np.float64)}
        metrics = {"val_nmse_db": float(weights["error"][0]), "teacher_forward_samples": 0.0}
        if params["flaw"] in ("nan", "inf"):
            metrics["val_nmse_db"] = float(str(params["flaw"]))
        if params["flaw"] == "missing":
            del metrics["val_nmse_db"]
        return Outcome(metrics=metrics, weights=weights)

    def _error(self, params: Params) -> float:
        noise = float(np.random.default_rng(int(params["seed"])).normal())
        x, width, compression = params["x"], params["width"], params["compression"]
        return error_db(float(x), int(width), int(compression), noise)

    def evaluate(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        return {"nmse_db": float(weights["error"][0] + np.mean(split["noise"]))}

    def evaluate_teacher(self, params: Params, weights: Arrays, split: Arrays) -> dict[str, float]:
        assert weights["w"].shape == (3, 2)
        return {"nmse_db": -20.0 + float(np.mean(split["noise"]))}

    def baselines(self, params: Params, data: ScenarioData) -> list[Baseline]:
        compression = params["compression"]
        return [
            Baseline(
                name=f"PCA 1/{compression}",
                params={"compression": compression},
                metrics={
                    "ue_flops": 500.0,
                    "val_nmse_db": -3.0 + float(np.mean(data.val["noise"])),
                    "test_nmse_db": -3.0 + float(np.mean(data.test["noise"])),
                },
            )
        ]

    def models(self) -> list[dict[str, Any]]:
        return []
