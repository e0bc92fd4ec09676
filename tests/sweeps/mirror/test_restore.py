import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_study import toy_study

from kdtasks.contract.errors import ConfigError, DataError, UserError
from kdtasks.contract.task import TeacherArtifact
from sweeps.common.clock import SystemClock
from sweeps.common.interrupts import Interrupts
from sweeps.ledger.identity import TeacherIdentity
from sweeps.ledger.journal import whole_lines
from sweeps.ledger.launch_settings import SweepSettings, write_settings
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.student_weights import StudentStore
from sweeps.ledger.teacher_cache import OUTPUTS, WEIGHTS, TeacherStore
from sweeps.mirror.restore import catch_up, check_unknown, fetch_missing, kept, longer
from sweeps.mirror.storage import open_storage
from sweeps.mirror.storage_lock import StorageLease

TEACHER = TeacherIdentity(fingerprint="0123456789abcdef", data={}, code={})

lines = st.lists(st.binary(max_size=3).map(lambda line: line.replace(b"\n", b"") + b"\n"))
tails = st.sampled_from([b"", b"half a li"])
journals = st.tuples(lines, tails).map(lambda parts: b"".join(parts[0]) + parts[1])


@given(journals, journals)
def test_longer_holds_all_of_both_or_is_none(one, other):
    one_lines, other_lines = whole_lines(one).splitlines(True), whole_lines(other).splitlines(True)
    shared = min(len(one_lines), len(other_lines))
    found = longer(one, other)
    if one_lines[:shared] == other_lines[:shared]:
        assert found == max(whole_lines(one), whole_lines(other), key=len)
    else:
        assert found is None


@given(journals, journals)
def test_longer_does_not_depend_on_the_order(one, other):
    assert longer(one, other) == longer(other, one)


@given(journals, st.integers(0))
def test_any_earlier_state_of_a_journal_is_continued_by_it(journal, cut):
    assert longer(journal[: cut % (len(journal) + 1)], journal) == whole_lines(journal)


@pytest.fixture
def uri(tmp_path):
    return f"file://{tmp_path}/stored"


@pytest.fixture
def folder(tmp_path):
    """A sweep of two trials."""
    folder = SweepFolder(tmp_path / "runs" / "toy")
    folder.weights.mkdir(parents=True)
    folder.study.write_text("study")
    write_settings(folder.path, SweepSettings(id="toy"))
    folder.journal.write_bytes(b"one\ntwo\n")
    (folder.weights / "trial-0.safetensors").write_bytes(b"0")
    arrays = {"w": np.arange(6, dtype=np.float32)}
    artifact = TeacherArtifact(metrics={}, weights=arrays, outputs=arrays)
    TeacherStore(folder.teachers).put(TEACHER, {}, artifact)
    return folder


def keep(folder: SweepFolder, uri: str) -> None:
    with kept(uri, folder, pytest.fail, Interrupts()) as mirror:
        assert mirror is not None
        mirror.teachers = (TEACHER.key,)


def tree(folder: SweepFolder) -> dict[str, bytes]:
    root = folder.path.parent
    paths = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def test_what_was_kept_is_fetched_whole(folder, uri, tmp_path):
    keep(folder, uri)
    fetch_missing(tmp_path / "elsewhere", "toy", uri)
    there = SweepFolder(tmp_path / "elsewhere" / "toy")
    assert tree(there) == tree(folder)
    assert (there.path / "sweep.json").stat().st_mode & 0o777 == 0o600


def test_fetching_touches_no_folder_that_is_there(folder, tmp_path):
    before = tree(folder)
    fetch_missing(folder.path.parent, "toy", "ftp://not/even/asked")
    assert tree(folder) == before


def test_a_fetch_that_was_cut_off_is_repeated(folder, uri, tmp_path):
    keep(folder, uri)
    half = SweepFolder(tmp_path / "elsewhere" / "toy")
    half.weights.mkdir(parents=True)
    (half.weights / "trial-0.safetensors").write_bytes(b"half")
    fetch_missing(tmp_path / "elsewhere", "toy", uri)
    assert tree(half) == tree(folder)


def test_the_longer_journal_wins(folder, uri):
    keep(folder, uri)
    storage = open_storage(uri, "toy")
    folder.journal.write_bytes(b"one\n")
    folder.study.write_text("older")
    storage.write("weights/trial-1.safetensors", b"1")
    assert "was ahead" in catch_up(storage, folder)
    assert folder.journal.read_bytes() == b"one\ntwo\n"
    assert folder.study.read_text() == "study"
    assert (folder.weights / "trial-1.safetensors").read_bytes() == b"1"
    folder.journal.write_bytes(b"one\ntwo\nthree\nfo")
    assert catch_up(storage, folder) == ""
    assert folder.journal.read_bytes() == b"one\ntwo\nthree\nfo"


def test_weights_of_a_trial_that_ran_elsewhere_take_the_place_of_our_own(folder, uri):
    """Here the driver was killed between the weights and the ledger; there it ran again."""
    folder.journal.unlink()
    ledger, numbers = Ledger.create(folder.journal, toy_study()), []
    journals = []
    for _ in range(3):
        number, _params = ledger.ask(toy_study().space)
        ledger.complete(number, (0.0, 1.0), {"val_nmse_db": 0.0, "ue_flops": 1.0}, {})
        numbers.append(f"weights/trial-{number}.safetensors")
        journals.append(folder.journal.read_bytes())
    storage = open_storage(uri, "toy")
    for path in numbers[:2]:
        (folder.path / path).write_bytes(b"here")
        storage.write(path, b"away")
    folder.journal.write_bytes(journals[0])
    storage.write("journal.log", journals[1])
    catch_up(storage, folder)
    assert (folder.path / numbers[0]).read_bytes() == b"here"  # need not be fetched
    assert (folder.path / numbers[1]).read_bytes() == b"away"
    assert folder.journal.read_bytes() == journals[1]


def test_trials_are_lost_on_neither_side(folder, uri):
    keep(folder, uri)
    folder.journal.write_bytes(b"one\nother\n")
    with pytest.raises(ConfigError, match="each have trials that the other lacks"):
        keep(folder, uri)
    assert folder.journal.read_bytes() == b"one\nother\n"
    assert open_storage(uri, "toy").read("journal.log") == b"one\ntwo\n"
    # and the refused driver left no note behind
    StorageLease(open_storage(uri, "toy"), SystemClock()).check_free()


def test_a_new_sweep_takes_no_name_that_storage_has(folder, uri):
    check_unknown(uri, "toy")
    keep(folder, uri)
    with pytest.raises(ConfigError, match="kdsweep resume toy"):
        check_unknown(uri, "toy")


def test_a_sweep_that_is_nowhere_is_refused(uri, tmp_path):
    with pytest.raises(ConfigError, match="check name and --storage"):
        fetch_missing(tmp_path / "runs", "toy", uri)
    assert not (tmp_path / "runs").exists()


def test_a_storage_that_takes_nothing_is_refused_before_anything_is_started(folder):
    with (
        pytest.raises(UserError, match="can be reached and written to"),
        kept("file:///dev/null", folder, pytest.fail, Interrupts()),
    ):
        pytest.fail("it was started")


@pytest.fixture
def hashed(folder):
    """The sweep with a trial whose hash is in the ledger."""
    folder.journal.unlink()
    ledger = Ledger.create(folder.journal, toy_study())
    number, _ = ledger.ask(toy_study().space)
    weights = {"w": np.arange(6, dtype=np.float32)}
    sha256 = StudentStore(folder.weights).put(number, weights)
    ledger.complete(number, (0.0, 1.0), {"val_nmse_db": 0.0, "ue_flops": 1.0}, {}, sha256)
    return folder


STORED = (
    "weights/trial-0.safetensors",
    *(f"teachers/{TEACHER.key}/{n}" for n in (WEIGHTS, OUTPUTS)),
)


@pytest.mark.parametrize("path", STORED)
def test_what_was_changed_in_storage_is_refused_though_its_size_is_the_same(
    hashed, uri, tmp_path, path
):
    keep(hashed, uri)
    storage = open_storage(uri, "toy")
    content = bytearray(storage.read(path) or b"")
    content[-4:] = b"\0\0\0\1"
    storage.write(path, bytes(content))
    with pytest.raises(DataError, match=f"{storage.where}/{path.rpartition('/')[0]}"):
        fetch_missing(tmp_path / "elsewhere", "toy", uri)
    assert not (tmp_path / "elsewhere" / "toy" / "journal.log").exists()
    assert not (tmp_path / "elsewhere" / "cache" / "teachers" / TEACHER.key).exists() or (
        "trial" in path
    )


def test_weights_here_that_were_changed_are_fetched_again(hashed, uri):
    keep(hashed, uri)
    file = StudentStore(hashed.weights).file(0)
    content, whole = file.read_bytes(), hashed.journal.read_bytes()
    file.write_bytes(content[:-1] + b"\1")
    storage = open_storage(uri, "toy")
    storage.write("journal.log", whole + whole.splitlines(True)[-1])
    assert catch_up(storage, hashed)
    assert file.read_bytes() == content
