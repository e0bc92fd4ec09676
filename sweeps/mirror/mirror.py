"""Copies a sweep to durable storage while it runs.

The folder on the driver's disk remains the working copy: the ledger needs appends and a lock,
which object stores do not have.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from analysis import format as text
from analysis import layout
from kdtasks.contract.errors import DataError, UserError
from kdtasks.data.reading import file_sha256
from sweeps.common.interrupts import Interrupts
from sweeps.common.records import TrialState
from sweeps.ledger.journal import whole_lines
from sweeps.ledger.launch_settings import read_settings, without_password
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SETTINGS_FILE, SweepFolder
from sweeps.ledger.student_weights import StudentStore
from sweeps.ledger.teacher_cache import CARD, OUTPUTS, WEIGHTS
from sweeps.ledger.trust import SEAL_FILE
from sweeps.mirror.storage import Storage, cause
from sweeps.mirror.storage_lock import PERIOD_S, Driver, StorageLease

TEACHERS_DIR = "teachers"
"""Folder for a sweep's teachers in storage; on disk they are in a shared cache."""

NEEDED = (f"{layout.WEIGHTS_DIR}/", f"{TEACHERS_DIR}/")
"""Folders whose files must be copied before the ledger that refers to them."""

NAMED = 3
"""Largest number of files that are named if they were not copied."""

LAST_TRIES = 3
PAUSE_S = 2.0
"""Pause between the last attempts [s]."""
PATIENCE_S, HURRIED_S = 20.0, 5.0
"""Longest time without an answer of storage at the end of a sweep, and after Ctrl-C [s]."""


Version = tuple[int, int]
"""Size of a file [byte] and time of its last modification [ns], by which a change is detected."""


class Mirror:
    """Copies changed files of a sweep's folder, periodically and at the end.

    A failed copy is retried; it never ends the sweep.

    Args:
        storage: The destination.
        lease: The right to drive the sweep.
        folder: The folder to copy.
        note: Shows a message to the user; called from a thread.
        interrupts: Requested to stop this driver if another takes over the sweep.
    """

    def __init__(
        self,
        storage: Storage,
        lease: StorageLease,
        folder: SweepFolder,
        note: Callable[[str], None],
        interrupts: Interrupts,
    ) -> None:
        self.teachers: tuple[str, ...] = ()
        """Keys of the teachers that the sweep may need."""
        self.lacking = ""
        """Message about what was not copied in the end; empty if everything was."""
        self.lost = False
        """Whether another driver has taken over the sweep, which then owns storage and MLflow."""
        self._storage = storage
        self._lease = lease
        self._folder = folder
        self._note = note
        self._interrupts = interrupts
        self._copied: dict[str, Version] = {}
        self._compared = False
        self._problem = ""
        self._answered_s = 0.0
        self._end = threading.Event()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kdsweep-mirror", daemon=True)

    def start(self) -> None:
        """Start copying."""
        self._thread.start()

    def finish(self, patience_s: float) -> None:
        """Copy the rest, release the lease, and describe what was not copied.

        Waits as long as storage accepts files, and ``patience_s`` [s] without an answer.
        """
        self._answered_s = time.monotonic()
        self._end.set()
        while self._thread.is_alive():
            left_s = self._answered_s + patience_s - time.monotonic()
            if left_s <= 0.0:
                self._given_up.set()
                self._problem = self._problem or f"no answer for {patience_s:.0f} s"
                break
            self._thread.join(left_s)
        if not self.lost:
            self._describe_rest()

    def notify(self, words: str) -> None:
        """Show a message to the user, unless it is empty; errors of the display are ignored."""
        if words:
            with suppress(Exception):  # a closed terminal must not stop the copying
                self._note(words)

    def _run(self) -> None:
        while not self._end.wait(PERIOD_S):
            self.copy()
        for left in range(LAST_TRIES - 1, -1, -1):
            self.copy()
            if not left or not self._pending() or self._over():
                break
            self._given_up.wait(PAUSE_S)
        if not self._over():
            try:
                self._lease.release()
            except OSError as error:
                self._fail(error)

    def _over(self) -> bool:
        return self.lost or self._given_up.is_set()

    def copy(self) -> None:
        """Copy changed files; failed ones wait for the next time."""
        try:
            if not self._over():
                self._copy()
        except Exception as error:  # noqa: BLE001 - the next attempt may succeed
            self._fail(error)

    def _copy(self) -> None:
        """Copy what has changed.

        The ledger is read before the files and written after them, so that
        all trials that are complete in the stored ledger have their weights there.
        """
        version = _version(self._folder.journal)
        ledger = b"" if version is None else whole_lines(self._folder.journal.read_bytes())
        if not self._still_driver(ledger) or version is None:
            return  # without a ledger, the name stays free
        if not self._compared:
            self._skip_what_is_there()
        whole = self._copy_files(ledger)
        # Checked again: this process may have been suspended for long, at any moment.
        if (
            whole
            and self._copied.get(layout.JOURNAL_FILE) != version
            and self._still_driver(ledger)
        ):
            self._put(layout.JOURNAL_FILE, ledger, version)

    def _copy_files(self, ledger: bytes) -> bool:
        """Copy everything but the ledger; return whether all files that it refers to are there."""
        whole = True
        for path, version in self._versions().items():
            if self._over() or (self._lease.stale() and not self._still_driver(ledger)):
                return False
            try:
                self._put(path, self._content(path, version), version)
            except (OSError, UserError) as error:
                self._fail(error)
                whole = whole and not path.startswith(NEEDED)
                if not self._still_driver(ledger):  # raises if the storage itself fails
                    return False
        return whole

    def _still_driver(self, ledger: bytes) -> bool:
        """Renew the lease; return whether nobody else has driven the sweep.

        A ledger in storage with entries that ours lacks was written by another driver since.
        """
        other = self._lease.renew()
        stored = self._storage.read(layout.JOURNAL_FILE) or b""
        self._answered_s = time.monotonic()
        if other is None and continues(ledger, stored):
            return True
        self._lose(other)
        return False

    def _lose(self, other: Driver | None) -> None:
        self.lost = True
        if other is None:
            with suppress(OSError):
                self._lease.release()
        now = "was resumed by" if other is None else "is driven by"
        driver = "another driver" if other is None else f"another driver, {other.shown}"
        self.lacking = (
            f"{self._storage.where} {now} {driver}: what this one has done since is not stored "
            f"there; it is in {self._folder.path}"
        )
        self._interrupts.request()
        self.notify(f"{self.lacking}; this driver stops")

    def _content(self, path: str, version: Version) -> bytes | None:
        """Return a file's content to copy; None if storage has it, or the file is gone."""
        if self._copied.get(path) == version:
            return None
        if path == SETTINGS_FILE:
            return without_password(read_settings(self._folder.path)).text.encode()
        folder = self._folder.path
        if path.startswith(f"{TEACHERS_DIR}/"):
            folder, path = self._folder.teachers, path.removeprefix(f"{TEACHERS_DIR}/")
        try:
            content = (folder / path).read_bytes()
        except FileNotFoundError:
            return None
        return whole_lines(content) if path == layout.LOG_FILE else content

    def _put(self, path: str, content: bytes | None, version: Version) -> None:
        if content is not None:
            self._storage.write(path, content)
            self._answered_s = time.monotonic()
            self._copied[path] = version

    def _fail(self, error: Exception) -> None:
        first, self._problem = not self._problem, cause(error)
        if first:
            self.notify(
                f"copying to {self._storage.where} failed: {self._problem}; the sweep continues, "
                f"and copying is retried every {PERIOD_S:.0f} s"
            )

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Yield the files to copy besides the ledger, with their paths in storage."""
        folder = self._folder
        yield layout.STUDY_FILE, folder.study
        yield SETTINGS_FILE, folder.path / SETTINGS_FILE
        yield SEAL_FILE, folder.path / SEAL_FILE
        for name in self.teachers:  # before the trials that use them
            for part in (WEIGHTS, OUTPUTS, CARD):
                yield f"{TEACHERS_DIR}/{name}/{part}", folder.teachers / name / part
        for path in (folder.weights, folder.report):
            for file in sorted(_entries(path)):
                if not file.name.startswith("."):
                    yield f"{path.name}/{file.name}", file
        yield layout.RESULTS_FILE, folder.results
        yield layout.LOG_FILE, folder.log

    def _versions(self) -> dict[str, Version]:
        found = [(path, _version(file)) for path, file in self._files()]
        return {path: version for path, version in found if version is not None}

    def _pending(self) -> list[str]:
        ledger = _version(self._folder.journal)
        if ledger is None:
            return []
        wanted = {**self._versions(), layout.JOURNAL_FILE: ledger}
        wanted.pop(layout.LOG_FILE, None)  # it may contain this very copy
        return [path for path in wanted if self._copied.get(path) != wanted[path]]

    def _describe_rest(self) -> None:
        if rest := self._pending():
            named = ", ".join(rest[-NAMED:]) + (", ..." if len(rest) > NAMED else "")
            self.lacking = (
                f"{text.plural(len(rest), 'file')} were not copied to {self._storage.where} "
                f"({self._problem}): {named}; they are in {self._folder.path}, and kdsweep resume "
                f"{self._folder.name} copies them"
            )

    def _skip_what_is_there(self) -> None:
        """Mark files as copied that are in storage with the same content and never change.

        So are weights of a finished trial that are damaged here: the copy in storage is the better.
        """
        versions = self._versions()
        finished = complete_weights(self._storage.read(layout.JOURNAL_FILE) or b"")
        known = {path: sha256 for path, sha256 in finished.items() if path in versions}
        sound = {
            path
            for path, sha256 in known.items()
            if is_file(self._folder.path / path, versions[path][0], sha256)
        }
        same = {name for name in self.teachers if self._same_teacher(name)}
        weights, teachers = map(self._storage.sizes, (layout.WEIGHTS_DIR, TEACHERS_DIR))
        there = {path: size for path, size in weights.items() if path in sound}
        there |= {path: size for path, size in teachers.items() if path.split("/")[1] in same}
        damaged = known.keys() - sound
        for path, version in versions.items():
            if path in damaged or there.get(path) == version[0]:
                self._copied[path] = version
        if damaged:
            self.notify(
                f"{', '.join(sorted(damaged))}: damaged in {self._folder.path}; what "
                f"{self._storage.where} has of them stays as it is"
            )
        self._compared = True

    def _same_teacher(self, name: str) -> bool:
        """Return whether storage has the same teacher, by the hashes in its card."""
        card = self._folder.teachers / name / CARD
        stored = self._storage.read(f"{TEACHERS_DIR}/{name}/{CARD}")
        return card.is_file() and card.read_bytes() == stored


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # it does not exist, or no longer
        return []


def _version(file: Path) -> Version | None:
    try:
        state = file.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def continues(local: bytes, stored: bytes) -> bool:
    """Return whether a journal contains all complete lines of another."""
    return whole_lines(local).startswith(whole_lines(stored))


def complete_weights(journal: bytes) -> dict[str, str]:
    """Return the weight files that will not change again, with their SHA-256, empty if unknown.

    They belong to complete trials; any other trial may run again when the sweep is resumed. A
    journal that cannot be read lists none.
    """
    weights = StudentStore(Path(layout.WEIGHTS_DIR))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / layout.JOURNAL_FILE
        path.write_bytes(whole_lines(journal))
        try:
            trials = Ledger.open(path).trials()
        except DataError:
            return {}
    done = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    return {weights.file(trial.number).as_posix(): trial.sha256 for trial in done}


def is_file(file: Path, size: int, sha256: str) -> bool:
    """Return whether a file has this size and hash; an empty hash is not compared."""
    try:
        same_size = file.stat().st_size == size
        return same_size and (not sha256 or file_sha256(file) == sha256)
    except OSError:
        return False
