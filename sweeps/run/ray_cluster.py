"""The Ray that a sweep runs on: a local one, or a cluster that is joined."""

import logging
import os
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import ray
from ray._private.node import Node
from ray.exceptions import RayError
from ray.job_config import JobConfig

from kdtasks.contract.errors import UserError
from search_spaces.study import Study
from sweeps.common import limits
from sweeps.common.capacity import LOCAL, Capacity, ResourceAllocation, Share, allocate
from sweeps.common.custom_code import code_to_send
from sweeps.common.environment import (
    WORKER_SETTINGS,
    engine_environment,
    idle_gpus,
    our_packages,
    usable_gpus,
)
from sweeps.common.interrupts import BackgroundContext, Interrupts, kept_handlers
from sweeps.ledger.launch_settings import SweepSettings
from sweeps.workers.jobs import Pool, Starting
from sweeps.workers.ray_safety import RAY, keep_token_private, ray_folder, started_by_kdsweep
from sweeps.workers.ray_start import ask, check_local, startable

if TYPE_CHECKING:
    from sweeps.search.session import SearchSession

PATIENCE_S = 25.0
"""How long a cluster may take to answer."""
KNOCK_S = 5.0
"""How long its machine may take to accept a connection."""

AUTO = "auto"
"""The address of the cluster that this machine belongs to."""
CURRENT = Path("/tmp/ray/ray_current_cluster")  # noqa: S108 - only read, and checked
"""Where ``ray start`` notes the address of its cluster."""
FLAG = "--gcs-address="
"""Option before the address on the command line of Ray's processes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RaySite:
    """Ray on this machine, without address, or on a cluster.

    Attributes:
        modules: Code that machines of a cluster receive.
        shared: A Ray on this machine that outlives the sweep; None if it has its own.
    """

    allocation: ResourceAllocation
    address: str | None
    modules: tuple[Path, ...] = ()
    shared: BackgroundContext | None = None

    def ready(self, starting: Starting) -> AbstractContextManager[None]:
        """Run Ray inside; ``starting`` is entered while processes start that end with this one."""
        if self.address is not None:
            return joined_ray(self.address, self.modules)
        if self.shared is not None:
            return _entered(self.shared)
        share, processes = self.allocation.share, self.allocation.processes
        return local_ray(ceil(processes * share.cpus), ceil(processes * share.gpus), starting)

    def pool(self, interrupts: Interrupts) -> Pool:
        import sweeps.search.tune_adapters  # noqa: F401 - takes seconds, while Ray starts
        from sweeps.workers.ray_pool import RayPool

        return RayPool(self.allocation, interrupts.requested)

    def search(self, session: "SearchSession", scratch: Path, interrupts: Interrupts) -> None:
        from sweeps.search.tune_adapters import search

        search(session, self.allocation, scratch, interrupts)


@contextmanager
def _entered(shared: BackgroundContext) -> Iterator[None]:
    shared.wait()
    yield


def ray_for(studies: Sequence[Study]) -> BackgroundContext:
    """Return a Ray with this whole machine, on which studies run one after the other.

    Their code must be on Python's path before it is begun: its workers inherit the path.
    """
    gpus = usable_gpus() if any(study.resources.gpus for study in studies) else 0
    [machine] = this_capacity(max(study.resources.cpus for study in studies), gpus).machines
    return BackgroundContext(local_ray(ceil(machine.cpus), gpus))


def find_ray(
    study: Study, settings: SweepSettings, shared: BackgroundContext | None = None
) -> RaySite:
    """Return the site of a sweep, by the machines that are available.

    Raises:
        UserError: If no trial fits, or a cluster does not answer.
        StudyError: If it asks for GPUs that this torch cannot use.
    """
    address = settings.request.address
    if address == AUTO:
        address = running_cluster()
    if address in (None, LOCAL):
        gpus = usable_gpus() if study.resources.gpus else 0
        wanted = study.resources.gpus
        if wanted and wanted != "auto" and not gpus and (why := idle_gpus()):
            raise study.error("resources.gpus", f"is {wanted:g}, but {why}")
        check_local()
        here = this_capacity(study.resources.cpus, gpus)
        allocation = allocate(settings.request, study.resources, here)
        return RaySite(allocation=allocation, address=None, shared=shared)
    return RaySite(
        allocation=allocate(settings.request, study.resources, cluster_capacity(address)),
        address=address,
        modules=(*our_packages(), *code_to_send(study, settings.task_path)),
    )


def this_capacity(cpus: float, gpus: int) -> Capacity:
    """Return the capacity of this machine; a process of up to one core always fits."""
    cores = limits.cores()
    place = f"this machine ({cores.why})" if cores.why else "this machine"
    machine = Share(cpus=max(cores.amount, min(cpus, 1.0)), gpus=gpus)
    return Capacity(machines=(machine,), place=place)


@contextmanager
def local_ray(cores: int, gpus: int = 0, starting: Starting = nullcontext) -> Iterator[None]:
    """Run a local Ray inside, on loopback; ``starting`` is entered while its processes start.

    The address is always given: without one Ray would join any cluster that it finds. Its token
    authentication stays on, as by default.
    """
    _hush()
    keep_token_private()
    with ray_folder() as folder:
        ours = folder / "kdsweep"
        ours.mkdir()
        for package in our_packages():
            (ours / package.name).symlink_to(package)
        with engine_environment([ours]):
            try:
                with (
                    starting(),
                    startable(),
                    kept_handlers(),
                    _warnings_held_back(),
                    _without_spare_processes(),
                ):
                    ray.init(
                        address=LOCAL,
                        num_cpus=cores,
                        num_gpus=gpus,
                        object_store_memory=limits.object_store_bytes(),
                        include_dashboard=False,
                        job_config=_job(),
                        log_to_driver=False,
                        logging_level=logging.ERROR,
                        _temp_dir=str(folder / RAY),
                    )
                yield
            finally:
                with kept_handlers():
                    ray.shutdown()


@contextmanager
def _warnings_held_back() -> Iterator[None]:
    """Block SIGUSR1 in processes started inside, which it would kill.

    Slurm sends it to all processes of a job before the time limit; only the driver handles it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_spare_processes() -> Iterator[None]:
    """Keep Ray from starting processes that a sweep does not use.

    Its dashboard, without pages, still has the module of usage statistics, which, although these
    are off, queries the metadata servers of three clouds. One monitor scales clusters, another
    prints the logs of workers; each takes a second of a core to start.
    """
    spare = ("start_api_server", "start_monitor", "start_log_monitor")
    before = {name: getattr(Node, name) for name in spare}
    for name in spare:
        setattr(Node, name, lambda _self, **_options: None)
    try:
        yield
    finally:
        for name, start in before.items():
            setattr(Node, name, start)


class _Nothing(list[str]):
    """Folders that Ray puts first on the path of workers: always none."""

    def extend(self, _folders: Iterable[str]) -> None:
        """Ray would add the current folder and that of the script."""


def _job(runtime_env: dict[str, Any] | None = None) -> JobConfig:
    config = JobConfig(runtime_env=runtime_env)
    config._py_driver_sys_path = _Nothing()
    return config


@contextmanager
def joined_ray(address: str, modules: Sequence[Path]) -> Iterator[None]:
    """Be a driver of a running cluster inside; the cluster stays, our processes in it end.

    Its machines are sent ``modules`` and the settings of workers, which inherit nothing from this
    process; everything else that workers import must be installed there.

    Raises:
        UserError: If the cluster refuses.
    """
    _hush()
    sent = {"env_vars": WORKER_SETTINGS, "py_modules": [str(module) for module in modules]}
    with engine_environment():
        try:
            try:
                with kept_handlers():
                    ray.init(
                        address=address,
                        job_config=_job(sent),
                        log_to_driver=False,
                        logging_level=logging.ERROR,
                    )
            except (ConnectionError, RuntimeError, ValueError, RayError) as error:
                raise _refused(address, str(error)) from error
            yield
        finally:
            with kept_handlers():
                ray.shutdown()


def _hush() -> None:
    # Tune misses the files of loggers that we switched off, and prints what we record anyway.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)


def running_cluster() -> str:
    """Return the address of the cluster that this machine belongs to, as Ray does.

    Unlike Ray, it skips clusters that other sweeps started, as they end with those sweeps.

    Raises:
        UserError: If there is none, or several.
    """
    if (address := os.environ.get("RAY_ADDRESS", AUTO)) not in ("", AUTO, LOCAL):
        return address
    found = set(_addresses())
    with suppress(OSError):
        noted = CURRENT.read_text("utf-8").strip()
        if noted in found or not found:
            return noted
    if not found:
        raise _refused(AUTO, "none runs on this machine, other than those of sweeps themselves")
    if len(found) > 1:
        raise _refused(AUTO, f"there are {', '.join(sorted(found))}, so name one as host:port")
    return found.pop()


def _addresses() -> Iterator[str]:
    """Yield the clusters whose processes run here, without those that sweeps started."""
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        program, *words = command.split() or [""]
        if program.endswith("/raylet") and not started_by_kdsweep(command):
            yield from (word[len(FLAG) :] for word in words if word.startswith(FLAG))


def cluster_capacity(address: str) -> Capacity:
    """Return the capacity of a cluster at this moment.

    Raises:
        UserError: If it does not answer within half a minute, or the address is of another kind.
    """
    _knock(address)
    try:
        _, found = ask(address, patience_s=PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise _refused(address, f"no Ray answers there within {PATIENCE_S:.0f} s") from error
    if not found:
        raise _refused(address, "Ray gave up the connection")
    if "error" in found:
        raise _refused(address, found["error"])
    machines = tuple(Share(cpus=cpus, gpus=gpus) for cpus, gpus in found["machines"] if cpus)
    if not machines:
        raise _refused(address, "none of its machines has a core to give")
    return Capacity(machines=machines, place="the cluster")


def _knock(address: str) -> None:
    """Refuse at once what is not the address of a cluster, and one where nothing listens."""
    if "://" in address:
        raise UserError(
            f"{_option(address)}: run kdsweep on a machine of the cluster (for instance by ray job "
            "submit) and give host:port or auto there"
        )
    parts = urlsplit(f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise UserError(
            f"{_option(address)} is no address of a Ray cluster; give host:port, "
            "auto for the cluster that this machine belongs to, or local"
        )
    try:
        socket.create_connection((host, port), timeout=KNOCK_S).close()
    except OSError as error:
        raise _refused(address, error.strerror or str(error)) from error


def _option(address: str) -> str:
    """Return an address with the option or variable that set it."""
    return f"{'RAY_ADDRESS' if os.environ.get('RAY_ADDRESS') == address else '--address'} {address}"


def _refused(address: str, why: str) -> UserError:
    words = " ".join(why.split()).partition(". ")[0].rstrip(".")
    return UserError(
        f"{_option(address)}: the Ray cluster cannot be joined: {words}; check with ray status "
        "that it runs and that this machine belongs to it and has its token, or give --address "
        "local to run here"
    )
