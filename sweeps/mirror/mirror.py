"""Keeps a copy of a sweep in durable storage while it runs.

The folder on the driver's own disk stays the working copy: the ledger needs appends and a lock,
which object stores do not have.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from analysis import format as text
from analysis import layout
from kdtasks.contract.errors import UserError
from sweeps.common.interrupts import Interrupts
from sweeps.ledger.launch_settings import read_settings, without_password
from sweeps.ledger.paths import SETTINGS_FILE, SweepFolder
from sweeps.ledger.teacher_cache import CARD, OUTPUTS, WEIGHTS
from sweeps.ledger.trust import SEAL_FILE
from sweeps.mirror.compare_journals import complete_weights, continues, is_file, whole_lines
from sweeps.mirror.storage import Storage, cause
from sweeps.mirror.storage_lock import PERIOD_S, Driver, StorageLease

TEACHERS_DIR = "teachers"
"""Folder of a sweep in storage with its teachers, which lie in a common cache on disk."""

NEEDED = (f"{layout.WEIGHTS_DIR}/", f"{TEACHERS_DIR}/")
"""Where files lie without which the ledger is not copied: it says that they are there."""

NAMED = 3
"""Files that are named when they did not get there."""

LAST_TRIES = 3
PAUSE_S = 2.0
"""Between the last tries [s]."""
PATIENCE_S, HURRIED_S = 20.0, 5.0
"""How long storage may be silent at the end of a sweep, and after Ctrl-C [s]."""


@dataclass(frozen=True, slots=True)
class Version:
    """What tells a file from what it was when it was copied.

    Attributes:
        size: Its size [byte].
        changed_ns: When it was last written to.
    """

    size: int
    changed_ns: int


class Mirror:
    """Copies what has changed in a sweep's folder, every now and then and at the end.

    A copy that fails is tried again; it never ends the sweep.

    Args:
        storage: Where to.
        lease: Says who drives the sweep.
        folder: What to copy.
        note: Tells the user something once; is called from a thread.
        interrupts: Asked to stop this driver when another has taken the sweep over.
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
        """Fingerprints of the teachers that the sweep can need."""
        self.lacking = ""
        """What did not get there in the end, for the user; empty if everything did."""
        self.lost = False
        """Whether another driver has taken the sweep over; it owns storage and MLflow then."""
        self._storage = storage
        self._lease = lease
        self._folder = folder
        self._note = note
        self._interrupts = interrupts
        self._copied: dict[str, Version] = {}
        self._looked = False
        self._problem = ""
        self._noted = False
        self._answered_s = 0.0
        self._end = threading.Event()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kdsweep-mirror", daemon=True)

    def start(self) -> None:
        """Copy from now on."""
        self._thread.start()

    def finish(self, patience_s: float) -> None:
        """Copy the rest, let others drive the sweep, and say what did not get there.

        Args:
            patience_s: How long storage may be silent before it is given up [s]. While it takes one
                file after the other, it is waited for.
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

    def say(self, words: str) -> None:
        """Tell the user something, unless it is empty or there is nobody left to tell."""
        if words:
            with suppress(Exception):  # a terminal that was closed must not end the copying
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
        """Copy what has changed; what fails waits for the next time."""
        try:
            if not self._over():
                self._copy()
        except Exception as error:  # noqa: BLE001 - whatever it was, the next time may be better
            self._fail(error)

    def _copy(self) -> None:
        """Copy what has changed.

        The ledger is read before the folder is looked at, and written after everything else: what
        the ledger in storage calls finished has its weights there.

        Raises:
            OSError: If the storage does not answer; what is left would hardly fare better.
        """
        version = _version(self._folder.journal)
        ledger = b"" if version is None else whole_lines(self._folder.journal.read_bytes())
        if not self._still_driver(ledger) or version is None:
            return  # while nothing was tried, the name stays free
        if not self._looked:
            self._skip_what_is_there()
        whole = self._copy_files(ledger)
        # Looked at again: this process may have been away for long, at any moment.
        if (
            whole
            and self._copied.get(layout.JOURNAL_FILE) != version
            and self._still_driver(ledger)
        ):
            self._put(layout.JOURNAL_FILE, ledger, version)

    def _copy_files(self, ledger: bytes) -> bool:
        """Copy everything but the ledger; return whether all is there that it speaks of."""
        whole = True
        for path, version in self._versions().items():
            if self._over() or (self._lease.stale() and not self._still_driver(ledger)):
                return False
            try:
                self._put(path, self._content(path, version), version)
            except (OSError, UserError) as error:
                self._fail(error)
                whole = whole and not path.startswith(NEEDED)
                if not self._still_driver(ledger):  # raises if the trouble is not with this file
                    return False
        return whole

    def _still_driver(self, ledger: bytes) -> bool:
        """Return whether nobody else has driven the sweep, and say again that we do.

        Args:
            ledger: Ours. One in storage that says more was written by somebody who came and went.

        Raises:
            OSError: If the storage does not answer.
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
            f"{self._storage.where} {now} {driver}: what this one has done since is not kept "
            f"there; it is in {self._folder.path}"
        )
        self._interrupts.request()
        self.say(f"{self.lacking}; this driver stops")

    def _content(self, path: str, version: Version) -> bytes | None:
        """Return what to copy; None if storage has it, or the sweep has removed it meanwhile."""
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
        self._problem = cause(error)
        if not self._noted:
            self._noted = True
            self.say(
                f"copying to {self._storage.where} failed: {self._problem}; the sweep goes on, and "
                f"it is tried again every {PERIOD_S:.0f} s"
            )

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Yield what belongs into storage beside the ledger, by its path there."""
        folder = self._folder
        yield layout.STUDY_FILE, folder.study
        yield SETTINGS_FILE, folder.path / SETTINGS_FILE
        yield SEAL_FILE, folder.path / SEAL_FILE
        for name in self.teachers:  # before the trials that were taught
            for part in (WEIGHTS, OUTPUTS, CARD):
                yield f"{TEACHERS_DIR}/{name}/{part}", folder.teachers / name / part
        for path in (folder.weights, folder.report):
            for file in sorted(_entries(path)):
                if not file.name.startswith("."):
                    yield f"{path.name}/{file.name}", file
        yield layout.LOG_FILE, folder.log

    def _versions(self) -> dict[str, Version]:
        found = [(path, _version(file)) for path, file in self._files()]
        return {path: version for path, version in found if version is not None}

    def _pending(self) -> list[str]:
        ledger = _version(self._folder.journal)
        if ledger is None:
            return []
        wanted = {**self._versions(), layout.JOURNAL_FILE: ledger}
        wanted.pop(layout.LOG_FILE, None)  # it may tell of this very copy
        return [path for path in wanted if self._copied.get(path) != wanted[path]]

    def _describe_rest(self) -> None:
        if rest := self._pending():
            named = ", ".join(rest[-NAMED:]) + (", ..." if len(rest) > NAMED else "")
            self.lacking = (
                f"{text.plural(len(rest), 'file')} did not get to {self._storage.where} "
                f"({self._problem}): {named}; they are in {self._folder.path}, and kdsweep resume "
                f"{self._folder.name} copies them"
            )

    def _skip_what_is_there(self) -> None:
        """Count files as copied that are there and never change: same name, same content.

        Raises:
            OSError: If the storage does not answer.
        """
        stored = self._storage.read(layout.JOURNAL_FILE) or b""
        there = self._storage.sizes(layout.WEIGHTS_DIR)
        known = complete_weights(stored)
        there = {
            path: size
            for path, size in there.items()
            if path in known and is_file(self._folder.path / path, size, known[path])
        }
        same = {name for name in self.teachers if self._same_teacher(name)}
        for path, size in self._storage.sizes(TEACHERS_DIR).items():
            if path.split("/")[1] in same:
                there[path] = size
        for path, version in self._versions().items():
            if there.get(path) == version.size:
                self._copied[path] = version
        self._looked = True

    def _same_teacher(self, name: str) -> bool:
        """Return whether storage has the very teacher that we have: the card holds its hashes."""
        card = self._folder.teachers / name / CARD
        stored = self._storage.read(f"{TEACHERS_DIR}/{name}/{CARD}")
        return card.is_file() and card.read_bytes() == stored


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # it is not there, or not any more
        return []


def _version(file: Path) -> Version | None:
    try:
        state = file.stat()
    except OSError:
        return None
    return Version(state.st_size, state.st_mtime_ns)
