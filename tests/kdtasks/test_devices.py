"""Every method of every task trains on any device, and in bfloat16.

On ``meta`` a tensor of the CPU that is met raises, and so does a value that a step waits for.
"""

from functools import cache

import beam_trials
import csi_examples
import lidar_trials
import mimo_trials
import pytest
import torch
from csi_examples import drained, silent
from device_laws import on_meta, one_step

from kdtasks.contract.registry import load_task
from kdtasks.distillation.settings import METHODS
from kdtasks.learning import device
from sweeps.nodes.task_process import computing

TEACHERS = {}
"""By fingerprint, as they come from ``meta``."""

QUICK = {"epochs": 1, "teacher_epochs": 1}
SMALL = {"num_train": 200, "num_val": 50, "num_test": 50, "num_antennas": 8, "num_subcarriers": 8}
TRIALS = {
    "csi-feedback": (csi_examples, {"epochs": 1, "encoder_epochs": 1, "teacher_epochs": 1}),
    "beam-tracking": (beam_trials, {**QUICK}),
    "lidar-beam": (lidar_trials, {"epochs": 1}),
    "mimo-detection": (mimo_trials, {}),
}
CASES = [(name, method) for name, (trials, _) in TRIALS.items() for method in trials.METHODS]
CASES += [
    (name, method) for name in ("user-positioning", "channel-estimation") for method in METHODS
]


@cache
def task_of(name):
    return load_task(name)


def params_of(name, method, **changes):
    trials, quick = TRIALS.get(name, (None, {**SMALL, **QUICK}))
    tiny = trials.TINY if trials else {}
    return task_of(name).complete({**tiny, **quick, "method": method, **changes})


@cache
def data_of(name, folder):
    task, params = task_of(name), params_of(name, "vanilla")
    data = task.load_scenario(params, cache_dir=folder, progress=silent)
    for split in (data.train, data.val):
        for array in split.values():
            array.setflags(write=False)
    return data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("devices")


def teacher_of(place, task, params, data):
    """Return the teacher that a method needs, made once at a place: on ``meta``, or here."""
    key = task.teacher_fingerprint(params)
    if key is None:
        return None
    if (place, key) not in TEACHERS:
        _, TEACHERS[place, key] = drained(task.train_teacher(params, data.train, data.val))
    return TEACHERS[place, key]


@pytest.mark.parametrize(("name", "method"), CASES)
def test_training_touches_no_tensor_of_the_cpu_on_meta(name, method, folder):
    task, params, data = task_of(name), params_of(name, method), data_of(name, folder)
    with on_meta():
        teacher = teacher_of("meta", task, params, data)
        _, student = drained(task.train_student(params, data.train, data.val, teacher))
        task.evaluate(params, student.weights, data.val)


@pytest.mark.parametrize(("name", "method"), CASES)
def test_losses_in_bf16_are_those_of_float32_within_5_percent(name, method, folder):
    task, params, data = task_of(name), params_of(name, method), data_of(name, folder)
    losses = {}
    with one_step():
        teacher = teacher_of("here", task, params, data)
        for precision in ("float32", "bf16"):
            with computing(task, {"precision": precision}):
                reports, _ = drained(task.train_student(params, data.train, data.val, teacher))
            losses[precision] = {
                f"{number} {name}": value
                for number, report in enumerate(reports)
                for name, value in report.metrics.items()
                if name.startswith("train_") and "loss" in name
            }
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.05, abs=0.005)
    assert losses["bf16"] != losses["float32"]


def test_a_kernel_wider_than_its_image_has_a_gradient_in_bf16():
    """With oneDNN of torch 2.13 it is whatever the memory had, once in about ten times."""
    weights = torch.full((1, 144, 7, 7), 0.01, requires_grad=True)
    image = torch.ones(4, 144, 2, 2)
    with device.computing(precision="bf16"):
        for _ in range(20):
            weights.grad = None
            for size in (7056, 14112, 112896):
                torch.full((size,), 1e30)  # what freed memory holds
            with device.step():
                total = torch.nn.functional.conv2d(image, weights, padding=3).sum()
            total.backward()
            assert weights.grad.min() >= 0.0
            assert weights.grad.max() <= 16.0
    assert torch.backends.mkldnn.enabled
