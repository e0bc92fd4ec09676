"""What one trial leaves behind in its process does not reach the next."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from leaky_task import DRAWN, leak
from toy_study import toy_study

from kdtasks.contract.errors import UserError
from kdtasks.contract.reports import result_of
from kdtasks.contract.task import TeacherArtifact
from sweeps.common.capacity import ResourceRequest
from sweeps.common.records import TrialState
from sweeps.ledger.ledger import Ledger
from sweeps.nodes.transport import InProcessTransport
from sweeps.progress.events import Display, SweepEvent, TrialFinished
from sweeps.run.runner import resume_sweep, run_study
from sweeps.tracking.verify import verify_sweep
from sweeps.workers.jobs import assess_baselines, assess_teacher, confirm_by_weights, train_teacher

TASK = "leaky_task:LeakyTask"


@pytest.fixture(autouse=True)
def _tidied() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)
    torch.set_grad_enabled(True)


def numbers(seed: int, width: int) -> tuple[float, ...]:
    """Return what a trial finds in the generators and defaults of this process."""
    transport = InProcessTransport(TASK, ({}, {}), None, {"seed": seed, "width": width})
    found = result_of(transport.alone()).metrics
    return tuple(found[name] for name in DRAWN)


@cache
def first() -> dict[int, tuple[float, ...]]:
    """Return what trials find; not when this file is imported, for they leave a mess."""
    return {seed: numbers(seed, 1) for seed in range(4)}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 8)), max_size=6))
def test_a_trial_depends_on_its_seed_and_not_on_earlier_trials(
    before: list[tuple[int, int]],
) -> None:
    for seed, width in before:
        assert numbers(seed, width) == first()[seed]


def test_seeds_differ_and_defaults_are_torchs_own() -> None:
    assert len({found[:3] for found in first().values()}) == len(first())
    assert {found[3:] for found in first().values()} == {(32.0, 1.0, 1.0)}


PARAMS = {"seed": 3, "teacher_seed": 3}
TEACHER = TeacherArtifact(metrics={}, weights={}, outputs={})
JOBS: dict[str, Callable[[], Mapping[str, float]]] = {
    "teacher": lambda: result_of(train_teacher(TASK, PARAMS, {}, {})).metrics,
    "teacher's test": lambda: result_of(assess_teacher(TASK, PARAMS, TEACHER, {})),
    "baselines": lambda: result_of(assess_baselines(TASK, PARAMS, {}, {}, {}, {}))[0].metrics,
    "weights": lambda: result_of(confirm_by_weights(TASK, PARAMS, {}, {})),
}


@pytest.mark.parametrize("job", JOBS)
def test_a_concurrent_job_depends_on_its_seed(job: str) -> None:
    leak()
    found = {name.removeprefix("test_"): value for name, value in JOBS[job]().items()}
    assert tuple(found[name] for name in DRAWN) == first()[3]


class FullAfterThird(Display):
    """Fills the disk as soon as three trials are finished."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.finished = 0
        self._monkeypatch = monkeypatch

    def handle(self, event: SweepEvent) -> None:
        self.finished += isinstance(event, TrialFinished)
        if self.finished == 3:
            self._monkeypatch.setattr(os, "fsync", self._refuse)

    def _refuse(self, _number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_equal_trials_give_equal_numbers_on_a_fresh_and_a_used_worker_and_after_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full in the middle of a search: what is finished stays, and it resumes later."""
    points = [{"width": width} for width in range(1, 7)]  # which the numbers do not depend on
    search = {"sampler": "points", "points": points}
    with (
        monkeypatch.context() as disk,
        pytest.raises(UserError, match=r"journal\.log cannot be written to: No space left"),
    ):
        run_study(
            toy_study(task=TASK, space={}, search=search, budget={"trials": 6}),
            name="toy",
            home=tmp_path,
            tracking_uri=None,
            request=ResourceRequest(slots=1, transport="inprocess"),
            display=FullAfterThird(disk),
        )
    before = Ledger.open(tmp_path / "toy" / "journal.log").trials()
    finished = [trial for trial in before if trial.state is TrialState.COMPLETE]
    assert len(finished) == 3
    summary = resume_sweep(
        "toy",
        home=tmp_path,
        tracking_uri=None,
        request=ResourceRequest(backend="inline"),
        display=Display(),
    )
    assert (summary.complete, summary.failed) == (6, 0)
    after = Ledger.open(summary.folder / "journal.log").trials()
    assert all(after[trial.number] == trial for trial in finished)
    complete = [trial for trial in after if trial.state is TrialState.COMPLETE]
    found = [tuple(trial.metrics[name] for name in DRAWN) for trial in complete]
    assert found == [first()[0]] * 6
    assert verify_sweep(summary.folder) == []
