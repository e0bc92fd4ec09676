"""What the machines of a cluster are told and sent."""

import platform
import subprocess
import sys
from dataclasses import replace

import pytest
from toy_study import toy_study
from toy_task import ToyTask

import sweeps
from kdtasks.learning import device
from search_spaces.errors import StudyError
from sweeps.common import environment
from sweeps.common.environment import ONE_THREAD, ROOT, WORKER_SETTINGS, our_packages
from sweeps.ledger.launch_settings import SweepSettings
from sweeps.run import ray_cluster
from sweeps.run.site import gpu_notes

HERE = SweepSettings()


def test_a_cluster_is_sent_our_packages() -> None:
    assert all((package / "__init__.py").is_file() for package in our_packages())
    assert sweeps.__file__ in {str(package / "__init__.py") for package in our_packages()}


FREED_BY_A_THREAD = """
import ctypes, threading, psutil
from sweeps.common.environment import return_free_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def work():
    blocks = [libc.malloc(40_000) for _ in range(1000)]
    for block in blocks:
        ctypes.memset(block, 1, 40_000)
    for block in blocks[:-1]:  # the last one keeps the heap from shrinking
        libc.free(block)

def resident():
    return psutil.Process().memory_info().rss / 2**20

thread = threading.Thread(target=work)
thread.start()
thread.join()
before = resident()
return_free_memory()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_of_threads_is_returned() -> None:
    command = [sys.executable, "-c", FREED_BY_A_THREAD]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert float(done.stdout) > 30.0, done.stderr  # of 38 MiB


def test_every_worker_computes_with_one_thread() -> None:
    assert set(ONE_THREAD.items()) <= set(WORKER_SETTINGS.items())
    assert set(ONE_THREAD.values()) == {"1"}


class AnyDevice(ToyTask):
    any_device = True


@pytest.fixture(params=["no GPU", "CPU build", "CUDA build"])
def machine(request, tmp_path, monkeypatch):
    """A machine with two GPUs, or none, and a build of torch."""
    for name in ("null", "nvidiactl", *(["nvidia0", "nvidia1"] * (request.param != "no GPU"))):
        (tmp_path / name).touch()
    monkeypatch.setattr(environment, "DEVICES", tmp_path)
    monkeypatch.setattr(device, "built_for_gpus", lambda: request.param == "CUDA build")
    return request.param


def test_gpus_that_the_cpu_build_cannot_use_are_noted_where_they_were_wanted(machine):
    auto, cores = toy_study(resources={"gpus": "auto"}), toy_study()
    notes = gpu_notes(auto, AnyDevice(), HERE)
    assert bool(notes) == (machine == "CPU build")
    assert all("2 GPUs" in note and "docs/gpu.md" in note for note in notes)
    elsewhere = replace(HERE, request=replace(HERE.request, address="10.0.0.1:6379"))
    for others in (
        (cores, AnyDevice(), HERE),
        (auto, ToyTask(), HERE),
        (auto, AnyDevice(), elsewhere),
    ):
        assert gpu_notes(*others) == []


def test_a_share_of_a_gpu_that_the_cpu_build_cannot_use_is_refused(machine, monkeypatch):
    monkeypatch.setattr(ray_cluster, "usable_gpus", lambda: 0)
    study = toy_study(resources={"gpus": 1.0})
    why = "CPU build" if machine == "CPU build" else "has no GPU"
    with pytest.raises(ValueError, match=why) as refused:
        ray_cluster.find_ray(study, HERE)
    if machine == "CPU build":
        assert isinstance(refused.value, StudyError)
        assert refused.value.place == "resources.gpus"
