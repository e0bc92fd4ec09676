"""Settings with which a sweep was started, besides its study; stored in the sweep's folder."""

import json
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.data.reading import damage_named, read_json
from sweeps.common.capacity import ResourceRequest
from sweeps.common.file_types import check_types
from sweeps.common.secrets import has_secret, redacted
from sweeps.ledger.paths import SETTINGS_FILE, put_text
from sweeps.ledger.sqlite_file import sqlite_path, sqlite_uri

FIX = "remove it, and name the server with --tracking-uri if the sweep's runs are not in its folder"
"""How to fix settings that cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepSettings:
    """The settings of a sweep.

    Attributes:
        id: Identifies its run in MLflow among sweeps of the same name; empty for sweeps
            of versions that had none.
        tracking_uri: Where MLflow keeps its runs; None for the database in its folder.
        task_path: Folder of the user's code, if the study names some.
        storage: URI of the sweep's copy in storage; None if there is none.
        folder: The sweep's folder when it last ran; it may have been moved or copied since.
    """

    id: str = ""
    tracking_uri: str | None = None
    request: ResourceRequest = field(default_factory=ResourceRequest)
    task_path: str = ""
    storage: str | None = None
    folder: str = ""

    @property
    def text(self) -> str:
        """The settings as JSON."""
        found = {
            "seats" if name == "request" else name: value for name, value in asdict(self).items()
        }
        return json.dumps(found, indent=1)


def settled_uri(tracking_uri: str | None) -> str | None:
    """Make an address independent of the working directory.

    Raises:
        ConfigError: If it is not an address, or holds a password or token: it is shown, logged and
            stored.
    """
    if tracking_uri is None:
        return None
    if (database := sqlite_path(tracking_uri)) is not None:
        _, mark, options = tracking_uri.partition("?")
        return f"{sqlite_uri(database.expanduser().resolve())}{mark}{options}"
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/|databricks", tracking_uri):
        raise ConfigError(
            f"--tracking-uri {tracking_uri} is no address; write http://host:port for a server, "
            "sqlite:///path/runs.db for a database in a file"
        )
    if has_secret(tracking_uri):
        raise ConfigError(
            f"--tracking-uri {redacted(tracking_uri)}: the address holds a password or token; give "
            "it without, and the password in the environment: MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD for a server, PGPASSWORD for PostgreSQL; MySQL reads a file "
            "that ?read_default_file= names"
        )
    return tracking_uri


def without_password(settings: SweepSettings) -> SweepSettings:
    """Return the settings without an address that holds a password, for others to read."""
    if settings.tracking_uri is None or not has_secret(settings.tracking_uri):
        return settings
    return replace(settings, tracking_uri=None)


def write_settings(folder: Path, settings: SweepSettings) -> None:
    """Write the settings of a sweep, readable by their owner only: an address may hold a key.

    Raises:
        UserError: If they cannot be written.
    """
    put_text(folder / SETTINGS_FILE, settings.text, mode=0o600)


def read_settings(folder: Path) -> SweepSettings:
    """Return the settings of a sweep; the defaults if it has none.

    Raises:
        DataError: If the file is damaged.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return SweepSettings()
    with damage_named(path, FIX):
        found = read_json(path, FIX)
        request = ResourceRequest(**found.pop("seats"))
        settings = SweepSettings(**found, request=request)
        check_types(SweepSettings, asdict(settings))
        return replace(settings, tracking_uri=_moved_along(settings, folder))


def _moved_along(settings: SweepSettings, folder: Path) -> str | None:
    """Return the address of the runs; a database inside a home moves with it."""
    uri, home = settings.tracking_uri, Path(settings.folder).parent
    database = None if uri is None else sqlite_path(uri)
    if database is None or not settings.folder or not database.is_relative_to(home):
        return uri
    return sqlite_uri(folder.absolute().parent / database.relative_to(home))


def followed(settings: SweepSettings, folder: Path) -> SweepSettings:
    """Return the settings for a sweep that resumes in ``folder``.

    A copied folder is a separate sweep. If original and copy use the same MLflow, the copy
    gets a new identifier, so that it does not write into the original's runs.
    """
    before, known = Path(settings.folder or folder), settings.id
    shared = settings.tracking_uri is not None and before.is_dir() and not before.samefile(folder)
    if shared and _id_in(before) == known:
        known = uuid4().hex
    return replace(settings, folder=str(folder), id=known)


def _id_in(folder: Path) -> str:
    try:
        return read_settings(folder).id
    except DataError:
        return ""
