"""Who may read what a sweep writes: the umask decides."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kdtasks.contract.deployable import Part
from kdtasks.contract.task import TeacherArtifact
from kdtasks.learning.onnx_export import write_weights
from sweeps.cli.main import main
from sweeps.ledger.identity import TeacherIdentity
from sweeps.ledger.paths import SweepFolder, atomic_folder, create, open_to_all
from sweeps.ledger.student_weights import StudentStore
from sweeps.ledger.teacher_cache import TeacherStore

ARRAYS = {"w": np.arange(6, dtype=np.float32)}


@pytest.fixture(params=[0o022, 0o002, 0o077], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_weights_and_teachers_follow_the_umask(tmp_path: Path, umask: int):
    StudentStore(tmp_path).put(3, ARRAYS)
    identity = TeacherIdentity(fingerprint="0123456789abcdef", data={}, code={})
    artifact = TeacherArtifact(metrics={}, weights=ARRAYS, outputs=ARRAYS)
    TeacherStore(tmp_path / "teachers").put(identity, {}, artifact)
    part = Part(network=nn.Linear(2, 1), inputs={"x": torch.zeros(2, 2)}, output="y", about="")
    write_weights(part, tmp_path / "net.safetensors")
    with atomic_folder(tmp_path / "new"):
        pass
    written = list(tmp_path.rglob("*"))
    assert len([path for path in written if path.suffix == ".safetensors"]) == 4
    for path in written:
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        assert path.stat().st_mode & 0o777 == wanted, path


@pytest.mark.parametrize("given", [0o000, 0o002, 0o022, 0o027, 0o077], ids=oct)
def test_no_command_lets_all_users_write(given: int) -> None:
    before = os.umask(given)
    try:
        with pytest.raises(SystemExit):
            main(["--help"])
        assert os.umask(0) == given | 0o002
    finally:
        os.umask(before)


def test_a_new_home_is_its_users_and_an_old_one_keeps_its_mode(tmp_path: Path, umask: int) -> None:
    create(SweepFolder(tmp_path / "new" / "toy"), "")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    create(SweepFolder(shared / "toy"), "")
    assert shared.stat().st_mode & 0o7777 == 0o2770
    assert (shared / "toy").stat().st_mode & 0o777 == 0o777 & ~umask


@pytest.mark.parametrize("mode", [0o700, 0o2770, 0o755, 0o777, 0o1777, 0o702], ids=oct)
def test_a_home_writable_by_all_is_reported(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    notes = list(open_to_all(tmp_path))
    assert bool(notes) == bool(mode & 0o002)
    assert all(f"chmod o-w {tmp_path}" in words for words in notes)
