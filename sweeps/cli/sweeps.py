"""The sweeps of a home, for commands; needs no Ray and torch."""

import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from analysis import layout
from kdtasks.contract.errors import ConfigError, UserError
from sweeps.common.secrets import redacted
from sweeps.ledger.sqlite_file import artifacts_beside, sqlite_path, sqlite_uri

UI_PORTS = range(5000, 5020)
"""Ports that `kdsweep ui` tries by default."""

CACHE = "cache"
"""Folder of cached scenarios and teachers, beside the sweeps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepLine:
    """One sweep of a home, with finished and failed trials.

    Its state is ``reported``, ``no report yet`` (it runs, or was stopped), or what is wrong.
    """

    name: str
    study: str
    complete: int
    failed: int
    state: str


def sweep_names(home: Path) -> list[str]:
    """Return the sorted names of the sweeps in a home, which may be missing."""
    if not home.is_dir():
        return []
    names = [path.name for path in home.iterdir()]
    folders = [home / name for name in names if name != CACHE and not name.startswith(".")]
    return sorted(folder.name for folder in folders if (folder / layout.STUDY_FILE).is_file())


def free_name(home: Path, study: str) -> str:
    """Return the study's name, with suffix -2, -3, ... if a sweep has it already."""
    name, number = study, 1
    while (home / name).exists():
        number += 1
        name = f"{study}-{number}"
    return name


def find_sweep(home: Path, name: str) -> Path:
    """Return the folder of a sweep.

    Raises:
        ConfigError: If there is none; the message lists the sweeps.
    """
    names = sweep_names(home)
    if name in names:
        return home.resolve() / name
    there = f"there are {', '.join(names)}" if names else "it has no sweeps; check --home"
    raise ConfigError(f"no sweep {name!r} in {home}; {there}")


def find_to_import(home: Path, name: str, *, trust: bool) -> Path:
    """Return the folder of a sweep whose code will be imported; record if the user trusts it.

    Raises:
        ConfigError: As `find_sweep`.
    """
    folder = find_sweep(home, name)
    if trust:
        from sweeps.ledger.trust import trust as note

        note(folder)
    return folder


def database_uri(folder: Path, tracking_uri: str | None) -> str:
    """Return MLflow's address of a sweep's runs.

    Raises:
        ConfigError: If they are on an unnamed server, or an address holds a password.
    """
    tracking_uri = known_uri(folder, tracking_uri)
    if tracking_uri is not None:
        return tracking_uri
    database = folder / layout.MLFLOW_FILE
    if not database.is_file():
        raise ConfigError(
            f"{database} does not exist: the sweep's runs are on the server with which it ran; "
            "name it with --tracking-uri"
        )
    return sqlite_uri(database)


def known_uri(folder: Path, tracking_uri: str | None) -> str | None:
    """Return the address of the server with a sweep's runs; None for a file in its folder.

    Raises:
        ConfigError: If the given address holds a password.
    """
    from sweeps.ledger.launch_settings import read_settings, settled_uri

    return settled_uri(tracking_uri) or read_settings(folder).tracking_uri


def sweep_lines(home: Path) -> Iterator[SweepLine]:
    """Yield a line per sweep of a home, also for damaged ones."""
    from search_spaces.errors import StudyError
    from sweeps.ledger.ledger import Ledger
    from sweeps.ledger.totals import counts

    for name in sweep_names(home):
        study, complete, failed = "", 0, 0
        try:
            ledger = Ledger.open(home / name / layout.JOURNAL_FILE)
            study, tally = ledger.study.name, counts(ledger.trials())
            complete, failed = tally["trials_complete"], tally["trials_failed"]
            reported = (home / name / layout.REPORT_DIR / layout.REPORT_FILE).is_file()
            state = "reported" if reported else "no report yet"
        except (UserError, StudyError) as error:
            state = str(error)
        yield SweepLine(name=name, study=study, complete=complete, failed=failed, state=state)


def free_port(port: int | None) -> int:
    """Return a free port of the loopback interface: ``port``, or the first free of ``UI_PORTS``.

    Raises:
        ConfigError: If it is taken or invalid.
    """
    if port is not None and not 1 <= port <= 65535:
        raise ConfigError(f"--port must lie in [1, 65535], got {port}")
    for candidate in UI_PORTS if port is None else [port]:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # like servers: a port with closing connections counts as free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return candidate
    taken = f"port {port} is taken" if port else f"ports {UI_PORTS[0]} to {UI_PORTS[-1]} are taken"
    raise ConfigError(f"{taken}; choose another --port")


def prepare_ui(folder: Path) -> None:
    """Check that MLflow's UI can be served for a sweep, and update addresses of moved files.

    Raises:
        UserError: If the runs are on a server, which has its own UI, or cannot be written.
    """
    from sweeps.tracking.database_file import follow

    uri = database_uri(folder, None)
    if uri.startswith(("http://", "https://", "databricks")):
        raise ConfigError(
            f"the runs of {folder.name} are on a server of their own: {redacted(uri)}"
        )
    database = sqlite_path(uri)
    if database is not None and not os.access(database.parent, os.W_OK | os.X_OK):
        raise ConfigError(
            f"{database.parent} is not writable, and MLflow's UI needs a database that it can "
            "write to; copy the sweep to a writable place and give that with --home"
        )
    follow(uri)


def ui_command(folder: Path, port: int) -> list[str]:
    """Return the command that serves MLflow's UI for a sweep, on loopback only."""
    from sweeps.tracking import ui_server

    uri = database_uri(folder, None)
    database = sqlite_path(uri)
    root = (folder / "artifacts").as_uri() if database is None else artifacts_beside(database)
    return [sys.executable, "-P", "-m", ui_server.__name__, uri, root, str(port)]


def view_lines(folder: Path, address: str) -> Iterator[str]:
    """Yield a line per view of a sweep in MLflow's UI."""
    path = folder / layout.VIEWS_FILE
    if path.is_file():
        from kdtasks.data.reading import damage_named, read_json

        with damage_named(path, "remove it; kdsweep resume writes it again"):
            for title, fragment in read_json(path):
                yield f"  {title}: {address}{fragment}"


def serve_ui(folder: Path, port: int, token: str) -> NoReturn:
    """Replace this process by MLflow's server for a sweep, until Ctrl-C."""
    from sweeps.tracking.ui_server import TOKEN

    os.environ[TOKEN] = token
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # no background jobs, which start a dozen unused processes
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # deprecations inside MLflow
    os.environ["PYTHONSAFEPATH"] = "1"  # gives the server's child processes the effect of -P
    command = ui_command(folder, port)
    os.execv(command[0], command)  # noqa: S606 - no shell and no user input
