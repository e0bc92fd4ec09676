"""Trying Ray in a process of its own, and what is said when it cannot be started."""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kdtasks.contract.error_text import one_line
from kdtasks.contract.errors import UserError
from sweeps.common.capacity import LOCAL
from sweeps.common.environment import ROOT, engine_environment
from sweeps.workers.ray_folder import RAY, ray_folder

START_S = 60.0
"""How long a Ray of our own may take to start where memory is limited."""
LIMITS = {"ulimit -v": resource.RLIMIT_AS, "ulimit -d": resource.RLIMIT_DATA}
"""Limits under which Ray's processes may abort when they ask for memory."""


@contextmanager
def startable() -> Iterator[None]:
    """Start Ray inside; what it says if it cannot be started becomes one sentence."""
    try:
        yield
    except Exception as error:  # Ray raises whatever it likes
        raise no_ray(one_line(error)) from error


def no_ray(why: str) -> UserError:
    """Return what to tell when no Ray can be started on this machine."""
    return UserError(
        f"Ray cannot be started on this machine: {why}; it needs loopback, free ports, memory and "
        "a folder for temporary files with a short name (TMPDIR); kdsweep doctor looks at each"
    )


def check_local() -> None:
    """Refuse a machine on which no Ray can be started.

    Raises:
        UserError: With what Ray says.
    """
    if why := local_refusal():
        raise no_ray(why)


def local_refusal() -> str:
    """Start and end a Ray in a process of its own where memory is limited: it may abort.

    Returns:
        Why it cannot be started; empty if it can, or nothing limits it.
    """
    limits = {name: resource.getrlimit(kind)[0] for name, kind in LIMITS.items()}
    if not (limited := [n for n, limit in limits.items() if limit != resource.RLIM_INFINITY]):
        return ""
    try:
        with ray_folder() as folder:
            code, found = ask(LOCAL, str(folder / RAY), patience_s=START_S)
    except subprocess.TimeoutExpired as error:
        code, found = 1, {"error": f"it was not there after {error.timeout:.0f} s"}
    if not code and "error" not in found:
        return ""
    why = found.get("error") or f"it aborted with exit code {code}"
    return f"{why}; {' and '.join(limited)} limits memory: raise that limit"


def ask(*address: str, patience_s: float) -> tuple[int, dict[str, Any]]:
    """Let a process of its own ask a Ray; return its exit code, and what it found unless it died.

    Raises:
        subprocess.TimeoutExpired: If it takes longer.
    """
    with engine_environment():
        asked = subprocess.run(  # noqa: S603 - our own module; an address is one argument
            # -P: nothing beside the file, or where we are called, is taken for a library
            [sys.executable, "-P", str(ROOT / "sweeps" / "workers" / "ray_probe.py"), *address],
            capture_output=True,
            timeout=patience_s,
            check=False,
        )
    try:
        return asked.returncode, json.loads(asked.stdout)
    except ValueError:
        return asked.returncode or 1, {}
