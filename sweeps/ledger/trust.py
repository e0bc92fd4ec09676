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
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from analysis import layout
from kdtasks.contract.errors import ConfigError
from search_spaces.study import Study, load_study
from sweeps.common.custom_code import named_modules
from sweeps.ledger.launch_settings import read_settings
from sweeps.ledger.paths import put_text

SEAL_FILE = "seal"
"""In a sweep's folder: HMAC-SHA256 of what is imported, in hexadecimal digits."""

OURS = frozenset({"kdtasks", "sweeps"})
"""Packages whose code everybody has."""


def key_file() -> Path:
    """Return where the user's key is: outside all homes, so that no copy of one has it."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "kdsweep" / "key"


def seal(folder: Path, study: Study) -> None:
    """Note that the user trusts the code that a sweep names; a key is made if there is none.

    Raises:
        UserError: If the sweep's folder cannot be written.
    """
    if modules := foreign_modules(study):
        with suppress(OSError):  # without a key, the sweep's user is asked later
            put_text(folder / SEAL_FILE, _seal(_made_key(), modules, folder), mode=0o600)


def trust(folder: Path) -> None:
    """Note that the code that the study in a sweep's folder names may run.

    Raises:
        StudyError: If the study cannot be read.
        UserError: If the folder cannot be written.
    """
    seal(folder, load_study(folder / layout.STUDY_FILE))


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
    return sorted(name for name in named_modules(study) if name.partition(".")[0] not in OURS)


def _is_sealed(folder: Path, modules: Sequence[str]) -> bool:
    try:
        known = (folder / SEAL_FILE).read_bytes()
        wanted = _seal(bytes.fromhex(key_file().read_text()), modules, folder)
    except (OSError, ValueError):
        return False
    return hmac.compare_digest(known, wanted.encode())


def _seal(key: bytes, modules: Sequence[str], folder: Path) -> str:
    content = json.dumps([list(modules), read_settings(folder).task_path])
    return hmac.new(key, content.encode(), hashlib.sha256).hexdigest()


def _made_key() -> bytes:
    path = key_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
    return bytes.fromhex(path.read_text())
