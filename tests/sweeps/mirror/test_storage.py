import pytest
from pyarrow import fs

from kdtasks.contract.errors import ConfigError, UserError
from sweeps.mirror.storage import LONGEST, Storage, cause, open_storage


@pytest.fixture(params=["local", "mock"])
def storage(request, tmp_path):
    if request.param == "local":
        return open_storage(f"file://{tmp_path}/a%20b", "toy")
    return Storage(fs._MockFileSystem(), "bucket/toy", "mock://bucket/toy")


def test_what_is_written_is_read(storage):
    assert storage.read("weights/trial-1") is None
    for content in (b"first", b"", b"\x1f\x8b no gzip"):
        storage.write("weights/trial-1.gz", content)
        assert storage.read("weights/trial-1.gz") == content


def test_sizes_are_by_the_path_in_the_sweep(storage):
    assert storage.sizes("weights") == {}
    storage.write("weights/a", b"123")
    storage.write("weights/b/c", b"1")
    storage.write("weights-of-others", b"1")
    storage.write("weights/.a.part", b"left by a kill")
    assert storage.sizes("weights") == {"weights/a": 3, "weights/b/c": 1}


def test_deleting_what_is_not_there_is_fine(storage):
    storage.write("a", b"1")
    storage.delete("a")
    storage.delete("a")
    assert storage.read("a") is None


def test_no_temporary_file_stays(tmp_path):
    open_storage(f"file://{tmp_path}", "toy").write("report/page.html", b"page")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["page.html"]
    assert open_storage(f"{tmp_path}", "toy").read("report/page.html") == b"page"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://id:hunter2@bucket/sweeps",
        "s3://id:hunter/2@bucket/sweeps",
        "s3://id:hun hunter 2@bucket/sweeps",
        "abfss://:hunter2@account/sweeps",
        "hdfs://user:hunter2@host:8020/sweeps",
        "s3://bucket/sweeps?secret_key=hunter2",
        "abfss://container@account/x?client_secret=hunter2",
    ],
)
def test_a_secret_in_the_uri_is_refused_and_not_repeated(uri):
    with pytest.raises(ConfigError, match="in the environment") as refused:
        open_storage(uri, "toy")
    assert "hunter" not in str(refused.value)


@pytest.mark.parametrize("uri", ["ftp://host/sweeps", "sweeps", "", "file://host/sweeps", "://"])
def test_what_is_no_file_system_is_refused_in_one_line(uri):
    with pytest.raises(ConfigError, match=r"give a URI such as file:///") as refused:
        open_storage(uri, "toy")
    assert "\n" not in str(refused.value)


def test_a_file_system_whose_library_is_missing_is_refused_in_one_line():
    with pytest.raises(UserError, match="cannot be reached") as refused:
        open_storage("hf://datasets/sweeps", "toy")
    assert "\n" not in str(refused.value)


def test_an_at_in_a_path_is_no_secret(tmp_path):
    storage = open_storage(f"file://{tmp_path}/me@home:8", "toy")
    storage.write("a", b"1")
    assert (tmp_path / "me@home:8" / "toy" / "a").read_bytes() == b"1"


def test_only_files_that_cannot_be_there_are_missing(tmp_path):
    (tmp_path / "toy").write_text("a file where the sweep should be")
    storage = open_storage(f"file://{tmp_path}", "toy")
    with pytest.raises(OSError, match="toy"):
        storage.write("a", b"1")
    with pytest.raises(OSError, match="irectory"):
        storage.read("a")


def test_a_long_message_is_cut():
    assert cause(OSError("first\nsecond")) == "first"
    assert len(cause(OSError("x" * 1000))) < LONGEST + 10
    assert cause(OSError()) == "OSError"
