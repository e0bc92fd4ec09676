"""Checks whether this machine can run sweeps; each gives a finding and, if it is bad, the fix.

Facts are read apart from their judgement, so that tests can make up bad machines.
"""

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from kdtasks.contract.error_text import one_line
from kdtasks.contract.errors import UserError
from search_spaces.study import load_study
from sweeps.common import limits
from sweeps.common.capacity import ResourceAllocation
from sweeps.common.environment import ROOT, engine_environment, version_of
from sweeps.common.events import Training
from sweeps.common.secrets import redacted
from sweeps.ledger.paths import SweepFolder, check_room, nearest
from sweeps.tracking.server_check import TRACKING, left_out, tracking_from
from sweeps.workers.jobs import Job
from sweeps.workers.ray_start import local_refusal

State = Literal["good", "fair", "bad"]

MIN_MEMORY_BYTES = 2 << 30
"""Memory of a trial's process with torch and of Ray beside it."""
MIN_FILES = 1024
STUDY = "csi-feedback"
"""The study of the trial database."""
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
NO_PROXY = ("no_proxy", "NO_PROXY")
HERE = ("127.0.0.1", "localhost", "*")


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of a check.

    Attributes:
        state: ``fair`` works with a limit, ``bad`` does not work.
        fix: The fix; empty if none is needed.
    """

    name: str
    state: State
    found: str
    fix: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Facts about a machine and this process on it.

    Attributes:
        cores: Usable cores; a quota may leave a part of one.
        memory: Available memory [byte].
        shared_bytes: Free memory of the file system of Ray's object store; None if there is none.
        files: Number of files that this process may open.
        gpus: Name and memory of each GPU that torch can use.
        driver: Version of NVIDIA's driver; empty if unknown.
        cuda: Whether torch was built for GPUs.
    """

    cores: limits.Limit
    memory: limits.Limit
    shared_bytes: int | None
    files: int
    gpus: Sequence[str]
    cuda: bool
    environment: Mapping[str, str]
    driver: str = ""


def this_machine() -> Machine:
    """Return the facts of this machine; imports torch, which takes seconds."""
    from kdtasks.learning.device import built_for_gpus, describe_gpus

    return Machine(
        cores=limits.cores(),
        memory=limits.free_memory(),
        shared_bytes=limits.shared_memory(),
        files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        gpus=describe_gpus(),
        driver=_driver(),
        cuda=built_for_gpus(),
        environment=dict(os.environ),
    )


def check_machine(machine: Machine) -> Iterator[Finding]:
    """Judge a machine."""
    yield _cores(machine)
    yield _memory(machine)
    yield _gpus(machine)
    yield _shared(machine)
    yield _files(machine)
    yield from _environment(machine.environment)


def _cores(machine: Machine) -> Finding:
    found = _with_why(f"{machine.cores.amount:g} usable", machine.cores)
    fix = "one trial runs at a time; more cores run more" if machine.cores.amount < 2 else ""
    return Finding("cores", "fair" if fix else "good", found, fix)


def _memory(machine: Machine) -> Finding:
    memory, room = machine.memory, int(machine.memory.amount) // MIN_MEMORY_BYTES
    found = _with_why(f"{memory.amount / (1 << 30):.1f} GiB available", memory)
    if room >= max(1, int(machine.cores.amount)):
        return Finding("memory", "good", found)
    fix = f"run {max(1, room)} trials at once: kdsweep run ... --slots {max(1, room)}"
    return Finding("memory", "fair" if room else "bad", found, fix)


def _with_why(found: str, limit: limits.Limit) -> str:
    return f"{found}, by {limit.why}" if limit.why else found


def _gpus(machine: Machine) -> Finding:
    found, fix = "none; torch is the CPU build", ""
    if machine.cuda and machine.gpus:
        found = f"{len(machine.gpus)} usable: {'; '.join(machine.gpus)}"
        found = ", ".join(filter(None, [found, machine.driver]))
    elif machine.cuda:
        found = "torch was built for GPUs and finds none"
        fix = "trials run on cores; for GPUs see that nvidia-smi works for this user"
    elif machine.driver:
        found = f"NVIDIA's {machine.driver}, but torch is the CPU build, which uses no GPU"
        fix = "trials run on cores; for GPUs install torch for your CUDA, see docs/gpu.md"
    return Finding("GPU", "fair" if fix else "good", found, fix)


def _driver() -> str:
    """Return what NVIDIA's tool says of its driver; empty without the tool."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(  # noqa: S603 - the command is fixed
            command, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"driver {answer.stdout.split()[0]}" if answer.stdout.strip() else ""


def try_gpu() -> Finding:
    """Take a step of training on the GPU; say how many processes it has room for."""
    from kdtasks.learning.device import bytes_of_a_process

    name = "training on the GPU"
    try:
        taken, free = bytes_of_a_process()
    except RuntimeError as error:
        fix = "see docs/gpu.md; resources.gpus: 0 trains on cores"
        return Finding(name, "bad", str(error).splitlines()[0], fix)
    found = (
        f"works; a process takes {taken / 2**20:.0f} MiB before it has data, and "
        f"{free // max(taken, 1)} fit into the free {free / 2**30:.0f} GiB"
    )
    return Finding(name, "good", found)


def _shared(machine: Machine) -> Finding:
    found, fix = f"no {limits.SHARED}; Ray uses the disk", ""
    if machine.shared_bytes is not None:
        found = f"{machine.shared_bytes / (1 << 30):.1f} GiB free in {limits.SHARED}"
        if machine.shared_bytes < limits.MIN_SHARED_BYTES:
            fix = "Ray falls back to the disk, which is slow; in a container give --shm-size=2g"
    return Finding("shared memory", "fair" if fix else "good", found, fix)


def _files(machine: Machine) -> Finding:
    found = f"at most {machine.files}" if machine.files >= 0 else "no limit"
    fix = f"Ray opens many: ulimit -n {4 * MIN_FILES}" if 0 <= machine.files < MIN_FILES else ""
    return Finding("open files", "bad" if fix else "good", found, fix)


def _environment(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Name variables that change what a sweep does, or break it."""
    proxied = [name for name in PROXIES if environment.get(name)]
    spared = ",".join(environment.get(name, "") for name in NO_PROXY)
    if proxied and not any(host in spared for host in HERE):
        fix = "for an MLflow server of this machine's own: export no_proxy=127.0.0.1,localhost"
        yield Finding("proxy", "fair", f"{proxied[0]} is set and this machine is not excepted", fix)
    if uri := tracking_from(environment):
        found = f"new sweeps keep their runs in MLflow at {redacted(uri)}"
        fix = f"unset {TRACKING} keeps them in each sweep's folder"
        yield Finding(TRACKING, "fair", found, fix)
    for words in left_out(environment):
        yield Finding("MLflow variable", "fair", words)
    if address := environment.get("RAY_ADDRESS"):
        fix = "--address local runs on this machine; unset RAY_ADDRESS does so always"
        yield Finding("RAY_ADDRESS", "fair", f"sweeps join the cluster at {address}", fix)
    if environment.get("RAY_AUTH_MODE", "token") != "token":
        fix = "anyone who reaches its port can run code: unset RAY_AUTH_MODE"
        yield Finding("RAY_AUTH_MODE", "bad", "Ray's token authentication is off", fix)


def check_packages(requirements: list[str], versions: Mapping[str, str]) -> Iterator[Finding]:
    """Compare installed versions with kdsweep's requirements, without those of extras."""
    yield Finding("Python", "good", platform.python_version())
    wrong, extra = [], {"extra": ""}  # what extras need is not checked
    every = map(Requirement, requirements)
    needed = [one for one in every if one.marker is None or one.marker.evaluate(extra)]
    for requirement in needed:
        version = versions.get(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} {version or 'missing'}, not {requirement.specifier}")
    found = "; ".join(wrong) or f"{len(needed)} requirements kept"
    fix = "pip install -c constraints.txt --upgrade kdsweep" if wrong else ""
    yield Finding("packages", "bad" if fix else "good", found, fix)


def installed() -> tuple[list[str], dict[str, str]]:
    """Return kdsweep's requirements and the installed versions.

    Raises:
        UserError: If kdsweep is not installed.
    """
    try:
        requirements = metadata.requires("kdsweep") or []
    except metadata.PackageNotFoundError as error:
        raise UserError("kdsweep is not installed: pip install -c constraints.txt .") from error
    names = {Requirement(requirement).name for requirement in requirements}
    return requirements, {name: found for name in names if (found := version_of(name))}


def check_home(home: Path) -> Finding:
    """Check that a home is writable and has room."""
    try:
        place = nearest(home)
        check_room(place)
    except UserError as error:
        return Finding("home", "bad", str(error))
    free = shutil.disk_usage(place).free
    return Finding("home", "good", f"{home}, {free / (1 << 30):.0f} GiB free")


def try_mlflow(home: Path) -> Finding:
    """Write, read and remove a small MLflow database in the home."""
    from sweeps.tracking.client import read_runs  # MLflow takes a second to import
    from sweeps.tracking.writer import Tracker

    try:
        with tempfile.TemporaryDirectory(dir=nearest(home), prefix=".doctor-") as place:
            folder = SweepFolder(Path(place) / "doctor")
            folder.path.mkdir()
            now_ms = time.time_ns() // 1_000_000
            Tracker.start(folder, None, load_study(STUDY), now_ms).end("FINISHED", now_ms)
            read_runs(folder, None)
    except Exception as error:  # noqa: BLE001 - any error is the finding
        fix = "give a --home on a local disk: a database needs locks, which NFS often lacks"
        return Finding("MLflow", "bad", one_line(error), fix)
    return Finding("MLflow", "good", "a database was written and read")


def try_ray() -> Finding:
    """Start Ray in a separate process, because Ray may end the process that starts it."""
    if why := local_refusal():  # a run checks this first
        return _no_ray(why)
    code = "from sweeps.run.doctor import ray_works; ray_works()"
    with engine_environment([ROOT]):
        done = subprocess.run(  # noqa: S603 - our own module
            # -P: no imports from the current folder
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            check=False,
        )
    try:
        return Finding(**json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError):
        return _no_ray(f"it ended the process that started it, exit {done.returncode}")


def ray_works() -> None:
    """Print the finding of `work_in_ray` as JSON, on the last line."""
    sys.stdout.write(f"\n{json.dumps(asdict(work_in_ray()))}\n")


def work_in_ray() -> Finding:
    """Start Ray on this machine, run one job in a worker and end Ray."""
    from sweeps.run.ray_cluster import local_ray  # Ray takes a second to import
    from sweeps.workers.ray_pool import RayPool

    begun_s = time.monotonic()
    job = Job(kind="teacher", key="doctor", function=_nothing, args=())
    try:
        with local_ray(1):
            pool = RayPool(ResourceAllocation(slots=1, actors=0), bool)
            *_, last = (event for _, event in pool.run([job]))
    except Exception as error:  # noqa: BLE001 - any error is the finding
        return _no_ray(one_line(error))
    if last.reason:
        return _no_ray(last.reason)
    seconds = time.monotonic() - begun_s
    return Finding("Ray", "good", f"started, worked and ended in {seconds:.0f} s")


def _nothing() -> Training[None]:
    """Do nothing, in a worker."""
    yield from ()


def _no_ray(reason: str) -> Finding:
    fix = "Ray needs loopback, free ports and room in TMPDIR; try export TMPDIR=/var/tmp"
    return Finding("Ray", "bad", reason, fix)
