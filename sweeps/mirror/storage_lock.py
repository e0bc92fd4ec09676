"""One driver per sweep across machines: a note in durable storage names it.

Object stores have no locks. The note is renewed with every copy; while it is recent, nobody
else drives the sweep, and a driver that finds another's note stops. A missing note proves
nothing: after a long suspension, a driver may find another's work and no note.
"""

import json
import os
import socket
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from kdtasks.contract.errors import ConfigError
from kdtasks.data.reading import parsed_json
from sweeps.common.clock import Clock
from sweeps.common.file_types import check_types
from sweeps.ledger.process_lock import ProcessRow, living, row_of
from sweeps.mirror.storage import Storage, reached

DRIVER_FILE = "driver.json"
PERIOD_S = 30.0
"""Interval of copying and of renewing the note [s]."""
YOUNG_PERIODS = 3
"""A driver counts as dead after this number of periods without renewal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Driver:
    """The driver of a sweep.

    Attributes:
        host: Its machine, for messages.
        place: Machine, boot and container, within which process numbers are unique.
        created: Start time of the process, as reported by the system.
        renewed_ms: When it last renewed the note, by its clock [ms since 1970].
    """

    id: str
    host: str
    place: str
    pid: int
    created: float
    renewed_ms: int

    @property
    def shown(self) -> str:
        """The driver, for messages."""
        return f"process {self.pid} on {self.host}"

    def gone(self) -> bool:
        """Return whether it has ended for certain; one elsewhere may be alive."""
        row = ProcessRow(self.pid, self.created)
        me = row_of(psutil.Process())
        return self.place == this_place() and row != me and not living([row])


def this_place() -> str:
    """Identify the machine and container: processes with the same value see each other."""
    parts = [socket.gethostname()]
    with suppress(OSError):  # not on every system
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return " ".join(parts)


def read_driver(storage: Storage) -> Driver | None:
    """Return the driver in storage; None if the note is missing or damaged.

    Raises:
        OSError: If the storage does not answer.
    """
    content = storage.read(DRIVER_FILE)
    if content is None:
        return None
    try:
        found = parsed_json(content)
        check_types(Driver, found)
        return Driver(**found)
    except (ValueError, TypeError):
        return None


class StorageLease:
    """The right to drive a sweep with a copy in storage."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._me = Driver(
            id=uuid.uuid4().hex,
            host=socket.gethostname(),
            place=this_place(),
            pid=os.getpid(),
            created=psutil.Process().create_time(),
            renewed_ms=0,
        )

    def check_free(self) -> None:
        """Check that the sweep has no other driver.

        Raises:
            UserError: If it has, or the storage does not answer.
        """
        with reached(self._storage):
            driver = read_driver(self._storage)
        if driver is None or driver.id == self._me.id or driver.gone():
            return
        age_s = (self._clock.epoch_ms() - driver.renewed_ms) / 1000
        left_s = YOUNG_PERIODS * PERIOD_S - age_s
        if left_s > 0:
            raise ConfigError(
                f"the sweep in {self._storage.where} is being run by {driver.shown}, last seen "
                f"{max(age_s, 0):.0f} s ago; stop it there with Ctrl-C, or, if it is gone, try "
                f"again in {left_s:.0f} s"
            )

    def take(self) -> None:
        """Become the driver.

        Raises:
            UserError: If the sweep has another driver.
            OSError: If the note cannot be written.
        """
        self.check_free()
        self._write()

    def stale(self) -> bool:
        """Return whether the note is older than a period, including time of suspension."""
        return abs(self._clock.epoch_ms() - self._me.renewed_ms) > PERIOD_S * 1000

    def renew(self) -> Driver | None:
        """Renew the note; return another driver if the note is its own.

        Raises:
            OSError: If the storage does not answer.
        """
        driver = read_driver(self._storage)
        if driver is not None and driver.id != self._me.id:
            return driver
        self._write()
        return None

    def release(self) -> None:
        """Remove the note, so that others may drive the sweep.

        Raises:
            OSError: If the storage does not answer.
        """
        driver = read_driver(self._storage)
        if driver is not None and driver.id == self._me.id:
            self._storage.delete(DRIVER_FILE)

    def _write(self) -> None:
        note = replace(self._me, renewed_ms=self._clock.epoch_ms())
        self._storage.write(DRIVER_FILE, json.dumps(asdict(note)).encode())
        self._me = note
