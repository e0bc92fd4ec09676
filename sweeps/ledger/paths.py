"""A sweep's folder: where each file is, and what must hold before one is made."""

import os
import re
import shlex
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

from analysis import layout
from analysis.sqlite_file import sqlite_uri
from kdtasks.contract.errors import ConfigError, UserError

MIN_FREE_BYTES = 1 << 30
"""A sweep of the default study writes tens of megabytes; Ray's object store may spill more."""

SETTINGS_FILE = "sweep.json"
"""How a sweep was started, beside its study."""

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""What a sweep may be called: as a study, for its name is a study's by default. A folder may be
renamed to whatever its file system allows."""

RESERVED = ("cache", "artifacts")
"""Folders of a home that are no sweeps."""


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """Paths of one sweep.

    Attributes:
        path: The sweep's folder; its name is the sweep's name.
    """

    path: Path

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return self.path.name

    @property
    def journal(self) -> Path:
        """The Optuna journal."""
        return self.path / layout.JOURNAL_FILE

    @property
    def log(self) -> Path:
        """What happened and when."""
        return self.path / layout.LOG_FILE

    @property
    def study(self) -> Path:
        """The study as it was resolved."""
        return self.path / layout.STUDY_FILE

    @property
    def weights(self) -> Path:
        """Folder of the trials' weights."""
        return self.path / layout.WEIGHTS_DIR

    @property
    def views(self) -> Path:
        """Addresses of the ready-made views in MLflow's UI."""
        return self.path / layout.VIEWS_FILE

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.path / layout.REPORT_DIR

    @property
    def shared_artifacts(self) -> Path:
        """Root of MLflow's artifacts when several sweeps share a database server."""
        return self.path.parent / "artifacts"

    @property
    def scratch(self) -> Path:
        """What Ray Tune writes while it runs; removed afterwards."""
        return self.path / ".tune"

    @property
    def scenarios(self) -> Path:
        """Cache of scenarios, shared by all sweeps of this home."""
        return self.path.parent / "cache" / "scenarios"

    @property
    def teachers(self) -> Path:
        """Cache of teachers, shared by all sweeps of this home."""
        return self.path.parent / "cache" / "teachers"

    @property
    def tracking_uri(self) -> str:
        """MLflow's database in this folder."""
        return sqlite_uri(self.path / layout.MLFLOW_FILE)


def check_new(home: Path, name: str) -> SweepFolder:
    """Return the folder of a sweep that does not exist yet, after checking that it can be made.

    Raises:
        UserError: If the name is taken or no folder name, or home is not writable or nearly full.
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
        raise ConfigError(
            f"--home {home}: a database cannot be named by bytes that are no UTF-8; rename it"
        ) from error
    if folder.path.exists():
        raise ConfigError(f"{folder.path} exists already; choose another --name or remove it")
    check_room(nearest(home))
    return folder


def nearest(home: Path) -> Path:
    """Return a home, or the folder above it that is there.

    Raises:
        UserError: If a file is in the way, or may not be looked at.
    """
    place = home.resolve()
    try:
        while not place.exists():
            place = place.parent
    except OSError as error:
        raise UserError(f"{home}: {error.strerror}; choose another --home") from error
    if not place.is_dir():
        raise UserError(f"{home} cannot be made: {place} is a file; choose another --home")
    return place


def check_room(home: Path) -> None:
    """Check that a sweep can write to a home.

    Raises:
        UserError: If it is not writable or nearly full.
    """
    if not os.access(home, os.W_OK | os.X_OK):
        raise UserError(f"{home} is not writable; choose another --home")
    free = shutil.disk_usage(home).free
    if free < MIN_FREE_BYTES:
        raise UserError(
            f"{home} has {free >> 20} MiB free, a sweep wants {MIN_FREE_BYTES >> 20} MiB; "
            "free some or choose another --home"
        )


def create(
    folder: SweepFolder, study_text: str, private: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Make the folder with the study in it; it is there whole or not at all.

    Args:
        folder: Where.
        study_text: The study.
        private: Texts that only the owner can read, by file name.

    Raises:
        UserError: If another process made the folder meanwhile, or it cannot be made.
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
            f"{folder.path} cannot be made: {why}; free some room or choose another --home"
        ) from error


def make_home(home: Path) -> None:
    """Make a home that its user alone can enter; one that is there keeps its mode, for groups."""
    if not home.exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)


def open_to_all(home: Path) -> Iterator[str]:
    """Say that all users of the machine may write into a home, if so."""
    if home.stat().st_mode & stat.S_IWOTH:
        yield (
            f"{home} is writable by all users: they can add or replace sweeps and teachers; "
            f"chmod o-w {shlex.quote(str(home))}, or choose another --home"
        )


def create_missing(folder: SweepFolder) -> None:
    """Make the folders in which a sweep's workers write."""
    for path in (folder.weights, folder.scenarios, folder.teachers):
        path.mkdir(parents=True, exist_ok=True)


def new_beside(folder: Path) -> Path:
    """Make and return a hidden folder that is to take the place of another one when it is whole.

    Unlike those of ``tempfile`` it may be read by whoever the umask lets read.
    """
    partial = folder.with_name(f".{folder.name}.{uuid4().hex}")
    partial.mkdir()
    return partial


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; it takes its place only if all goes well."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write a file of a sweep inside.

    Raises:
        UserError: If it cannot be written.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(
            f"{path} cannot be written to: {why}; kdsweep resume goes on once it can be"
        ) from error


def put_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a small file of a sweep, whole or not at all.

    Raises:
        UserError: If it cannot be written.
    """
    with writing(path), atomic_file(path) as partial:
        partial.touch(mode=mode)
        partial.write_text(text, encoding="utf-8")
