"""What the doctor says of machines that are well, and of such as were made up to be ill.

The whole command is run in tests/sweeps/run/test_no_network.py.
"""

import resource
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import UserError
from sweeps.common.limits import Limit
from sweeps.run import doctor
from sweeps.run.doctor import (
    Finding,
    Machine,
    check_home,
    check_machine,
    check_packages,
    try_gpu,
    try_mlflow,
)
from sweeps.workers import ray_start

WELL = Machine(
    cores=Limit(amount=4),
    memory=Limit(amount=16 << 30),
    shared_bytes=8 << 30,
    files=65536,
    gpus=(),
    cuda=False,
    environment={},
)
ILL = [
    ("memory", "bad", {"memory": Limit(amount=1 << 30)}),
    ("memory", "fair", {"memory": Limit(amount=5 << 30)}),
    ("cores", "fair", {"cores": Limit(amount=1)}),
    ("GPU", "fair", {"cuda": True}),
    ("GPU", "fair", {"driver": "driver 550.54"}),
    ("shared memory", "fair", {"shared_bytes": 64 << 20}),
    ("open files", "bad", {"files": 256}),
    ("proxy", "fair", {"environment": {"http_proxy": "http://proxy:3128"}}),
    ("proxy", "fair", {"environment": {"HTTPS_PROXY": "http://p:1", "no_proxy": "example.org"}}),
    ("RAY_ADDRESS", "fair", {"environment": {"RAY_ADDRESS": "10.0.0.1:6379"}}),
    ("RAY_AUTH_MODE", "bad", {"environment": {"RAY_AUTH_MODE": "disabled"}}),
]


def not_good(machine: Machine) -> list[Finding]:
    return [finding for finding in check_machine(machine) if finding.state != "good"]


def test_a_machine_that_is_well_has_nothing_to_mend():
    assert not_good(WELL) == []
    spared = {"http_proxy": "http://proxy:3128", "NO_PROXY": "localhost,127.0.0.1"}
    assert not_good(replace(WELL, environment=spared, shared_bytes=None, files=-1)) == []
    assert not_good(replace(WELL, cuda=True, gpus=("A, 80 GiB",), driver="driver 1")) == []


@pytest.mark.parametrize(("name", "state", "facts"), ILL)
def test_every_illness_is_named_with_its_fix(name, state, facts):
    (finding,) = not_good(replace(WELL, **facts))
    assert (finding.name, finding.state) == (name, state)
    assert finding.fix


@given(memory=st.integers(0, 64), cores=st.integers(1, 32))
def test_the_slots_that_it_offers_fit_the_memory(memory, cores):
    free = Limit(amount=memory << 30)
    machine = replace(WELL, memory=free, cores=Limit(amount=cores))
    (finding,) = [one for one in check_machine(machine) if one.name == "memory"]
    if finding.state == "fair":
        slots = int(finding.fix.rsplit(maxsplit=1)[1])
        assert 1 <= slots < cores
        assert slots * doctor.MIN_MEMORY_BYTES <= free.amount
    else:
        assert (finding.state == "good") == (memory >= 2 * cores)


def test_packages_out_of_range_or_gone_are_named():
    wanted = ["numpy>=2.2", "torch<2.14,>=2.13", 'pytest>=8; extra == "dev"']
    python, good = check_packages(wanted, {"numpy": "2.4.0", "torch": "2.13.0+cpu"})
    assert (python.state, good.state, good.found) == ("good", "good", "2 requirements kept")
    _, bad = check_packages(wanted, {"torch": "2.12.0"})
    assert bad.state == "bad"
    assert bad.found == "numpy missing, not >=2.2; torch 2.12.0, not <2.14,>=2.13"
    assert "constraints.txt" in bad.fix


def test_a_read_only_home_is_reported(tmp_path, monkeypatch):
    assert check_home(tmp_path / "new" / "runs").state == "good"
    assert not (tmp_path / "new").exists()

    def full(home: Path) -> None:
        raise UserError(f"{home} has 3 MiB free")

    monkeypatch.setattr(doctor, "check_room", full)
    finding = check_home(tmp_path)
    assert (finding.state, finding.found) == ("bad", f"{tmp_path} has 3 MiB free")


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_mlflow_is_tried_and_leaves_nothing(tmp_path):
    finding = try_mlflow(tmp_path / "runs")
    assert (finding.state, finding.fix) == ("good", ""), finding.found
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("no folder")
    finding = try_mlflow(tmp_path / "file")
    assert finding.state == "bad"
    assert "local disk" in finding.fix


def test_the_doctor_fails_where_a_run_refuses_ray(monkeypatch):
    kinds = {resource.RLIMIT_AS: 3 << 30}
    monkeypatch.setattr(
        resource, "getrlimit", lambda kind: (kinds.get(kind, resource.RLIM_INFINITY),) * 2
    )
    monkeypatch.setattr(ray_start, "ask", lambda *_, patience_s: (134, {}))
    with pytest.raises(UserError) as refused:
        ray_start.check_local()
    finding = doctor.try_ray()
    assert finding.state == "bad"
    assert "134" in finding.found
    assert "ulimit -v" in finding.found
    assert finding.found in str(refused.value)


def test_a_gpu_is_named_with_its_memory_and_driver():
    machine = replace(WELL, cuda=True, gpus=("A, 80 GiB", "B, 24 GiB"), driver="driver 550.54")
    [gpu] = [one for one in check_machine(machine) if one.name == "GPU"]
    assert gpu.found == "2 usable: A, 80 GiB; B, 24 GiB, driver 550.54"


def test_a_step_on_the_gpu_tells_how_many_processes_fit(monkeypatch):
    target = "kdtasks.learning.device.bytes_of_a_process"
    monkeypatch.setattr(target, lambda: (400 * 2**20, 80 * 2**30))
    assert try_gpu().state == "good"
    assert "400 MiB" in try_gpu().found
    assert "204 fit" in try_gpu().found

    def broken():
        raise RuntimeError("CUDA error: no kernel image\nmore")

    monkeypatch.setattr(target, broken)
    assert (try_gpu().state, try_gpu().found) == ("bad", "CUDA error: no kernel image")
