"""Restores a sweep from durable storage on a machine that lacks it or has less of it."""

import hashlib
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis import layout
from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.data.reading import MOST_LOG_BYTES, checked_inside, read_bytes
from sweeps.common.clock import SystemClock
from sweeps.common.interrupts import Interrupts
from sweeps.ledger.journal import whole_lines
from sweeps.ledger.paths import (
    SETTINGS_FILE,
    SweepFolder,
    atomic_file,
    atomic_folder,
    check_room,
    make_home,
    writing,
)
from sweeps.ledger.teacher_cache import CARD, check_entry
from sweeps.ledger.trust import SEAL_FILE
from sweeps.mirror.mirror import (
    HURRIED_S,
    PATIENCE_S,
    TEACHERS_DIR,
    Mirror,
    complete_weights,
    continues,
    is_file,
)
from sweeps.mirror.storage import Storage, open_storage, reached
from sweeps.mirror.storage_lock import StorageLease


def check_unknown(uri: str, name: str) -> None:
    """Check that a new sweep can be stored under a name.

    Raises:
        UserError: If there is one of that name, or the storage cannot be reached.
    """
    storage = open_storage(uri, name)
    with reached(storage):
        known = storage.read(layout.JOURNAL_FILE)
    if known is not None:
        raise ConfigError(
            f"{storage.where} already has a sweep {name}; kdsweep resume {shlex.quote(name)} "
            "--storage ... resumes it, another --name starts a new one"
        )


def fetch_missing(home: Path, name: str, uri: str) -> None:
    """Fetch a sweep from storage if it is not in a home.

    Raises:
        UserError: If it is not in storage either, has a driver, or the disk is full.
    """
    folder = SweepFolder(home.resolve() / name)
    if folder.study.is_file():
        return
    storage = open_storage(uri, name)
    StorageLease(storage, SystemClock()).check_free()
    with reached(storage):
        journal = storage.read(layout.JOURNAL_FILE)
        if journal is None:
            raise ConfigError(
                f"no sweep {name!r} in {home}, nor in {storage.where}; check name and --storage"
            )
        make_home(home)
        check_room(home)
        folder.path.mkdir(exist_ok=True)
        _download(storage, folder, whole_lines(journal))


def catch_up(storage: Storage, folder: SweepFolder) -> str:
    """Update the folder of this driver's sweep from storage; return a message or ''.

    Raises:
        OSError: If the storage does not answer.
        UserError: If folder and storage have different trials.
    """
    stored = storage.read(layout.JOURNAL_FILE)
    if stored is None:
        return ""
    local = _journal_of(folder)
    journal = longer(local, stored)
    if journal is None:
        raise ConfigError(
            f"{folder.journal} and the one in {storage.where} each have trials that the other "
            f"lacks; choose one: move {folder.path} away to continue the stored sweep, or give "
            "another --storage"
        )
    if len(journal) <= len(whole_lines(local)):
        return ""
    _download(storage, folder, journal)
    return f"{storage.where} was ahead of {folder.path}; the newer trials were fetched"


def longer(local: bytes, stored: bytes) -> bytes | None:
    """Return the complete lines of the journal that continues the other; None if neither does."""
    if continues(local, stored):
        return whole_lines(local)
    return whole_lines(stored) if continues(stored, local) else None


def _download(storage: Storage, folder: SweepFolder, journal: bytes) -> None:
    """Fetch a sweep, its ledger last: an interrupted download starts again."""
    local = _journal_of(folder)
    kept, wanted = complete_weights(local), complete_weights(journal)
    for part in (layout.WEIGHTS_DIR, layout.REPORT_DIR):
        (folder.path / part).mkdir(exist_ok=True)
        for path, size in storage.sizes(part).items():
            file = checked_inside(folder.path, folder.path / path)
            # another trial of the same number has weights of the same size
            if path not in kept or not is_file(file, size, kept[path]):
                _place(_unchanged(storage, path, wanted.get(path, "")), file)
    _fetch_teachers(storage, folder)
    if not (folder.path / SETTINGS_FILE).is_file():
        _place(storage.read(SETTINGS_FILE), folder.path / SETTINGS_FILE, mode=0o600)
        _place(storage.read(SEAL_FILE), folder.path / SEAL_FILE, mode=0o600)
    _place(storage.read(layout.RESULTS_FILE), folder.results)
    _place(storage.read(layout.LOG_FILE), folder.path / layout.LOG_FILE)
    _place(storage.read(layout.STUDY_FILE), folder.study)
    _place(journal, folder.journal)


def _unchanged(storage: Storage, path: str, sha256: str) -> bytes | None:
    content = storage.read(path)
    if content is not None and sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(
            f"{storage.where}/{path} is not what was written: its SHA-256 differs from the "
            "ledger's; restore it there from a copy"
        )
    return content


def _journal_of(folder: SweepFolder) -> bytes:
    here = folder.journal.is_file()
    return read_bytes(folder.journal, MOST_LOG_BYTES) if here else b""


def _place(content: bytes | None, file: Path, mode: int = 0o644) -> None:
    if content is None:
        return  # removed in the meantime
    with writing(file), atomic_file(file) as partial:
        partial.touch(mode=mode)
        partial.write_bytes(content)


def _fetch_teachers(storage: Storage, folder: SweepFolder) -> None:
    """Fetch teachers: retrained on another machine, they may differ in the last digits."""
    folder.teachers.mkdir(parents=True, exist_ok=True)
    there = storage.sizes(TEACHERS_DIR)
    for path in there:
        name = path.split("/")[1]
        if not path.endswith(f"/{CARD}") or (folder.teachers / name).exists():
            continue
        try:
            with atomic_folder(folder.teachers / name) as partial:
                for part in there:
                    if part.startswith(f"{TEACHERS_DIR}/{name}/"):
                        _place(storage.read(part), partial / Path(part).name)
                check_entry(partial, name)
        except DataError as error:
            raise DataError(
                f"{storage.where}/{TEACHERS_DIR}/{name} is damaged: its files are not what its "
                "card describes; remove it there, and it is trained again"
            ) from error


@contextmanager
def kept(
    uri: str | None, folder: SweepFolder, note: Callable[[str], None], interrupts: Interrupts
) -> Iterator[Mirror | None]:
    """Copy the sweep of this driver to storage while it runs inside; yield its `Mirror`.

    None without storage. After a request of the user to stop, a storage that does not answer is
    given less time.

    Raises:
        UserError: If the sweep has another driver, folder and storage have different trials, or
            the storage cannot be reached.
    """
    if uri is None:
        yield None
        return
    storage = open_storage(uri, folder.name)
    lease = StorageLease(storage, SystemClock())
    lease.check_free()
    mirror = Mirror(storage, lease, folder, note, interrupts)
    with reached(storage):
        fetched = catch_up(storage, folder)
        lease.take()
    if fetched:
        note(fetched)
    mirror.start()
    try:
        yield mirror
    except BaseException as error:
        hurried = isinstance(error, KeyboardInterrupt) or interrupts.requested()
        mirror.finish(HURRIED_S if hurried else PATIENCE_S)
        mirror.notify(mirror.lacking)
        raise
    mirror.finish(HURRIED_S if interrupts.requested() else PATIENCE_S)
