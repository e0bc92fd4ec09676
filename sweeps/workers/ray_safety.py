"""What keeps others on this machine out of the Ray of a sweep: its token, and what it logs."""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

MODE = "RAY_AUTH_MODE"
HARMLESS = ("RAY_", "TRAIN_", "TUNE_")
"""What names of variables begin with that Tune may hand to workers. Ray logs their values."""


def token_file(environment: Mapping[str, str]) -> Path | None:
    """Return the file with the token that Ray takes; None if it takes none, or from a variable."""
    if environment.get("RAY_AUTH_TOKEN"):
        return None
    return Path(environment.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def keep_token_private() -> None:
    """Have Ray's token in a file that nobody else reads, where Ray would make one that all can."""
    file = token_file(os.environ)
    if file is None:
        return
    with suppress(OSError):  # without a home that can be written to Ray says what it lacks
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "w") as stream:
                stream.write(secrets.token_hex(32))
        elif file.stat().st_mode & 0o077 and file.stat().st_uid == os.getuid():
            file.chmod(0o600)


def dangers(environment: Mapping[str, str]) -> Iterator[str]:
    """Say what in the environment lets others into the Ray of a sweep."""
    mode = environment.get(MODE)
    if mode is not None and mode.lower() != "token":
        yield (
            f"{MODE}={mode} switches Ray's token authentication off: whoever reaches its ports can "
            f"run code as you; unset {MODE}"
        )


def harmless(names: set[str]) -> set[str]:
    """Return the variables that Tune may hand to workers: no keys of clouds.

    Workers on this machine inherit those anyway; on a cluster they belong to the machines.
    """
    return {name for name in names if name.startswith(HARMLESS)}
