"""Whose code a sweep runs: what a sweep of somebody else's names is not imported unasked.

A sweep names modules (its task, losses, sources of data) and the folder in which they lie, and
whoever resumes or exports it imports them. So both are sealed with a key of the user's when the
sweep is started; where the seal is missing or another one, the user is asked first.
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
"""In a sweep's folder: HMAC-SHA256 of what is imported, in hexadecimal digits."""

MOST_SEAL_BYTES = 1024

KEY_BYTES = 32
"""Length of a key [bytes]."""


def key_file() -> Path:
    """Return where the user's key is: outside all homes, so that no copy of one has it."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "kdsweep" / "key"


def seal(folder: Path, study: Study) -> None:
    """Note that the user trusts the code that a sweep names; a key is made if there is none.

    Raises:
        UserError: If the sweep's folder cannot be written.
    """
    modules = foreign_modules(study)
    if modules and (key := _made_key()):  # without a key, the user is asked later
        put_text(folder / SEAL_FILE, _seal(key, modules, folder), mode=0o600)


def trust(folder: Path) -> None:
    """Note that the code that the study in a sweep's folder names may run.

    Raises:
        StudyError: If the study cannot be read.
        UserError: If the folder cannot be written, or the user has no key that can be kept.
    """
    study = load_study(folder / layout.STUDY_FILE)
    if foreign_modules(study) and not _made_key():
        raise ConfigError(
            f"{key_file()} cannot be kept or is damaged: remove it, or name another folder by "
            "XDG_STATE_HOME"
        )
    seal(folder, study)


def find_code(folder: Path, study: Study) -> None:
    """Let Python find the code that the study of a sweep names, behind everything else.

    Raises:
        ConfigError: As `check_trusted`.
    """
    check_trusted(folder, study)
    path = read_settings(folder).task_path
    if path not in ("", *sys.path):
        sys.path.append(path)


def check_trusted(folder: Path, study: Study) -> None:
    """Check that the user has started a sweep, or said that its code may run.

    Raises:
        ConfigError: Naming the code and where it is; nothing of it was imported.
    """
    modules = foreign_modules(study)
    if not modules or _is_sealed(folder, modules):
        return
    where = read_settings(folder).task_path
    raise ConfigError(
        f"{folder} was not started by you here, and runs code that it names: "
        f"{', '.join(modules)}{f' in {where}' if where else ''}; read that code, and give --trust "
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
    """Return the user's key; empty if there is none, or none that is whole."""
    with suppress(OSError, ValueError):
        key = bytes.fromhex(key_file().read_text())
        return key if len(key) == KEY_BYTES else b""
    return b""


def _made_key() -> bytes:
    """Return the user's key, made if there is none; empty if it cannot be kept."""
    path = key_file()
    with suppress(OSError, UserError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            put_text(path, secrets.token_hex(KEY_BYTES), mode=0o600)
    return _key()
