"""MLflow may be told of trials a little later: at the end it knows the same."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from in_process import Engine
from toy_study import toy_study
from tried import times

from sweeps.progress.events import Display, Note, SweepEvent, TrialFinished
from sweeps.progress.state import Utilisation

TRIALS = 8


class Payer(Display):
    """Calls for payment after some of the trials, and loses MLflow after one of them.

    Args:
        calls: How often to call after each trial.
        lost_after: After which trial MLflow does not answer any more.
    """

    def __init__(self, calls: list[int], lost_after: int) -> None:
        self.engine: Engine | None = None
        self.calls, self.lost_after = list(calls), lost_after
        self.notes: list[str] = []
        self.num_pending = 0
        self.written: list[int] = []

    def handle(self, event: SweepEvent) -> None:
        match event:
            case Note(text):
                self.notes.append(text)
            case TrialFinished(number):
                self._finished(number)

    def _finished(self, number: int) -> None:
        engine = self.engine
        assert engine is not None
        self.num_pending += f"trial/{number}" not in engine.tracker.children
        engine.tracker.broken = number >= self.lost_after
        for _ in range(self.calls.pop(0)):
            engine.recorder.flush_one()
        self.written.append(len(engine.tracker.children))


def study():  # type: ignore[no-untyped-def]
    points = [{"method": "vanilla", "width": width} for width in range(1, TRIALS + 1)]
    return toy_study(
        space={}, search={"sampler": "points", "points": points}, budget={"trials": TRIALS}
    )


@settings(max_examples=times(4), deadline=None)
@example(calls=[0] * TRIALS, lost_after=TRIALS)
@example(calls=[3, 0] * (TRIALS // 2), lost_after=TRIALS)
@given(
    calls=st.lists(st.integers(0, 3), min_size=TRIALS, max_size=TRIALS),
    lost_after=st.integers(0, TRIALS),
)
def test_mlflow_gets_the_same_however_late_it_is_written(
    tmp_path_factory: pytest.TempPathFactory, calls: list[int], lost_after: int
) -> None:
    plain = Engine(study(), tmp_path_factory.mktemp("plain"))
    plain.search()
    payer = Payer(calls, lost_after)
    home = tmp_path_factory.mktemp("late")
    late = Engine(study(), home, display=payer)
    payer.engine = late
    with late.recorder.deferring():
        late.search()
    assert payer.num_pending == TRIALS  # nobody was told at once
    if lost_after == TRIALS:  # then nothing waits for `settle`, which makes up for all
        assert late.tracker.children.keys() == plain.tracker.children.keys()
        assert late.tracker.series == plain.tracker.series
    else:
        assert len(late.tracker.children) <= lost_after
    late.tracker.broken = False
    for engine in (plain, late):
        engine.recorder.settle(Utilisation(1, engine.clock))
    assert late.tracker.children.keys() == plain.tracker.children.keys()
    assert sorted(late.tracker.series) == sorted(plain.tracker.series)
    assert len(payer.notes) == (lost_after < TRIALS)


def test_mlflow_is_written_while_the_search_continues(tmp_path: Path) -> None:
    """Two turns after a trial has ended MLflow has it, a turn later its hypervolume, too."""
    payer = Payer([3] * TRIALS, TRIALS)
    payer.engine = engine = Engine(study(), tmp_path, display=payer)
    with engine.recorder.deferring():
        engine.search()
        assert payer.written == list(range(1, TRIALS + 1))
        assert len(engine.tracker.series) == TRIALS
