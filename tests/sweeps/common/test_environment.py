"""What the machines of a cluster are told and sent."""

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


def test_results_are_written_with_an_allocator_that_gives_memory_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)  # set when sweeps was imported
    pool = "pyarrow.default_memory_pool()"
    code = f"import sweeps.tracking.results, pyarrow; print({pool}.backend_name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "system\n", done.stderr


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
