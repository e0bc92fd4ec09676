"""Reads text of a study or a sweep; `kdtasks.data.reading`, not imported here, reads the rest."""

import errno
import os
import stat
from pathlib import Path

MOST_STUDY_BYTES = 2**20
"""Largest study file; the largest that is shipped has 20 kB."""


def read_text(path: Path, most: int) -> str:
    """Return the text of a file.

    Raises:
        OSError: If it cannot be read, is larger, or is a pipe or a device, which may never end.
        UnicodeDecodeError: If it is no UTF-8.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "a pipe or a device, which is never read", os.fspath(path))
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"more than the {most} bytes it can have", os.fspath(path))
    return content.decode("utf-8")
