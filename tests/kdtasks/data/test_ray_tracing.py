"""A program that traces rays: what it gives, how it ends, which LLVM it gets."""

import sys

import numpy as np
import pytest

from kdtasks.contract.errors import DataError
from kdtasks.data.ray_tracing import llvm_found, run_tracer


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Have a shell script run in the place of Python; its folder is ``$3``."""

    def becomes(script):
        file = tmp_path / "python"
        file.write_text(f"#!/bin/sh\necho 3\necho some library says hello\n{script}\n")
        file.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(file))

    return becomes


def run(tmp_path, done, **more):
    run_tracer(
        "some.program",
        {"count": 5, "unit": "users"},
        scene="a street",
        progress=lambda *what: done.append(what),
        files={"found": tmp_path / "kept.npy"},
        **more,
    )


def test_arrays_are_given_and_come_back(program, tmp_path):
    program('mv "$3/asked.npy" "$3/found.npy"; echo 9')
    done, values = [], np.arange(6.0).reshape(2, 3)
    run(tmp_path, done, given={"asked": values})
    np.testing.assert_array_equal(np.load(tmp_path / "kept.npy"), values)
    assert done == [(3, 5, "users"), (5, 5, "users")]


@pytest.mark.parametrize(
    ("script", "part"),
    [
        ("echo 'LLVM ERROR: Cannot select' >&2; kill -ABRT $$", "libllvm19"),
        ("echo 'ImportError: libLLVM.so not found' >&2; exit 1", "DRJIT_LIBLLVM_PATH"),
        ("echo \"ModuleNotFoundError: No module named 'mitsuba'\" >&2; exit 1", r"kdsweep\[rt\]"),
        ("echo 'only 0 of 500 positions have a path' >&2; exit 1", "a street: .* only 0 of 500"),
        ("kill -KILL $$", "exit status -9"),
    ],
)
def test_a_process_that_ends_is_one_error(script, part, program, tmp_path):
    program(script)
    done = []
    with pytest.raises(DataError, match=part) as error:
        run(tmp_path, done)
    assert "\n" not in str(error.value)
    assert done == [(3, 5, "users")]


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["libLLVM-15.so", "libLLVM-14.so.1"], None),
        (["libLLVM-15.so", "libLLVM.so.19.1", "libLLVM.so.20.1"], "libLLVM.so.19.1"),
        (["libLLVM-20.so"], "libLLVM-20.so"),
        (["libLLVMSupport.a"], None),
    ],
)
def test_llvm_is_the_oldest_that_can_be_used(names, taken, tmp_path):
    folder = tmp_path / "usr/lib/x86_64-linux-gnu"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    want = {} if taken is None else {"DRJIT_LIBLLVM_PATH": str(folder / taken)}
    assert llvm_found(tmp_path) == want
