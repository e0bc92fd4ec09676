"""Jobs beside the search: one whose process dies is begun once more, and then it has failed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kdtasks.contract.errors import DataError
from kdtasks.contract.task import Report
from sweeps.common.capacity import ResourceAllocation, Share
from sweeps.common.events import Event, Training
from sweeps.common.records import FailureKind
from sweeps.ledger.student_weights import StudentStore
from sweeps.run.ray_cluster import local_ray
from sweeps.workers.jobs import Job
from sweeps.workers.ray_pool import RayPool

# Starting Ray takes most of the time, and more on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


def dying(marks: Path, times: int, values: np.ndarray) -> Training[float]:
    """Report, die as often as told, then return the sum of what it was given."""
    yield Report(epoch=1, epochs=1, metrics={})
    begun = len(list(marks.iterdir()))
    (marks / f"{begun}").touch()
    if begun < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return float(values.sum())


@pytest.fixture(scope="module")
def pool() -> Iterator[RayPool]:
    half = ResourceAllocation(slots=2, actors=1, share=Share(cpus=0.5))
    with local_ray(1):
        yield RayPool(half, lambda: False)


def job(pool: RayPool, marks: Path, times: int) -> Job:
    marks.mkdir()
    values = pool.put(np.ones(100_000))
    return Job(kind="teacher", key=marks.name, function=dying, args=(marks, times, values))


def test_a_job_whose_process_dies_is_begun_once_more(pool: RayPool, tmp_path: Path) -> None:
    jobs = [job(pool, tmp_path / str(times), times) for times in range(3)]
    last: dict[str, Event] = {}
    for done, event in pool.run(jobs):
        assert done.key not in last, "a last event is the last"
        if event.done:
            last[done.key] = event
    assert [last[key].result for key in "012"] == [100_000.0, 100_000.0, None]
    assert last["2"].kind is FailureKind.PROCESS_DIED
    assert "its process died, also when it was retried" in last["2"].reason
    assert [len(list((tmp_path / key).iterdir())) for key in "012"] == [1, 2, 2]


def test_what_a_job_reads_in_the_driver_is_read_when_it_begins(
    pool: RayPool, tmp_path: Path
) -> None:
    students = StudentStore(tmp_path)
    students.put(7, {"w": np.arange(4.0).reshape(2, 2).T})
    (tmp_path / "trial-8.safetensors").write_bytes(b"damaged")

    def assess(number: int) -> Job:
        return Job(
            kind="confirmation",
            key=str(number),
            function=first_column,
            args=(),
            load=lambda: (students.get(number),),
        )

    events = {done.key: event for done, event in pool.run([assess(7), assess(8), assess(9)])}
    assert events["7"].result == [0.0, 1.0]
    for number in "89":
        assert f"trial-{number}.safetensors" in events[number].reason
        with pytest.raises(DataError):
            students.get(int(number))


def first_column(weights: dict[str, np.ndarray]) -> Training[list[float]]:
    yield Report(epoch=0, epochs=0, metrics={})
    return [float(value) for value in weights["w"][:, 0]]
