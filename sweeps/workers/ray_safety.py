"""Protection of a sweep's Ray from other users of the machine: its token and its logs."""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

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
