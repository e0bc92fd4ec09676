"""Protection of a sweep's Ray from other users of the machine: its folder, its token and its logs.

The folder is private, has a short path and is removed at the end. Ray's default, ``/tmp/ray``, is
open to all users of a machine, who could replace a socket there. Programs that search for a running
Ray search there, too.
"""

import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from kdtasks.contract.errors import UserError

PREFIX = "kdsweep-ray-"
"""Prefix of these folders, which identifies a sweep's own Ray."""
RAY = "r"
"""Ray's subfolder, which Ray makes accessible to everybody, unlike the folder around it."""
SOCKET = f"/{RAY}/session_2026-11-29_01-11-39_960315_1234567/sockets/plasma_store"
"""The longest path of a socket in such a folder, by Ray's pattern."""
LONGEST_SOCKET = 107
"""Longest path of a socket [bytes]."""
RANDOM = 8
"""Characters that ``tempfile`` appends to a name."""
YOUNG_S = 60.0
"""A folder younger than this may not be locked yet [s]."""
TRIES, PAUSE_S = 20, 0.1
"""Attempts to remove a folder into which ending processes still write, and the pause [s]."""


@contextmanager
def ray_folder() -> Iterator[Path]:
    """Yield a folder with mode 0700, and remove it at the end, at the latest at exit.

    Folders of killed drivers are removed as well: a file lock shows which drivers are alive.

    Raises:
        UserError: If no candidate is writable with a short enough path.
    """
    places = _places()
    for place in places:
        remove_abandoned(place)
    if not places:
        raise UserError(
            f"TMPDIR is {tempfile.gettempdir()}: Ray needs a folder that is writable and whose "
            f"path has at most {_room()} ASCII letters, for its sockets; export TMPDIR=/tmp"
        )
    with tempfile.TemporaryDirectory(
        prefix=PREFIX, dir=places[0], ignore_cleanup_errors=True
    ) as name:
        number = _locked(Path(name))
        try:
            yield Path(name)
        finally:
            _remove(Path(name))
            if number is not None:
                os.close(number)


def started_by_kdsweep(command: str) -> bool:
    """Return whether a Ray process with this command line belongs to a sweep's own Ray."""
    return f"/{PREFIX}" in command


def remove_abandoned(place: Path) -> None:
    """Remove the folders of this user's dead drivers."""
    for folder in place.glob(f"{PREFIX}*"):
        try:
            state = folder.lstat()
        except OSError:  # its driver has just removed it
            continue
        if state.st_uid != os.getuid() or time.time() - state.st_mtime < YOUNG_S:
            continue
        number = _locked(folder)
        if number is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(number)


def _locked(folder: Path) -> int | None:
    """Return a descriptor that holds the lock of a folder; None if it is locked or gone."""
    try:
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(number)
        return None
    return number


def _remove(folder: Path) -> None:
    for _ in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(PAUSE_S)


def _room() -> int:
    return LONGEST_SOCKET - len(f"{SOCKET}/{PREFIX}") - RANDOM


def _places() -> list[Path]:
    """Return the possible parents of such a folder, the best first."""
    paths = (os.environ.get("RAY_TMPDIR"), tempfile.gettempdir(), "/tmp", "/var/tmp")  # noqa: S108
    folders = dict.fromkeys(os.path.abspath(folder) for folder in paths if folder)  # noqa: PTH100
    return [
        Path(folder)
        for folder in folders
        if folder.isascii() and len(folder) <= _room() and os.access(folder, os.W_OK | os.X_OK)
    ]


MODE = "RAY_AUTH_MODE"
HARMLESS = ("RAY_", "TRAIN_", "TUNE_")
"""Prefixes of variables that Tune may pass to workers; Ray logs their values."""


def token_file(environment: Mapping[str, str]) -> Path | None:
    """Return the file with Ray's token; None if the token is in a variable."""
    if environment.get("RAY_AUTH_TOKEN"):
        return None
    return Path(environment.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def keep_token_private() -> None:
    """Create Ray's token file readable by its owner only; Ray would let everybody read it."""
    file = token_file(os.environ)
    if file is None:
        return
    with suppress(OSError):  # without a writable home Ray reports the problem
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "w") as stream:
                stream.write(secrets.token_hex(32))
        elif file.stat().st_mode & 0o077 and file.stat().st_uid == os.getuid():
            file.chmod(0o600)


def dangers(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each variable that lets others into the Ray of a sweep."""
    mode = environment.get(MODE)
    if mode is not None and mode.lower() != "token":
        yield (
            f"{MODE}={mode} switches Ray's token authentication off: anyone who reaches its ports "
            f"can run code as you; unset {MODE}"
        )


def harmless(names: set[str]) -> set[str]:
    """Return the variables that Tune may pass to workers: no cloud credentials.

    Workers on this machine inherit those anyway; on a cluster they are set on its machines.
    """
    return {name for name in names if name.startswith(HARMLESS)}
