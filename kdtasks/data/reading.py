"""The gate through which files of users and strangers are read: what may be opened, and how large.

Whatever goes wrong behind it is one `DataError` that names file and reason. What a file holds is
never quoted: a path in a table, or a link, may lead to a private file.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import psutil

from kdtasks.contract.error_text import printable
from kdtasks.contract.errors import DataError, UserError

FOLLOW = "KDSWEEP_FOLLOW_LINKS"
"""Variable of the environment: 1 opens what links of a data folder lead to outside of it."""

SMALL_BYTES = 64 * 2**20
"""What may always be unpacked [bytes]; of more, how much it is beside its file counts."""

MOST_RATIO = 100
"""Largest ratio of unpacked to stored bytes: measured or simulated channels stay below 10."""

MOST_TEXT_BYTES = 64 * 2**20
"""Largest file of JSON that is read [bytes]."""

MOST_LOG_BYTES = 512 * 2**20
"""Largest journal or log that is read [bytes]; that of 10000 trials has some 50 MB."""

DEEPEST = 100
"""Brackets within brackets in JSON: ours has five, and Python's reader stops at its stack's end."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_LONGEST_REASON = 200


@contextmanager
def damage_named(path: Path, fix: str = "copy or export it again") -> Iterator[None]:
    """Turn whatever a library raises while it reads a file into one `DataError`.

    Args:
        path: The file.
        fix: How the user gets a whole one.

    Raises:
        DataError: If something was raised inside, or the path is no file but a device or a pipe.
    """
    try:
        _check_regular(path)
        yield
    except UserError:
        raise
    except PermissionError as error:
        raise DataError(
            f"{path}: may not be read ({error.strerror}); check its access rights"
        ) from error
    except MemoryError as error:
        raise DataError(
            f"{path}: more than fits into memory; take fewer samples, or export it again if it is "
            "smaller"
        ) from error
    except Exception as error:
        raise DataError(f"{path}: damaged or truncated ({reason_of(error)}); {fix}") from error


def reason_of(error: Exception) -> str:
    """Return a library's error about a file, in one short line."""
    # numpy goes on with how to load what it does not trust, and names header and path
    text = printable(" ".join(str(error).split())).partition(" To allow loading")[0]
    return text[:_LONGEST_REASON] or type(error).__name__


def check_file(path: Path, most: int) -> None:
    """Check a file before something else opens it.

    Raises:
        DataError: If it is a pipe or a device, or has more than ``most`` bytes.
    """
    _check_regular(path)
    if path.exists() and path.stat().st_size > most:
        raise DataError(f"{path}: more than the {most} bytes that such a file can have")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits.

    Raises:
        DataError: If it is a pipe or a device.
        OSError: If it cannot be read.
    """
    _check_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_of(path: Path) -> str:
    """Return the SHA-256 of a file; a file that did not change is not read again.

    Every trial asks for the fingerprint of its data, and published files have gigabytes.

    Raises:
        DataError: If it is a pipe or a device.
        OSError: If it cannot be read.
    """
    facts = path.stat()
    return _digest(path, facts.st_size, facts.st_mtime_ns)


@cache  # a folder may have a file per user
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    return file_sha256(path)


def _check_regular(path: Path) -> None:
    mode = path.stat().st_mode if path.exists() else stat.S_IFREG
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"{path}: a pipe or a device, which is never read; give a file")


def check_size(where: object, unpacked: int, stored: int) -> None:
    """Check, before values are read, that they fit into memory and fit what is stored of them.

    Args:
        where: File, and what of it, for the error.
        unpacked: Size of the values in memory [bytes].
        stored: Size of what they are read from [bytes].

    Raises:
        DataError: If they do not.
    """
    if unpacked > SMALL_BYTES and unpacked > MOST_RATIO * stored:
        raise DataError(
            f"{where}: damaged or made to fill the memory: it declares {unpacked} bytes of values "
            f"and stores {stored}; export it again"
        )
    free = psutil.virtual_memory().available if unpacked > SMALL_BYTES else unpacked
    if unpacked > free:
        raise DataError(
            f"{where}: {unpacked} bytes of values are more than fits into memory ({free} bytes are "
            "free); take fewer samples, or export a part of it"
        )


def inside(root: Path, path: Path) -> bool:
    """Return whether a path, with all links resolved, stays in a folder.

    So does every path if the user has set `FOLLOW`.
    """
    if os.environ.get(FOLLOW) == "1":
        return True
    try:
        linked = os.path.islink(path)  # noqa: PTH114 - False for names that cannot be
        real = os.path.realpath(path) if linked or path.name == ".." else ""
        return Path(real or _real(path.parent)).is_relative_to(_real(root))
    except ValueError:  # a name that cannot be, and so cannot be opened
        return True


@lru_cache(maxsize=4096)
def _real(folder: Path) -> str:
    return os.path.realpath(folder)


def checked_inside(root: Path, path: Path) -> Path:
    """Return a path that a table names, or a file of a folder, if it stays in that folder.

    Raises:
        DataError: If it does not; the message reveals no contents.
    """
    if not inside(root, path):
        raise DataError(
            f"{path}: leads out of {root}, by '..' or a link, and is not opened; copy it there, or "
            f"set {FOLLOW}=1 if you trust the folder"
        )
    return path


def read_bytes(path: Path, most: int) -> bytes:
    """Return the content of a file.

    Raises:
        DataError: If it cannot be read, is no file, or has more than ``most`` bytes.
    """
    with damage_named(path):
        check_file(path, most)
        with path.open("rb") as file:
            return file.read(most)


def parsed_json(raw: bytes | str) -> Any:
    """Return the value of JSON text.

    Raises:
        ValueError: If it is none, or nested more deeply than `DEEPEST`.
    """
    raw = raw.encode() if isinstance(raw, str) else raw
    if raw.count(b"[") + raw.count(b"{") > DEEPEST and _depth(raw) > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} deep")
    return json.loads(raw)


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", _STRING.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def read_json(path: Path, fix: str = "copy it again") -> Any:
    """Return the value of a file of JSON.

    Raises:
        DataError: If it cannot be read, is too large or no JSON.
    """
    content = read_bytes(path, MOST_TEXT_BYTES)
    with damage_named(path, fix):
        return parsed_json(content)
