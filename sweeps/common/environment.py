"""The process environment that the engine needs, and a description of it for the record."""

import ctypes
import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from kdtasks.contract.plugins import installed
from kdtasks.contract.shadowing import is_library
from sweeps import OWN_CODE
from sweeps.common import limits
from sweeps.common.capacity import ResourceAllocation

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}
"""Every process computes with one thread, whatever its share of the machine: results must not vary
with the thread count. Numeric libraries read these variables when a worker imports them."""

RAY_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # 5 unused files per trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's handler needs up to 15 s to stop
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # avoids Ray's FutureWarning
}

WORKER_SETTINGS = {**ONE_THREAD, **RAY_SETTINGS}
"""Environment variables of every worker."""

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("kdtasks", "search_spaces", "sweeps", "analysis")
DEVICES = Path("/dev")
"""Where Linux has a file ``nvidia0``, ``nvidia1``, ... for each GPU of NVIDIA."""
RECORDED = ("kdsweep", "torch", "numpy", "ray", "optuna", "mlflow", "moocore", "sionna-no-rt")


def put_last(folders: Iterable[Path], path: list[str]) -> None:
    """Move folders to the end of a path, so that no file there shadows a library."""
    own = {folder.resolve(): str(folder) for folder in folders}
    path[:] = [entry for entry in path if Path(entry).resolve() not in own] + list(own.values())


def worker_paths(first: Iterable[Path] = ()) -> dict[str, str]:
    """Return the variables by which workers find modules, in the order of this process.

    Workers get the user's PYTHONPATH. Other folders of user code
    come after all libraries, so that a ``sitecustomize.py`` there is not run.
    """
    here = Path.cwd()
    given = [Path(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    given = [entry for entry in given if entry.resolve() != here]
    known = {entry.resolve() for entry in given}
    own = dict.fromkeys(Path(entry).resolve() for entry in sys.path if not is_library(Path(entry)))
    own_code = [str(entry) for entry in own if entry.is_dir() and entry not in known]
    return {
        "PYTHONPATH": os.pathsep.join(map(str, [*first, *given])),
        OWN_CODE: json.dumps(own_code),
    }


@contextmanager
def engine_environment(first: Iterable[Path] = ()) -> Iterator[None]:
    """Set the environment variables of Ray and its workers, and restore them afterwards.

    Workers inherit them from the cluster that is started inside. A Ray runtime environment would do
    the same, but replaces every worker process that Ray has already started.
    """
    wanted = {**WORKER_SETTINGS, **worker_paths(first)}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def version_of(package: str) -> str:
    """Return the version of an installed package; empty if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def share_cores() -> None:
    """Limit the threads of numeric libraries in this process, unless the user has set a limit.

    These libraries count the cores of the affinity mask and ignore quotas and Slurm.
    """
    if limits.cores().why:
        os.environ.setdefault("OMP_NUM_THREADS", str(limits.whole_cores()))


def usable_gpus() -> int:
    """Return how many GPUs this process may use."""
    from kdtasks.learning.device import count_gpus  # torch takes a second to import

    return count_gpus()


def idle_gpus() -> str:
    """Return why torch can use none of the GPUs of this machine; empty if it can, or has none."""
    from kdtasks.learning.device import built_for_gpus  # torch takes a second to import

    count = len([*DEVICES.glob("nvidia[0-9]*")])
    if not count or built_for_gpus():
        return ""
    return (
        f"this machine has {count} {'GPU' if count == 1 else 'GPUs'}, which the CPU build of torch "
        "cannot use: install torch for your CUDA, see docs/gpu.md"
    )


def our_packages() -> list[Path]:
    """Return the folders of our own packages, which are sent to the machines of a cluster."""
    return [ROOT / package for package in PACKAGES]


def source_digest() -> str:
    """Return 16 hexadecimal digits that identify the source code of our packages."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def describe_environment(allocation: ResourceAllocation) -> Mapping[str, Any]:
    """Return JSON facts about software and machine: versions, cores, memory [byte]."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": limits.cores().amount,
        "memory_bytes": int(limits.memory().amount),
        "slots": allocation.slots,
        "transport": "ray" if allocation.actors else "inprocess",
        "actors": allocation.actors,
        "cores_per_process": allocation.share.cpus,
        "gpus_per_process": allocation.share.gpus,
        "machines": allocation.machines,
        "source": source_digest(),
        "packages": {name: version_of(name) or "not installed" for name in RECORDED},
        "plugins": {f"{one.kind} {one.name}": one.package for one in installed()},
    }


def return_free_memory() -> None:
    """Return freed memory to the system, of which glibc keeps some for each thread.

    It takes half a millisecond; Ray's threads would keep 3 kB for each trial.
    """
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
