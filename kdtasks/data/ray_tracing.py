"""Sionna RT in a process of its own: whether it is there, and what it says when it ends.

It is a process because Dr.Jit ends its own, without an exception, where it finds a version of LLVM
that it cannot compile for.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import DataError
from kdtasks.contract.task import Progress

INSTALL = "pip install 'kdsweep[rt]'"

LLVM = 19
"""Version of LLVM that Sionna RT 2.2 was tried with; 15 and 16 end the process."""

LLVM_FOLDERS = (
    "usr/lib/*-linux-gnu",
    "usr/lib64",
    "usr/lib/llvm-*/lib",
    "usr/local/lib",
    "opt/homebrew/opt/llvm*/lib",
)


def tracer_versions() -> dict[str, str]:
    """Return the versions of what traces rays, on which paths depend.

    Raises:
        DataError: If Sionna RT is not installed.
    """
    try:
        return {name: version(name) for name in ("sionna-rt", "mitsuba", "drjit")}
    except PackageNotFoundError as error:
        raise DataError(f"ray-traced scenarios need Sionna RT: {INSTALL}") from error


def run_tracer(
    program: str,
    job: Mapping[str, Any],
    *,
    scene: str,
    progress: Progress,
    files: Mapping[str, Path],
    given: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Run a program that traces rays.

    It is given a folder with ``job.json`` and an ``.npy`` file per array of ``given``, leaves one
    per name of ``files`` there, and prints how much of ``job["count"]`` is done, a number a line.

    Args:
        program: Module that is the program; part of the source that its arrays depend on.
        job: What the program shall do; ``count`` is how many of ``unit`` there are to trace.
        scene: Name of the scene, in errors.
        progress: Called with what is done.
        files: Where arrays shall lie in the end.
        given: Arrays that the program needs.

    Raises:
        DataError: If the program fails.
    """
    with tempfile.TemporaryDirectory(prefix="kdsweep-rt-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job), "utf-8")
        for array, values in (given or {}).items():
            np.save(folder / f"{array}.npy", values, allow_pickle=False)
        with (folder / "errors.txt").open("w+") as errors:
            process = subprocess.Popen(  # noqa: S603 - this program's own module
                [sys.executable, "-m", program, name],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**llvm_found(), **os.environ},
            )
            with process:
                assert process.stdout is not None
                for line in process.stdout:
                    if line.strip().isdigit():  # libraries may print, too
                        progress(min(int(line), job["count"]), job["count"], job["unit"])
            errors.seek(0)
            if process.returncode:
                raise DataError(_failure(scene, process.returncode, errors.read()))
        for array, path in files.items():
            (folder / f"{array}.npy").replace(path)


def _failure(scene: str, code: int, text: str) -> str:
    """Return why tracing ended."""
    if "LLVM" in text:
        return (
            f"Sionna RT needs LLVM {LLVM}: install it (Debian, Ubuntu: apt install libllvm{LLVM}), "
            f"or name its library by DRJIT_LIBLLVM_PATH=.../libLLVM.so.{LLVM}.1"
        )
    if "No module named" in text:
        return f"ray-traced scenarios need Sionna RT: {INSTALL}"
    last = text.strip().splitlines()[-1:] or [f"exit status {code}"]
    return f"{scene}: could not be traced: {last[0]}"


def llvm_found(root: Path = Path("/")) -> dict[str, str]:
    """Return the variable that names Dr.Jit an LLVM that it can use, empty if none is found."""
    known = []
    for folder in LLVM_FOLDERS:
        for file in root.glob(f"{folder}/libLLVM*"):
            found = re.fullmatch(r"libLLVM[-.](?:so\.)?(\d+)[.\w]*", file.name)
            if found and int(found[1]) >= LLVM:
                known.append((int(found[1]), str(file)))
    return {"DRJIT_LIBLLVM_PATH": min(known)[1]} if known else {}
