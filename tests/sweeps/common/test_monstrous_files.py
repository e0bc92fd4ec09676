"""Files without end: none fills the memory or is waited for, whatever reads it."""

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import make_sweep
from toy_study import toy_study

from kdtasks.contract.errors import UserError
from kdtasks.data.array_cache import ArrayCache
from kdtasks.data.reading import file_sha256, read_bytes, read_json
from search_spaces.errors import StudyError
from search_spaces.study import load_study
from sweeps.ledger.journal import repair_tail
from sweeps.ledger.launch_settings import read_settings
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.process_lock import read_driver
from sweeps.ledger.student_weights import StudentStore
from sweeps.ledger.trust import SEAL_FILE, check_trusted
from sweeps.mirror.storage import open_storage
from sweeps.progress.log import LogReader


def _zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 10 * 2**30)


MONSTERS: dict[str, Callable[[Path], None]] = {"zero": _zero, "sparse": _sparse, "pipe": os.mkfifo}

READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "study": ("study.yaml", load_study),
    "journal": ("journal.log", Ledger.open),
    "journal's end": ("journal.log", repair_tail),
    "log": ("log.jsonl", lambda path: LogReader(path).new()),
    "settings": ("sweep.json", lambda path: read_settings(path.parent)),
    "driver": (".lease.json", lambda path: read_driver(path.parent)),
    "weights": ("weights/trial-0.safetensors", lambda path: StudentStore(path.parent).get(0)),
    "seal": (SEAL_FILE, lambda path: check_trusted(path.parent, toy_study())),
    "storage": ("x", lambda path: open_storage(path.parents[1].as_uri(), "bad").read("x")),
    "card": ("a.json", lambda path: ArrayCache(path.parent, "a", ("x",), __name__).card()),
    "json": ("b.json", read_json),
    "bytes": ("c", lambda path: read_bytes(path, 2**20)),
}
ABSENT = ("log", "settings", "driver")
"""What may be left out, and so may be a pipe."""


@pytest.fixture
def little_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 10**9, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("monster", MONSTERS)
@pytest.mark.parametrize("reader", READERS)
def test_a_file_without_end_is_one_line(tmp_path, little_memory, monster, reader):
    make_sweep(tmp_path, "bad")
    folder = tmp_path / "bad"
    name, read = READERS[reader]
    path = folder / name
    path.unlink(missing_ok=True)
    MONSTERS[monster](path)
    if reader in ABSENT and (reader == "driver" or monster != "sparse"):
        read(path)
        return
    with pytest.raises((UserError, StudyError, OSError)) as caught:
        read(path)
    assert path.name in str(caught.value) or reader == "seal"
    assert "\n" not in str(caught.value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("monster", ["zero", "pipe"])
def test_no_hash_is_taken_of_what_never_ends(tmp_path, monster):
    MONSTERS[monster](tmp_path / "x")
    with pytest.raises(UserError, match="x"):
        file_sha256(tmp_path / "x")
