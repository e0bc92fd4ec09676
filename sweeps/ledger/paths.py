"""Paths in a sweep's folder, and its creation after checks."""

import os
import re
import shlex
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

from safetensors import SafetensorError

from analysis import layout
from kdtasks.contract.errors import ConfigError, UserError
from sweeps.ledger.sqlite_file import sqlite_uri

MIN_FREE_BYTES = 1 << 30
"""The default study writes tens of megabytes; Ray's object store may spill more."""

SETTINGS_FILE = "sweep.json"
"""File with the settings of `sweeps.ledger.launch_settings`."""

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""Valid names of sweeps, as for studies, whose name is the default. Folders may be
renamed to anything that the file system allows."""

RESERVED = ("cache", "artifacts")
"""Folders of a home that are not sweeps."""


class SweepFolder:
    """Paths of one sweep, whose name is that of its folder.

    Attributes:
        journal: The Optuna journal.
        log: The event log.
        study: The resolved study.
        weights: Folder of the trials' weights.
        results: All runs as Parquet.
        report: Folder of the report.
        scratch: Ray Tune's files while it runs; removed afterwards.
        scenarios: Cache of scenarios, shared by all sweeps of this home.
        teachers: Cache of teachers, shared by all sweeps of this home.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.journal = path / layout.JOURNAL_FILE
        self.log = path / layout.LOG_FILE
        self.study = path / layout.STUDY_FILE
        self.weights = path / layout.WEIGHTS_DIR
        self.results = path / layout.RESULTS_FILE
        self.report = path / layout.REPORT_DIR
        self.scratch = path / ".tune"
        self.scenarios = path.parent / "cache" / "scenarios"
        self.teachers = path.parent / "cache" / "teachers"

    @property
    def tracking_uri(self) -> str:
        """MLflow's database in this folder."""
        return sqlite_uri(self.path / layout.MLFLOW_FILE)


def check_new(home: Path, name: str) -> SweepFolder:
    """Return the folder of a new sweep, after checking that it can be created.

    Raises:
        UserError: If the name is taken or invalid, or home is not writable or nearly full.
    """
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ConfigError(
            f"--name {name!r} cannot name a sweep; use small letters and digits, with single "
            f"dashes between them, and none of {', '.join(RESERVED)}"
        )
    folder = SweepFolder(home.resolve() / name)
    try:
        str(folder.path).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"--home {home}: SQLite needs a path in UTF-8; rename it") from error
    if folder.path.exists():
        raise ConfigError(f"{folder.path} exists already; choose another --name or remove it")
    check_room(nearest(home))
    return folder


def nearest(home: Path) -> Path:
    """Return a home, or its nearest parent that exists.

    Raises:
        UserError: If that is a file, or cannot be accessed.
    """
    place = home.resolve()
    try:
        while not place.exists():
            place = place.parent
    except OSError as error:
        raise UserError(f"{home}: {error.strerror}; choose another --home") from error
    if not place.is_dir():
        raise UserError(f"{home} cannot be created: {place} is a file; choose another --home")
    return place


def check_room(home: Path) -> None:
    """Check that a home is writable and has enough free space.

    Raises:
        UserError: If it is not writable or nearly full.
    """
    if not os.access(home, os.W_OK | os.X_OK):
        raise UserError(f"{home} is not writable; choose another --home")
    free = shutil.disk_usage(home).free
    if free < MIN_FREE_BYTES:
        raise UserError(
            f"{home} has {free >> 20} MiB free, a sweep needs {MIN_FREE_BYTES >> 20} MiB; "
            "free some or choose another --home"
        )


def create(
    folder: SweepFolder, study_text: str, private: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Create the folder with the study in it, atomically; only the owner can read ``private``.

    Raises:
        UserError: If another process created it meanwhile, or it cannot be created.
    """
    partial = SweepFolder(folder.path.with_name(f".{folder.name}.{os.getpid()}.part"))
    try:
        make_home(folder.path.parent)
        partial.path.mkdir()
        partial.weights.mkdir()
        for name, text in private.items():
            (partial.path / name).touch(mode=0o600)
            (partial.path / name).write_text(text, encoding="utf-8")
        partial.study.write_text(study_text, encoding="utf-8")
        create_missing(partial)
        partial.path.rename(folder.path)
    except OSError as error:
        shutil.rmtree(partial.path, ignore_errors=True)
        if folder.path.exists():
            raise ConfigError(f"{folder.path} exists already; choose another --name") from error
        why = error.strerror or str(error)
        raise UserError(
            f"{folder.path} cannot be created: {why}; free some space or choose another --home"
        ) from error


def make_home(home: Path) -> None:
    """Create a home that only its user can enter; an existing one keeps its mode."""
    if not home.exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)


def open_to_all(home: Path) -> Iterator[str]:
    """Yield a warning if all users of the machine can write to a home."""
    if home.stat().st_mode & stat.S_IWOTH:
        yield (
            f"{home} is writable by all users: they can add or replace sweeps and teachers; "
            f"chmod o-w {shlex.quote(str(home))}, or choose another --home"
        )


def create_missing(folder: SweepFolder) -> None:
    """Create the folders in which a sweep's workers write."""
    for path in (folder.weights, folder.scenarios, folder.teachers):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder; when it is complete it becomes ``path``, unless that exists by then.

    Unlike those of ``tempfile`` its permissions follow the umask.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}")
    partial.mkdir(parents=True)
    try:
        yield partial
        if not path.exists():
            partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it replaces ``path`` only if no error is raised."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of writing ``path`` inside into a user error.

    Raises:
        UserError: If it cannot be written.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{path} cannot be written to: {why}; what was finished is kept: fix that, then run "
            "kdsweep resume"
        ) from error


def put_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a small file of a sweep atomically.

    Raises:
        UserError: If it cannot be written.
    """
    with writing(path), atomic_file(path) as partial:
        partial.touch(mode=mode)
        partial.write_text(text, encoding="utf-8")
