"""One driver per sweep; processes that a killed driver left are ended.

A file lock, which the kernel releases when its holder dies, shows whether a sweep has a driver. A
file beside it lists the processes that the driver has started, so that the next driver can end
those that outlive a killed one, such as Ray's agents.
"""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from kdtasks.contract.errors import ConfigError, UserError
from kdtasks.data.reading import read_json
from sweeps.ledger.paths import atomic_file

LOCK_FILE, LEASE_FILE = ".lock", ".lease.json"
PERIOD_S = 1.0
"""Interval at which the list of processes is updated [s]."""
STARTING_PERIOD_S = 0.2
"""The same while processes are being started [s]."""
PATIENCE_S = 1.0
"""Time for a process to end after SIGTERM [s]."""
LOST_S = 60.0
"""A driver on another machine counts as dead after this time without an update [s]."""


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process, distinguished by its start time from others with the same number."""

    pid: int
    created: float


def row_of(process: psutil.Process) -> ProcessRow:
    """Return the row of a process."""
    return ProcessRow(process.pid, process.create_time())


def living(rows: Iterator[ProcessRow] | list[ProcessRow]) -> list[psutil.Process]:
    """Return those of ``rows`` that still run, except this process."""
    found = []
    for row in rows:
        with suppress(psutil.Error):
            process = psutil.Process(row.pid)
            same = row_of(process) == row and row.pid != os.getpid()
            if same and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end_processes(rows: list[ProcessRow]) -> int:
    """End those of ``rows`` that still run; return their number."""
    processes = living(rows)
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    for process in psutil.wait_procs(processes, timeout=PATIENCE_S)[1] if processes else []:
        with suppress(psutil.Error):
            process.kill()  # psutil checks that the number was not reused
    psutil.wait_procs(processes, timeout=PATIENCE_S)
    return len(processes)


def lock_id(folder: Path) -> list[int]:
    """Identify a sweep's lock file: moving the folder keeps the identity, copying changes it."""
    with suppress(OSError):
        found = (folder / LOCK_FILE).stat()
        return [found.st_dev, found.st_ino]
    return []


class Lease:
    """The right to drive a sweep, held by this process; calls ``on_loss`` if the folder is gone."""

    def __init__(self, folder: Path, on_loss: Callable[[], None] = lambda: None) -> None:
        self.lost = False
        """Whether the folder was moved or removed."""
        self._path = folder / LEASE_FILE
        self._lock_id = lock_id(folder)
        self._on_loss = on_loss
        self._me = psutil.Process()
        self._before: set[ProcessRow] | None = None
        self._roots: set[ProcessRow] = set()
        self._rows: set[ProcessRow] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._released = False

    def _write(self) -> None:
        """Update the list; the caller holds the lock."""
        self._find_processes()
        driver = {**asdict(row_of(self._me)), "host": socket.gethostname()}
        driver["lock"] = self._lock_id
        alive = [asdict(row) for row in sorted(self._rows, key=lambda row: row.pid)]
        # the file only helps the next driver; a full disk must not stop this one
        with suppress(OSError), atomic_file(self._path) as partial:
            partial.write_text(json.dumps({"driver": driver, "processes": alive}), "utf-8")

    def _find_processes(self) -> None:
        with suppress(psutil.Error):
            if self._before is not None:
                self._roots |= set(map(row_of, self._me.children())) - self._before
        for root in living(list(self._roots)):
            with suppress(psutil.Error):
                self._rows |= {row_of(root), *map(row_of, root.children(recursive=True))}
        # a process whose parent has ended is no longer a descendant, but still ours
        self._rows = {row_of(process) for process in living(list(self._rows))}

    def _renew(self) -> None:
        while not self._released:
            if lock_id(self._path.parent) != self._lock_id:
                self.lost = True
                self._on_loss()
                return
            with self._lock:
                self._write()
                period_s = PERIOD_S if self._before is None else STARTING_PERIOD_S
            self._wake.wait(period_s)
            self._wake.clear()

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Record every child process started inside, with its descendants, as the sweep's."""
        with self._lock:  # the thread reads it more than once
            self._before = set(map(row_of, self._me.children()))
        self._wake.set()
        try:
            yield
        finally:
            with self._lock:
                self._write()
                self._before = None

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Keep the list of processes up to date inside; end the remaining ones at exit."""
        thread = threading.Thread(target=self._renew, name="kdsweep-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._released = True
            self._wake.set()
            thread.join()
            with self._lock:  # Ray may still be coming up on a thread of its own
                self._find_processes()
                rows = list(self._rows)
            end_processes(rows)
            self._path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Driver:
    """The process that drives a sweep, or the last one that did and was killed.

    Attributes:
        renewed: Time of its last update, seconds since 1970 by the file system's clock.
    """

    process: ProcessRow
    host: str
    renewed: float

    def __str__(self) -> str:
        begun = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.process.created))
        return f"process {self.process.pid} on {self.host}, started {begun}"

    def runs(self) -> bool:
        """Return whether it still runs; on another machine, whether its last update is recent."""
        if self.host != socket.gethostname():
            return time.time() - self.renewed < LOST_S
        return bool(living([self.process])) or self.process == row_of(psutil.Process())


def read_driver(folder: Path) -> Driver | None:
    """Return the driver of a sweep without changing anything; None if none is known."""
    return _read(folder / LEASE_FILE)[0]


def _read(path: Path) -> tuple[Driver | None, list[ProcessRow]]:
    """Return the last driver and the processes that it started on this machine."""
    try:
        content = read_json(path)
        found = content["driver"]
        process = ProcessRow(int(found["pid"]), float(found["created"]))
        driver = Driver(process, str(found["host"]), path.stat().st_mtime)
        rows = [ProcessRow(int(row["pid"]), float(row["created"])) for row in content["processes"]]
        here = driver.host == socket.gethostname()
        # device numbers differ between machines
        copied = (found["lock"] if here else found["lock"][1:]) != lock_id(path.parent)[not here :]
    except (OSError, ValueError, ArithmeticError, TypeError, LookupError):
        return None, []
    if copied:
        return None, []  # that driver drives the original of this copy
    return driver, rows if here else []


@contextmanager
def driving(folder: Path, on_loss: Callable[[], None] = lambda: None) -> Iterator[Lease]:
    """Be the only driver of a sweep inside; first end processes that a killed driver left.

    Raises:
        UserError: If another process drives it, or the folder cannot be written to.
    """
    try:
        number = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written to: {error.strerror}; make it writable, or copy it to a "
            "place that is and name that with --home"
        ) from error
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            driver = read_driver(folder) or "another process"
            raise ConfigError(
                f"sweep {folder.name} is being run by {driver}; wait until it ends, or stop it "
                "there with Ctrl-C"
            ) from error
        end_processes(_read(folder / LEASE_FILE)[1])
        lease = Lease(folder, on_loss)
        with lease.renewed():
            yield lease
    finally:
        os.close(number)
