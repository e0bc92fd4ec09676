"""Keeps a copy of a sweep in durable storage while it runs.

The folder on the driver's own disk stays the working copy: the ledger needs appends and a lock,
which object stores do not have.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from analysis import format as text
from analysis import layout
from kdtasks.errors import UserError
from sweeps.folder import SETTINGS_FILE, SweepFolder
from sweeps.settings import read_settings, without_password
from sweeps.storage import Storage, cause
from sweeps.storage_lease import PERIOD_S, StorageLease
from sweeps.teacher_store import CARD, OUTPUTS, WEIGHTS

TEACHERS_DIR = "teachers"
"""Folder of a sweep in storage with its teachers, which lie in a common cache on disk."""

GROWING = (layout.JOURNAL_FILE, layout.LOG_FILE)
"""Files to which lines are appended at any moment."""

NAMED = 3
"""Files that are named when they did not get there."""

LAST_TRIES = 3
PAUSE_S = 2.0
"""Between the last tries [s]."""


def whole_lines(content: bytes) -> bytes:
    """Return what was written to the end of a line."""
    return content[: content.rfind(b"\n") + 1]


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
    """

    def __init__(
        self,
        storage: Storage,
        lease: StorageLease,
        folder: SweepFolder,
        note: Callable[[str], None],
    ) -> None:
        self.teachers: tuple[str, ...] = ()
        """Fingerprints of the teachers that the sweep can need."""
        self.lacking = ""
        """What did not get there in the end, for the user; empty if everything did."""
        self._storage = storage
        self._lease = lease
        self._folder = folder
        self._note = note
        self._copied: dict[str, Version] = {}
        self._problem = ""
        self._noted = False
        self._lost = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kdsweep-mirror", daemon=True)

    def start(self) -> None:
        """Copy from now on.

        Raises:
            OSError: If the storage does not answer.
        """
        self._skip_what_is_there()
        self._thread.start()

    def finish(self) -> None:
        """Copy the rest, let others drive the sweep, and say what did not get there."""
        self._end.set()
        self._thread.join()
        pause = threading.Event()
        for left in range(LAST_TRIES - 1, -1, -1):
            self.copy()
            if self._lost or not self._pending() or not left:
                break
            pause.wait(PAUSE_S)
        if self._lost:
            return
        self._describe_rest()
        try:
            self._lease.release()
        except OSError as error:
            self._fail(error)

    def _run(self) -> None:
        while not self._end.wait(PERIOD_S):
            self.copy()

    def copy(self) -> None:
        """Copy what has changed; what fails waits for the next time."""
        if self._lost or not self._still_driver():
            return
        versions = self._versions()
        if layout.JOURNAL_FILE not in versions:
            return  # nothing was tried yet: the name stays free
        try:
            # Read before weights and teachers are, written after them: what the ledger in storage
            # calls finished has its weights there.
            ledger = self._content(layout.JOURNAL_FILE, versions)
        except OSError as error:
            self._fail(error)
            return
        try:
            for path in versions:
                if path != layout.JOURNAL_FILE:
                    self._put(path, self._content(path, versions), versions[path])
        except (OSError, UserError) as error:
            self._fail(error)  # the next would hardly fare better; the ledger is worth a try
        try:
            self._put(layout.JOURNAL_FILE, ledger, versions[layout.JOURNAL_FILE])
        except OSError as error:
            self._fail(error)

    def _still_driver(self) -> bool:
        try:
            other = self._lease.renew()
        except OSError as error:
            self._fail(error)
            return True
        if other is None:
            return True
        self._lost = True
        self.lacking = (
            f"{self._storage.where} is another driver's now, {other.shown}: nothing of what this "
            f"one has done since is kept there; it is in {self._folder.path}"
        )
        self._note(f"{self.lacking}; this driver stops")
        if not self._end.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return False

    def _content(self, path: str, versions: Mapping[str, Version]) -> bytes | None:
        """Return what to copy; None if storage has it, or the sweep has removed it meanwhile."""
        if self._copied.get(path) == versions[path]:
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
        return whole_lines(content) if path in GROWING else content

    def _put(self, path: str, content: bytes | None, version: Version) -> None:
        if content is not None:
            self._storage.write(path, content)
            self._copied[path] = version

    def _fail(self, error: Exception) -> None:
        self._problem = cause(error)
        if not self._noted:
            self._noted = True
            self._note(
                f"copying to {self._storage.where} failed: {self._problem}; the sweep goes on, and "
                f"it is tried again every {PERIOD_S:.0f} s"
            )

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Yield what belongs into storage, by its path there; the ledger is not the first."""
        folder = self._folder
        yield layout.STUDY_FILE, folder.study
        yield SETTINGS_FILE, folder.path / SETTINGS_FILE
        for name in self.teachers:  # before the trials that were taught
            for part in (WEIGHTS, OUTPUTS, CARD):
                yield f"{TEACHERS_DIR}/{name}/{part}", folder.teachers / name / part
        for path in (folder.weights, folder.report):
            for file in sorted(path.iterdir()) if path.is_dir() else ():
                if not file.name.startswith("."):
                    yield f"{path.name}/{file.name}", file
        for name in GROWING:
            yield name, folder.path / name

    def _versions(self) -> dict[str, Version]:
        found = {}
        for path, file in self._files():
            try:
                state = file.stat()
            except OSError:
                continue
            found[path] = Version(state.st_size, state.st_mtime_ns)
        return found

    def _pending(self) -> list[str]:
        versions = self._versions()
        if layout.JOURNAL_FILE not in versions:
            return []
        # the log may tell of this very copy
        wanted = [path for path in versions if path != layout.LOG_FILE]
        return [path for path in wanted if self._copied.get(path) != versions[path]]

    def _describe_rest(self) -> None:
        if rest := self._pending():
            named = ", ".join(rest[-NAMED:]) + (", ..." if len(rest) > NAMED else "")
            self.lacking = (
                f"{text.plural(len(rest), 'file')} did not get to {self._storage.where} "
                f"({self._problem}): {named}; they are in {self._folder.path}, and kdsweep resume "
                f"{self._folder.name} copies them"
            )

    def _skip_what_is_there(self) -> None:
        """Count files that are never changed as copied if they are there with the same size."""
        there = {**self._storage.sizes(layout.WEIGHTS_DIR), **self._storage.sizes(TEACHERS_DIR)}
        for path, version in self._versions().items():
            if there.get(path) == version.size:
                self._copied[path] = version
