"""Train every method of every task for an epoch on a GPU, compare with the CPU, and time both.

    python benchmarks/gpu.py                # where there is a GPU
    python benchmarks/gpu.py --device cpu   # compares the CPU with itself: tries this script

Losses of the first epoch must agree within 2 %, by the same draws; they differ in the order of sums
and, in networks with dropout between recurrent layers or in attention, in its draws.
"""

import argparse
import math
import sys
import time
from collections.abc import Mapping
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

from kdtasks.contract.registry import load_task
from kdtasks.contract.reports import drained
from kdtasks.contract.task import KDTask, ScenarioData, TeacherArtifact
from kdtasks.distillation.settings import METHODS
from sweeps.nodes.task_process import computing, open_task, start_afresh, take_gpu

TASKS = (
    *("csi-feedback", "mimo-detection", "beam-tracking"),
    *("lidar-beam", "user-positioning", "channel-estimation"),
)
SHORT = {"epochs": 1, "encoder_epochs": 1, "finetune_epochs": 1, "teacher_epochs": 1}
SHORT |= {
    "steps": 50,
    "stream_steps": 50,
    "num_train": 2000,
    "num_val": 500,
    "num_test": 500,
    "train_passages": 20,
}
TOLERANCE = 0.02
PLACES = (1, 2, 4, 8, 16)


def params_of(task: KDTask, method: str, **changes: Any) -> dict[str, Any]:
    """Return a short trial: what it does not know, or has no effect on it, is left out."""
    known = {n: v for n, v in {**SHORT, **changes}.items() if n in task.settings.model_fields}
    return task.complete({**known, "method": method})


@cache
def data_of(name: str, method: str, folder: str, **changes: Any) -> ScenarioData:
    """Return data as workers have them: nobody can write to them."""
    task = load_task(name)
    data = task.load_scenario(
        params_of(task, method, **changes), cache_dir=Path(folder), progress=lambda *_: None
    )
    for split in (data.train, data.val):
        for array in split.values():
            array.setflags(write=False)
    return data


def trained(
    task: KDTask, params: Mapping[str, Any], data: ScenarioData, teacher: TeacherArtifact | None
) -> dict[str, float]:
    """Train a student in this process; return its losses after every epoch."""
    start_afresh(0)
    # AdaptiveMaxPool2d of the camera networks has no deterministic backward pass on a GPU
    with computing(task, {**params, "deterministic": task.name != "beam-tracking"}):
        reports, _ = drained(task.train_student(params, data.train, data.val, teacher))
    return {
        f"{number} {name}": value
        for number, report in enumerate(reports)
        for name, value in report.metrics.items()
        if name.startswith("train_") and name.endswith("loss")
    }


def compared(name: str, method: str, folder: str, share: float) -> bool:
    """Train on the CPU and on the device; say how far losses are apart."""
    task = open_task(name)
    params, data = params_of(task, method), data_of(name, method, folder)
    take_gpu(0.0)
    teacher = None
    if task.teacher_fingerprint(params):
        teacher = drained(task.train_teacher(params, data.train, data.val))[1]
    here = trained(task, params, data, teacher)
    take_gpu(share)
    begun = time.perf_counter()
    there = trained(task, params, data, teacher)
    spent = time.perf_counter() - begun
    apart = max(abs(there[n] - value) / max(abs(value), 1e-3) for n, value in here.items())
    fits = here.keys() == there.keys() and math.isfinite(apart) and apart <= TOLERANCE
    print(f"{name:20} {method:16} {spent:7.1f} s  losses {100 * apart:.3f} % apart", flush=True)
    return fits


def _one_of_several(gate: Any, folder: str, preset: str, share: float, ends: Any) -> None:
    task = open_task("csi-feedback")
    take_gpu(share)
    params, data = (
        params_of(task, "vanilla", preset=preset),
        data_of("csi-feedback", "vanilla", folder, preset=preset),
    )
    trained(task, params, data, None)  # kernels are loaded, data are there
    gate.wait()
    trained(task, params, data, None)
    ends.put(True)


def students_per_s(count: int, folder: str, preset: str, gpu: bool) -> float:
    """Return how many students of an epoch are trained per second, so many at once."""
    context = get_context("spawn")
    gate, ends = context.Barrier(count + 1), context.Queue()
    given = (gate, folder, preset, 1.0 / count if gpu else 0.0, ends)
    workers = [context.Process(target=_one_of_several, args=given) for _ in range(count)]
    for worker in workers:
        worker.start()
    gate.wait(timeout=600)
    begun = time.perf_counter()
    for _ in workers:
        ends.get(timeout=600)
    spent = time.perf_counter() - begun
    for worker in workers:
        worker.join()
    return count / spent


def main() -> int:
    """Compare, then time; return 1 if some losses are too far apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--at-once", nargs="*", type=int, default=PLACES)
    given = parser.parse_args()
    from kdtasks.learning import device

    if given.device == "gpu" and not device.count_gpus():
        print("no GPU that torch can use: nothing was run; --device cpu tries the script alone")
        return 2
    gpu, fit = given.device == "gpu", True
    with TemporaryDirectory() as folder:
        for name in given.tasks:
            known = get_args(load_task(name).settings.model_fields["method"].annotation)
            for method in known or METHODS:
                fit = compared(name, method, folder, float(gpu)) and fit
        for preset in ("quick", "paper"):
            data_of("csi-feedback", "vanilla", folder, preset=preset)  # made once, then read
            for count in given.at_once:
                speed = students_per_s(count, folder, preset, gpu)
                print(
                    f"csi-feedback {preset}: {count:2} at once, {speed:.3f} students/s", flush=True
                )
    print("losses agree" if fit else f"some losses are more than {100 * TOLERANCE:g} % apart")
    return 0 if fit else 1


if __name__ == "__main__":
    sys.exit(main())
