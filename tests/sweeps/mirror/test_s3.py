"""Copies in a bucket: a real S3 server on loopback that checks signatures, stops and comes back.

The server is moto's, which is no dependency (80 MB): ``pip install 'moto[server]'``.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from toy_storage import begun_sweep, mirror_of
from toy_study import ManualClock

from kdtasks.contract.errors import ConfigError, UserError
from sweeps.common.interrupts import Interrupts
from sweeps.ledger.paths import SweepFolder
from sweeps.mirror.storage import Storage, open_storage
from sweeps.mirror.storage_lock import PERIOD_S, YOUNG_PERIODS, StorageLease

server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
boto3 = pytest.importorskip("boto3")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]  # the server takes seconds to import

BUCKET, REGION = "sweeps", "us-east-1"
ALLOWED = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


class Bucket:
    """An S3 server with one bucket, which only the holder of its key may use."""

    def __init__(self) -> None:
        self._server = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        _, self.port = self._server.get_host_and_port()
        ends = {"endpoint_url": f"http://127.0.0.1:{self.port}", "region_name": REGION}
        root = {"aws_access_key_id": "root", "aws_secret_access_key": "root"}
        boto3.client("s3", **ends, **root).create_bucket(Bucket=BUCKET)
        users = boto3.client("iam", **ends, **root)
        users.create_user(UserName="driver")
        policy = json.dumps({"Version": "2012-10-17", "Statement": [ALLOWED]})
        users.put_user_policy(UserName="driver", PolicyName="all", PolicyDocument=policy)
        key = users.create_access_key(UserName="driver")["AccessKey"]
        self.key, self.secret = key["AccessKeyId"], key["SecretAccessKey"]
        # from here on the server checks signatures
        requests.post(f"{ends['endpoint_url']}/moto-api/reset-auth", data=b"0", timeout=10)

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        """Start again on the same port, with what it had: moto keeps objects in the process."""
        self._server = server.ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()

    @property
    def uri(self) -> str:
        return f"s3://{BUCKET}/of-mine?endpoint_override=127.0.0.1:{self.port}&scheme=http"


@pytest.fixture(scope="module")
def running() -> Iterator[Bucket]:
    found = Bucket()
    yield found
    found.stop()


@pytest.fixture
def bucket(running: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", running.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", running.secret)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return running


@pytest.fixture
def storage(bucket: Bucket, tmp_path: Path) -> Storage:
    return open_storage(bucket.uri, tmp_path.name)  # the bucket keeps what other tests wrote


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return begun_sweep(tmp_path / "runs" / "toy")


def test_files_are_written_replaced_found_and_deleted(storage: Storage, bucket: Bucket) -> None:
    assert storage.read("weights/trial-1") is None
    assert storage.sizes("weights") == {}
    for content in (b"first", b"", b"\x1f\x8b no gzip", bytes(12_000_000)):  # the last in parts
        storage.write("weights/trial-1", content)
        assert storage.read("weights/trial-1") == content
    storage.write("weights-of-others", b"1")
    assert storage.sizes("weights") == {"weights/trial-1": 12_000_000}
    for _ in range(2):
        storage.delete("weights/trial-1")
        assert storage.read("weights/trial-1") is None
    assert storage.where.startswith(f"s3://{BUCKET}/of-mine/")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_refused_in_one_line_before_anything_is_written(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "hunter2")
    with pytest.raises(UserError, match="credentials") as refused:
        StorageLease(open_storage(bucket.uri, "toy"), ManualClock()).take()
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_lost_connection_is_made_up_for(
    bucket: Bucket, storage: Storage, folder: SweepFolder
) -> None:
    notes: list[str] = []
    mirror = mirror_of(storage, folder, ManualClock(), note=notes.append)
    mirror.copy()
    assert storage.read("journal.log") == b"one\n"
    bucket.stop()
    folder.journal.write_bytes(b"one\ntwo\n")
    (folder.weights / "trial-0.safetensors").write_bytes(b"weights")
    mirror.copy()
    bucket.start()
    assert not mirror.lost
    assert storage.read("journal.log") == b"one\n"
    mirror.copy()
    assert storage.read("journal.log") == b"one\ntwo\n"
    assert storage.read("weights/trial-0.safetensors") == b"weights"


def test_a_second_driver_waits_for_the_first_and_then_owns_the_copy(
    storage: Storage, folder: SweepFolder
) -> None:
    clock, interrupts, notes = ManualClock(), Interrupts(), list[str]()
    mirror = mirror_of(storage, folder, clock, note=notes.append, interrupts=interrupts)
    mirror.copy()
    with pytest.raises(ConfigError, match="is being run by"):
        mirror_of(storage, folder, clock)
    clock.now_s = YOUNG_PERIODS * PERIOD_S
    mirror_of(storage, folder, clock)
    storage.write("journal.log", b"one\nof the other\n")
    folder.journal.write_bytes(b"one\ntwo\n")
    mirror.copy()
    assert mirror.lost
    assert interrupts.requested()
    assert storage.read("journal.log") == b"one\nof the other\n"
