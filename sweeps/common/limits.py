"""Cores and memory that this process may use, given the limits of container and cluster.

Linux limits a process in several places: the CPU affinity, the quotas and limits of the
control groups (cgroup v1 and v2) from its own up to the root, and Slurm by the
environment of a job. The smallest applies. For the files see
https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/memory.html there.
"""

import os
import resource
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import psutil

SHARED = Path("/dev/shm")  # noqa: S108 - Ray's object store is there
MEBIBYTE = 1 << 20
STORE_SHARE, SHARED_SHARE = 0.3, 0.95
"""Shares of memory, and of the memory file system, for Ray's object store."""
MIN_STORE_BYTES, MAX_STORE_BYTES = 100 << 20, 200 * 10**9
"""Ray refuses less, and takes no more by itself."""
MIN_SHARED_BYTES = 1 << 30
"""With less free in the memory file system, Ray places its object store on the disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A limit on cores or bytes, and its source, which is empty for the machine itself."""

    amount: float
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A control group that contains this process, by its folder; ``second`` is one of cgroup v2."""

    folder: Path
    second: bool


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The facts from which limits follow; tests pass others.

    Attributes:
        cores: Cores in the affinity mask of this process, which cpusets set.
        available_bytes: Memory that is free or only caches files.
        address_bytes: Limit of the address space (``ulimit -v``); None without limit.
    """

    cores: int
    memory_bytes: int
    available_bytes: int
    address_bytes: int | None = None
    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=dict)


def this_machine() -> Machine:
    """Return the machine on which this process runs."""
    memory = psutil.virtual_memory()
    address = resource.getrlimit(resource.RLIMIT_AS)[0]
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return Machine(
        cores=len(affinity(0)) if affinity else os.cpu_count() or 1,
        memory_bytes=memory.total,
        available_bytes=memory.available,
        address_bytes=None if address == resource.RLIM_INFINITY else address,
        environment=os.environ,
    )


def cores(machine: Machine | None = None) -> Limit:
    """Return the number of cores this process may use; a quota may be a fraction of a core."""
    machine = machine or this_machine()
    found = [Limit(amount=machine.cores)]
    for group in _groups(machine, "cpu"):
        quota = _quota(group)
        if quota is not None:
            found.append(Limit(amount=quota, why=f"CPU quota of {group.folder}"))
    found += [
        Limit(amount=count, why=f"{name} of Slurm")
        for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")
        if (count := _slurm(machine, name))
    ]
    return min(found, key=lambda limit: limit.amount)


def memory(machine: Machine | None = None) -> Limit:
    """Return how much memory this process and its children may use together [byte]."""
    machine = machine or this_machine()
    limits = [limit for limit, _ in _memory_limits(machine)]
    return min([Limit(amount=machine.memory_bytes), *limits], key=lambda limit: limit.amount)


def free_memory(machine: Machine | None = None) -> Limit:
    """Return how much memory is free [byte]; the file cache counts as free."""
    machine = machine or this_machine()
    left = [
        Limit(amount=max(0.0, limit.amount - used), why=limit.why)
        for limit, used in _memory_limits(machine)
    ]
    return min([Limit(amount=machine.available_bytes), *left], key=lambda limit: limit.amount)


def shared_memory() -> int | None:
    """Return the free bytes of the memory file system for Ray's object store; None without one."""
    return shutil.disk_usage(SHARED).free if SHARED.is_dir() else None


def object_store_bytes() -> int:
    """Return the size of Ray's object store [byte].

    Like Ray, 30 % of the free memory, but within the limits of this process, and no more than the
    memory file system has, unless that is so small that Ray uses the disk.
    """
    size, shared = STORE_SHARE * free_memory().amount, shared_memory() or 0
    if shared >= MIN_SHARED_BYTES:
        size = min(size, SHARED_SHARE * shared)
    return int(max(MIN_STORE_BYTES, min(size, MAX_STORE_BYTES)))


def whole_cores() -> int:
    """Return the number of whole cores that this process may use, at least 1."""
    return max(1, int(cores().amount))


def _memory_limits(machine: Machine) -> Iterator[tuple[Limit, float]]:
    """Yield each limit below the machine's memory, with the memory used of it."""
    for group in _groups(machine, "memory"):
        for name in ("memory.max", "memory.high") if group.second else ("memory.limit_in_bytes",):
            amount = _number(group.folder / name)
            if amount is not None and amount < machine.memory_bytes:
                yield Limit(amount=amount, why=f"{name} of {group.folder}"), _used(group)
    env, cpus = machine.environment, _slurm(machine, "SLURM_CPUS_ON_NODE")
    if amount := _slurm(machine, "SLURM_MEM_PER_NODE"):
        yield Limit(amount=amount * MEBIBYTE, why="SLURM_MEM_PER_NODE of Slurm"), 0.0
    elif (amount := _slurm(machine, "SLURM_MEM_PER_CPU")) and cpus:
        why = f"SLURM_MEM_PER_CPU={env['SLURM_MEM_PER_CPU']} of Slurm, {cpus} cores"
        yield Limit(amount=amount * cpus * MEBIBYTE, why=why), 0.0
    if machine.address_bytes is not None:
        yield Limit(amount=machine.address_bytes, why="ulimit -v"), 0.0


def _slurm(machine: Machine, name: str) -> int:
    """Return a number set by Slurm; 0 if it is not set, or 0 stands for everything."""
    value = machine.environment.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else 0


def _groups(machine: Machine, controller: str) -> Iterator[Group]:
    """Yield the control groups of this process that may limit something, the innermost first."""
    mounts = list(_mounts(machine.root))
    for line in _lines(machine.root / "proc/self/cgroup"):
        _, names, inside = line.split(":", 2) if line.count(":") > 1 else ("", "-", "")
        if names and controller not in names.split(","):
            continue
        for place, top, names_there in mounts:
            if controller in names_there.split(",") if names else not names_there:
                yield from _upwards(machine.root, place, top, inside, second=not names)


def _upwards(root: Path, place: str, top: str, inside: str, *, second: bool) -> Iterator[Group]:
    """Yield the group ``inside`` and those above it up to ``top``, which is mounted at ``place``.

    In a container that is seldom the root group.
    """
    group, above = PurePosixPath(inside), PurePosixPath(top)
    # a group that is not below the mounted one is named in another namespace
    parts = group.relative_to(above).parts if group.is_relative_to(above) else ()
    parts = () if ".." in parts else parts
    mounted = root / place.lstrip("/")
    for length in range(len(parts), -1, -1):
        yield Group(folder=mounted.joinpath(*parts[:length]), second=second)


def _mounts(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield mount point, mounted group and controllers of cgroup mounts; no controllers for v2."""
    for line in _lines(root / "proc/self/mountinfo"):
        words, _, kind = line.partition(" - ")
        fields, (kind, *rest) = words.split(), kind.split() or [""]
        if len(fields) > 4 and kind in ("cgroup", "cgroup2"):
            yield _plain(fields[4]), _plain(fields[3]), rest[-1] if kind == "cgroup" else ""


def _plain(path: str) -> str:
    """Decode a path of ``mountinfo``, which writes white space as octal escapes."""
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _quota(group: Group) -> float | None:
    """Return a group's CPU quota [cores]; None if it has none."""
    if group.second:
        words = " ".join(_lines(group.folder / "cpu.max")).split()
        quota, period = (_as_number(word) for word in (*words, "", "")[:2])
    else:
        quota, period = (_number(group.folder / f"cpu.cfs_{n}_us") for n in ("quota", "period"))
    return quota / period if quota and period else None


def _used(group: Group) -> float:
    """Return the memory that a group uses, without file cache [byte]."""
    if group.second:
        used, cached = _number(group.folder / "memory.current"), "inactive_file"
    else:
        used, cached = _number(group.folder / "memory.usage_in_bytes"), "total_inactive_file"
    facts = (line.split() for line in _lines(group.folder / "memory.stat"))
    spare = next((_as_number(fact[1]) for fact in facts if len(fact) == 2 and fact[0] == cached), 0)
    return max(0.0, (used or 0.0) - (spare or 0.0))


def _number(path: Path) -> float | None:
    return _as_number("".join(_lines(path)))


def _as_number(text: str) -> float | None:
    """Parse a number in a kernel file; None for ``max``, -1 and anything else."""
    return float(text) if text.isascii() and text.isdigit() else None


def _lines(path: Path) -> list[str]:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text("utf-8").splitlines()
    return []
