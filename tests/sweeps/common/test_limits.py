"""What containers and clusters allow counts, not what the machine has: on made-up file trees."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import ConfigError
from search_spaces.resources import TrialResources
from sweeps.common import limits
from sweeps.common.capacity import ResourceAllocation, ResourceRequest, allocate
from sweeps.common.environment import describe_environment, share_cores
from sweeps.common.limits import MEBIBYTE, Limit, Machine, cores, free_memory, memory
from sweeps.run import doctor
from sweeps.run.doctor import check_machine
from sweeps.run.ray_cluster import this_capacity

GIB = 1 << 30
V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "33 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "39 31 0:33 {top} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


def machine(root=Path("/nowhere"), env=None, **changes):
    facts = {"cores": 64, "memory_bytes": 256 * GIB, "available_bytes": 200 * GIB}
    return Machine(**{**facts, **changes}, root=root, environment=env or {})


def put(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def second(root, group, mounts=V2, **files):
    """A machine with cgroup v2; files by group and name, with __ for / and _ for a dot."""
    put(root, {"proc/self/cgroup": f"0::{group}\n", "proc/self/mountinfo": mounts})
    put(root, {f"sys/fs/cgroup/{name}": f"{content}\n" for name, content in files.items()})
    return machine(root)


def test_without_limits_the_machine_counts(tmp_path):
    assert (cores(machine()).amount, cores(machine()).why) == (64, "")
    assert memory(machine()).amount == 256 * GIB
    assert free_memory(machine()).amount == 200 * GIB
    there = second(tmp_path, "/", **{"cpu.max": "max 100000", "memory.max": "max"})
    assert (cores(there).amount, memory(there).why) == (64, "")


def test_half_a_core_and_a_gibibyte_and_a_half(tmp_path):
    files = {
        "cpu.max": "50000 100000",
        "memory.max": str(3 * GIB // 2),
        "memory.current": str(GIB),
        "memory.stat": f"anon 5\ninactive_file {GIB // 2}\n",
    }
    there = second(tmp_path, "/", **files)
    assert cores(there).amount == 0.5
    assert "cpu" in cores(there).why.lower()
    assert memory(there).amount == 1.5 * GIB
    assert free_memory(there).amount == GIB  # what only caches files can be had


def test_of_nested_groups_the_smallest_counts(tmp_path):
    files = {
        "a/cpu.max": "200000 100000",
        "a/b/cpu.max": "max 100000",
        "a/b/c/cpu.max": "400000 100000",
        "a/memory.max": str(8 * GIB),
        "a/b/memory.high": str(2 * GIB),
        "a/b/c/memory.max": str(4 * GIB),
        "other/cpu.max": "1000 100000",
    }
    there = second(tmp_path, "/a/b/c", **files)
    assert cores(there).amount == 2
    assert memory(there).amount == 2 * GIB
    assert "a/b" in memory(there).why


@pytest.mark.parametrize(
    ("group", "top"),
    [("/docker/1f", "/docker/1f"), ("/docker/1f", "/"), ("/", "/"), ("/../x", "/docker/1f")],
)
def test_the_first_version_too_in_a_container_of_docker(tmp_path, group, top):
    inside = "" if group != "/docker/1f" or top != "/" else "docker/1f/"
    put(
        tmp_path,
        {
            "proc/self/cgroup": f"4:memory:{group}\n3:cpu,cpuacct:{group}\n1:name=systemd:{group}",
            "proc/self/mountinfo": V1.format(top=top) + "garbage\n",
            f"sys/fs/cgroup/cpu,cpuacct/{inside}cpu.cfs_quota_us": "200000",
            f"sys/fs/cgroup/cpu,cpuacct/{inside}cpu.cfs_period_us": "100000",
            f"sys/fs/cgroup/memory/{inside}memory.limit_in_bytes": str(4 * GIB),
            f"sys/fs/cgroup/memory/{inside}memory.usage_in_bytes": str(GIB),
            f"sys/fs/cgroup/memory/{inside}memory.stat": f"total_inactive_file {GIB // 4}\n",
        },
    )
    there = machine(tmp_path)
    assert cores(there).amount == 2
    assert memory(there).amount == 4 * GIB
    assert free_memory(there).amount == 3.25 * GIB


def test_no_limit_of_the_first_version_is_a_great_number_or_minus_one(tmp_path):
    put(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/\n3:cpu,cpuacct:/\n",
            "proc/self/mountinfo": V1.format(top="/"),
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        },
    )
    assert (cores(machine(tmp_path)).amount, memory(machine(tmp_path)).why) == (64, "")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"SLURM_CPUS_PER_TASK": "4"}, 4),
        ({"SLURM_CPUS_ON_NODE": "8"}, 8),
        ({"SLURM_CPUS_ON_NODE": "8", "SLURM_CPUS_PER_TASK": "2"}, 2),
        ({"SLURM_CPUS_ON_NODE": "128"}, 64),
        ({"SLURM_CPUS_PER_TASK": ""}, 64),
        ({"SLURM_CPUS_PER_TASK": "0"}, 64),
        ({"SLURM_CPUS_PER_TASK": "many"}, 64),
    ],
)
def test_slurms_cores(env, expected):
    found = cores(machine(env=env))
    assert found.amount == expected
    assert ("Slurm" in found.why) == (expected < 64)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"SLURM_MEM_PER_NODE": "4096"}, 4 * GIB),
        ({"SLURM_MEM_PER_NODE": "0"}, 256 * GIB),
        ({"SLURM_MEM_PER_CPU": "1024", "SLURM_CPUS_ON_NODE": "3"}, 3 * GIB),
        ({"SLURM_MEM_PER_CPU": "1024"}, 256 * GIB),
    ],
)
def test_slurms_memory(env, expected):
    assert memory(machine(env=env)).amount == expected


def test_a_limit_of_the_address_space_counts_as_memory():
    assert memory(machine(address_bytes=2 * GIB)).amount == 2 * GIB
    assert memory(machine(address_bytes=2 * GIB)).why == "ulimit -v"


@given(
    quotas=st.lists(st.none() | st.integers(1_000, 800_000), min_size=1, max_size=4),
    sizes=st.lists(st.none() | st.integers(1, 300 * GIB), min_size=4, max_size=4),
    count=st.integers(1, 128),
    env=st.dictionaries(
        st.sampled_from(["SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "SLURM_MEM_PER_NODE"]),
        st.integers(1, 10**6).map(str),
    ),
)
def test_the_least_counts_whatever_the_nesting(tmp_path_factory, quotas, sizes, count, env):
    root = tmp_path_factory.mktemp("root")
    inside = "/".join(f"g{index}" for index in range(len(quotas)))
    files = {}
    for index, (quota, size) in enumerate(zip(quotas, sizes, strict=False)):
        group = "/".join(f"g{depth}" for depth in range(index + 1))
        files[f"{group}/cpu.max"] = f"{quota or 'max'} 100000"
        files[f"{group}/memory.max"] = str(size or "max")
    second(root, f"/{inside}", **files)
    found = machine(root, env=env, cores=count)
    tasks = [
        int(env[name]) for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE") if name in env
    ]
    least = min([count, *tasks, *(quota / 100_000 for quota in quotas if quota)])
    assert cores(found).amount == pytest.approx(least)
    allowed = [int(env["SLURM_MEM_PER_NODE"]) * MEBIBYTE] if "SLURM_MEM_PER_NODE" in env else []
    used = [size for size in sizes[: len(quotas)] if size]
    assert memory(found).amount == min([256 * GIB, *allowed, *used])
    assert 0 <= free_memory(found).amount <= memory(found).amount


@given(content=st.text(max_size=200), mounts=st.text(max_size=200))
def test_files_of_a_strange_kernel_break_nothing(tmp_path_factory, content, mounts):
    root = tmp_path_factory.mktemp("root")
    stat = f"x\n\n{content}\ninactive_file"
    second(root, "/", **{"cpu.max": content, "memory.max": content, "memory.stat": stat})
    assert cores(machine(root)).amount > 0
    assert free_memory(machine(root)).amount >= 0
    put(root, {"sys/fs/cgroup/memory.high": "5"})
    assert free_memory(machine(root)).amount <= 5
    put(root, {"proc/self/cgroup": content, "proc/self/mountinfo": mounts})
    assert cores(machine(root)).amount == 64


CALL = "from sweeps.common import limits; print(limits.cores().amount, limits.memory().amount)"


def test_a_real_group_of_this_machine(tmp_path):
    """Where tests may make one; a quota of half a core and 1.5 GB."""
    groups = [
        (Path("/sys/fs/cgroup/cpu") / f"kdtest{os.getpid()}", {"cpu.cfs_quota_us": "50000"}),
        (
            Path("/sys/fs/cgroup/memory") / f"kdtest{os.getpid()}",
            {"memory.limit_in_bytes": "1500000256"},
        ),
    ]
    made = []
    try:
        for folder, files in groups:
            folder.mkdir()
            made.append(folder)
            for name, content in files.items():
                (folder / name).write_text(content)
        enter = "".join(f"echo $$ > {folder}/cgroup.procs; " for folder in made)
        command = f"{enter} exec {sys.executable} -c '{CALL}'"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    except OSError as error:
        pytest.skip(f"no group of cgroup v1 can be made here: {error}")
    finally:
        for folder in made:
            folder.rmdir()
    amount, size = map(float, done.stdout.split())
    assert amount == 0.5
    assert 1_499_000_000 < size < 1_501_000_000


def test_what_a_machine_offers_is_never_less_than_a_process(monkeypatch):
    monkeypatch.setattr(limits, "this_machine", lambda: machine(cores=1))
    assert limits.whole_cores() == 1


@pytest.mark.parametrize(
    ("amount", "cpus", "slots"),
    [(0.5, 1.0, 1), (0.5, 0.5, 1), (0.5, 0.25, 2), (0.2, 0.5, 1), (1.9, 1.0, 1), (2, 1.0, 2)],
)
def test_slots_are_those_of_the_quota_and_never_none(monkeypatch, amount, cpus, slots):
    limit = Limit(amount=amount, why="CPU quota of x")
    monkeypatch.setattr(limits, "cores", lambda: limit)
    request = allocate(ResourceRequest(), TrialResources(cpus=cpus), this_capacity(cpus, 0))
    assert request.slots == slots
    with pytest.raises(ConfigError, match=r"resources\.cpus is 8.*CPU quota of x.*core"):
        allocate(ResourceRequest(), TrialResources(cpus=8), this_capacity(8, 0))


@pytest.mark.parametrize(
    ("free", "shared", "expected"),
    [
        (10 * GIB, 64 * GIB, 3 * GIB),
        (100 * GIB, 2 * GIB, 1.9 * GIB),
        (10 * GIB, 64 << 20, 3 * GIB),  # the disk
        (10 * GIB, None, 3 * GIB),
        (64 << 20, GIB, 100 << 20),
        (4096 * GIB, 4096 * GIB, 200 * 10**9),
    ],
)
def test_the_object_store_has_room_where_it_is(monkeypatch, free, shared, expected):
    monkeypatch.setattr(limits, "free_memory", lambda: Limit(amount=free))
    monkeypatch.setattr(limits, "shared_memory", lambda: shared)
    assert limits.object_store_bytes() == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    ("why", "allowed", "threads"), [("q", None, "3"), ("q", "7", "7"), ("", "", "")]
)
def test_threads_of_this_process_are_as_many_as_the_quota(monkeypatch, why, allowed, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", allowed or "")
    if not allowed:
        monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(limits, "cores", lambda: Limit(amount=3.5, why=why))
    share_cores()
    assert os.environ.get("OMP_NUM_THREADS", "") == threads


def test_the_record_of_a_sweep_has_what_it_might_use(monkeypatch):
    monkeypatch.setattr(limits, "cores", lambda: Limit(amount=0.5))
    monkeypatch.setattr(limits, "memory", lambda: Limit(amount=1.5 * GIB))
    facts = describe_environment(ResourceAllocation(slots=1, actors=1))
    assert (facts["cores"], facts["memory_bytes"]) == (0.5, 1.5 * GIB)


def test_the_doctor_names_the_limits_of_the_machine(monkeypatch):
    monkeypatch.setattr(limits, "cores", lambda: Limit(amount=0.5, why="CPU quota of x"))
    monkeypatch.setattr(
        limits, "free_memory", lambda: Limit(amount=1.5 * GIB, why="memory.max of y")
    )
    found = {finding.name: finding for finding in check_machine(doctor.this_machine())}
    assert "0.5 usable" in found["cores"].found
    assert "CPU quota of x" in found["cores"].found
    assert "1.5 GiB" in found["memory"].found
    assert "max of y" in found["memory"].found
    assert found["memory"].state == "bad"
