"""Storage that does what a test wants while it is written to, and drivers of a sweep in it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_study import ManualClock

from sweeps.common.interrupts import Interrupts
from sweeps.ledger.launch_settings import SweepSettings, write_settings
from sweeps.ledger.paths import SweepFolder
from sweeps.mirror.mirror import Mirror
from sweeps.mirror.storage import Storage
from sweeps.mirror.storage_lock import StorageLease


def begun_sweep(path: Path) -> SweepFolder:
    """Return the folder of a sweep whose ledger has one line and a half."""
    folder = SweepFolder(path)
    folder.weights.mkdir(parents=True)
    folder.study.write_text("study")
    write_settings(folder.path, SweepSettings(id="toy"))
    folder.journal.write_bytes(b"one\nhalf a li")
    return folder


class Counting(Storage):
    """Notes what is written, and does what a test wants on the way."""

    def __init__(self, storage: Storage, on_write: Callable[[str], None] = lambda path: None):
        super().__init__(storage._files, storage._root, "there")
        self.written: list[str] = []
        self._on_write = on_write

    def write(self, path, content):
        self._on_write(path)
        super().write(path, content)
        self.written.append(path)


def mirror_of(storage: Storage, folder: SweepFolder, clock: ManualClock, **held: Any) -> Mirror:
    """Return the mirror of a driver that has just become one."""
    lease = StorageLease(storage, clock)
    lease._me = replace(lease._me, place=f"machine {id(lease)}")  # drivers that cannot see another
    lease.take()
    note, interrupts = held.get("note", pytest.fail), held.get("interrupts", Interrupts())
    return Mirror(storage, lease, folder, note, interrupts)
