"""Who may read what a sweep writes: the umask decides."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kdtasks.deployable import Part
from kdtasks.export import write_weights
from kdtasks.task import TeacherArtifact
from sweeps.folder import new_beside
from sweeps.identity import TeacherIdentity
from sweeps.students import StudentStore
from sweeps.teacher_store import TeacherStore

ARRAYS = {"w": np.arange(6, dtype=np.float32)}


@pytest.fixture(params=[0o022, 0o002, 0o077], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_weights_and_teachers_can_be_read_by_whom_the_umask_lets(tmp_path: Path, umask: int):
    StudentStore(tmp_path).put(3, ARRAYS)
    identity = TeacherIdentity(fingerprint="0123456789abcdef", data={}, code={})
    artifact = TeacherArtifact(metrics={}, weights=ARRAYS, outputs=ARRAYS)
    TeacherStore(tmp_path / "teachers").put(identity, {}, artifact)
    part = Part(network=nn.Linear(2, 1), inputs={"x": torch.zeros(2, 2)}, output="y", about="")
    write_weights(part, tmp_path / "net.safetensors")
    new_beside(tmp_path / "new")
    written = list(tmp_path.rglob("*"))
    assert len([path for path in written if path.suffix == ".safetensors"]) == 4
    for path in written:
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        assert path.stat().st_mode & 0o777 == wanted, path
