"""Trust in the code of a sweep: code named by a sweep of another user is not imported unasked.

A sweep names modules (its task, losses, data sources) and their folder;
resuming or exporting it imports them. So both are sealed with the user's key when the
sweep is started; if the seal is missing or invalid, the user must allow the import.
"""

import hashlib
import hmac
import json
import os
import secrets
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from analysis import layout
from kdtasks.contract.errors import ConfigError, DataError, UserError
from kdtasks.contract.source_code import OUR_PACKAGES
from kdtasks.data.reading import read_bytes
from search_spaces.study import Study, load_study
from sweeps.common.custom_code import named_modules
from sweeps.ledger.launch_settings import read_settings
from sweeps.ledger.paths import put_text

SEAL_FILE = "seal"
"""File in a sweep's folder: HMAC-SHA256 of what is imported, in hexadecimal digits."""

MOST_SEAL_BYTES = 1024

KEY_BYTES = 32
"""Length of a key [bytes]."""


def key_file() -> Path:
    """Return the path of the user's key: outside all homes, so that copies do not contain it."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "kdsweep" / "key"


def seal(folder: Path, study: Study) -> None:
    """Record that the user trusts the code that a sweep names; create a key if there is none.

    Raises:
        UserError: If the sweep's folder cannot be written.
    """
    modules = foreign_modules(study)
    if modules and (key := _made_key()):  # without a key, the user must confirm later
        put_text(folder / SEAL_FILE, _seal(key, modules, folder), mode=0o600)


def trust(folder: Path) -> None:
    """Record that the code named by the study in a sweep's folder may run.

    Raises:
        StudyError: If the study cannot be read.
        UserError: If the folder or the user's key cannot be written.
    """
    study = load_study(folder / layout.STUDY_FILE)
    if foreign_modules(study) and not _made_key():
        raise ConfigError(
            f"{key_file()} cannot be written or is damaged: remove it, or set another folder in "
            "XDG_STATE_HOME"
        )
    seal(folder, study)


def find_code(folder: Path, study: Study) -> None:
    """Add the folder of a sweep's code to the end of Python's path, after `check_trusted`."""
    check_trusted(folder, study)
    path = read_settings(folder).task_path
    if path not in ("", *sys.path):
        sys.path.append(path)


def check_trusted(folder: Path, study: Study) -> None:
    """Check that the user has started a sweep or trusts its code.

    Raises:
        ConfigError: Naming the code and its folder; none of it has been imported.
    """
    modules = foreign_modules(study)
    if not modules or _is_sealed(folder, modules):
        return
    where = read_settings(folder).task_path
    raise ConfigError(
        f"{folder} was not started by you here, and runs code that it names: "
        f"{', '.join(modules)}{f' in {where}' if where else ''}; review that code, and add --trust "
        "if it may run"
    )


def foreign_modules(study: Study) -> list[str]:
    """Return the modules that a study names and that are not ours."""
    return sorted(
        name for name in named_modules(study) if name.partition(".")[0] not in OUR_PACKAGES
    )


def _is_sealed(folder: Path, modules: Sequence[str]) -> bool:
    try:
        known = read_bytes(folder / SEAL_FILE, MOST_SEAL_BYTES)
    except DataError:
        return False
    key = _key()
    return bool(key) and hmac.compare_digest(known, _seal(key, modules, folder).encode())


def _seal(key: bytes, modules: Sequence[str], folder: Path) -> str:
    content = json.dumps([list(modules), read_settings(folder).task_path])
    return hmac.new(key, content.encode(), hashlib.sha256).hexdigest()


def _key() -> bytes:
    """Return the user's key; empty if it is missing or damaged."""
    with suppress(OSError, ValueError):
        key = bytes.fromhex(key_file().read_text())
        return key if len(key) == KEY_BYTES else b""
    return b""


def _made_key() -> bytes:
    """Return the user's key, created if missing; empty if it cannot be written."""
    path = key_file()
    with suppress(OSError, UserError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            put_text(path, secrets.token_hex(KEY_BYTES), mode=0o600)
    return _key()
