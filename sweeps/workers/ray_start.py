"""Trial start of Ray in a separate process, and the error if it cannot be started."""

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
from sweeps.workers.ray_safety import RAY, ray_folder

START_S = 60.0
"""Longest trial start of Ray where memory is limited [s]."""
LIMITS = {"ulimit -v": resource.RLIMIT_AS, "ulimit -d": resource.RLIMIT_DATA}
"""Limits under which Ray's processes may abort when they ask for memory."""


@contextmanager
def startable() -> Iterator[None]:
    """Start Ray inside; turn any error into one sentence."""
    try:
        yield
    except Exception as error:  # Ray raises errors of any type
        raise no_ray(one_line(error)) from error


def no_ray(why: str) -> UserError:
    """Return the error for a Ray that cannot be started on this machine."""
    return UserError(
        f"Ray cannot be started on this machine: {why}; it needs loopback, free ports, memory and "
        "a folder for temporary files with a short name (TMPDIR); kdsweep doctor checks each"
    )


def check_local() -> None:
    """Check that Ray can be started on this machine.

    Raises:
        UserError: With Ray's reason.
    """
    if why := local_refusal():
        raise no_ray(why)


def local_refusal() -> str:
    """Return why Ray cannot be started where memory is limited; empty if it can.

    A separate process tries, because Ray may abort.
    """
    limits = {name: resource.getrlimit(kind)[0] for name, kind in LIMITS.items()}
    if not (limited := [n for n, limit in limits.items() if limit != resource.RLIM_INFINITY]):
        return ""
    try:
        with ray_folder() as folder:
            code, found = ask(LOCAL, str(folder / RAY), patience_s=START_S)
    except subprocess.TimeoutExpired as error:
        code, found = 1, {"error": f"it had not started after {error.timeout:.0f} s"}
    if not code and "error" not in found:
        return ""
    why = found.get("error") or f"it aborted with exit code {code}"
    return f"{why}; {' and '.join(limited)} limits memory: raise that limit"


def ask(*address: str, patience_s: float) -> tuple[int, dict[str, Any]]:
    """Run ``ray_probe.py``; return its exit code and its findings, which are empty if it died.

    Raises:
        subprocess.TimeoutExpired: If it takes longer.
    """
    with engine_environment():
        done = subprocess.run(  # noqa: S603 - our own module; an address is one argument
            # -P: no file beside it or in the working directory shadows a library
            [sys.executable, "-P", str(ROOT / "sweeps" / "workers" / "ray_probe.py"), *address],
            capture_output=True,
            timeout=patience_s,
            check=False,
        )
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        return done.returncode or 1, {}
