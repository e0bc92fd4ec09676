"""Searches on a simulated clock, and what early stopping saves there."""

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_process import Engine
from toy_study import toy_study
from toy_task import error_db

from benchmarks.early_stopping import GOAL, compare
from benchmarks.replay import replay
from search_spaces.stopping import Stopping
from sweeps.common.clock import SimulatedClock
from sweeps.common.events import Event
from sweeps.common.records import TrialState
from sweeps.ledger.front import pareto_state
from sweeps.search.session import SearchSession
from sweeps.workers.jobs import Assignment


class Listed:
    """Hands out jobs of known durations and remembers when each began and ended."""

    def __init__(self, durations_s: list[int], clock: SimulatedClock, cut: int = 10**9) -> None:
        self.left = list(enumerate(durations_s))
        self.clock = clock
        self.cut = cut
        self.begun: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.jobs: dict[str, int] = {}

    def assign(self, trial_id: str) -> int | None:
        if not self.left:
            return None
        job, duration_s = self.left.pop(0)
        self.jobs[trial_id] = job
        return duration_s

    def started(self, trial_id: str) -> None:
        self.begun[trial_id] = self.clock.elapsed_s()

    def stops(self, trial_id: str, event: Event) -> bool:
        return event.epoch >= self.cut

    def finished(self, trial_id: str, event: Event) -> None:
        self.ended[trial_id] = self.clock.elapsed_s()


def seconds_of(duration_s: int) -> Iterator[tuple[float, Event]]:
    """One epoch per second."""
    for epoch in range(1, duration_s + 1):
        yield 1.0, Event(epoch=epoch, epochs=duration_s)
    yield 0.0, Event(done=True)


JOBS = st.lists(st.integers(1, 9), max_size=20)


@given(JOBS, st.integers(1, 5))
def test_a_free_slot_takes_the_next_trial_at_once(durations_s: list[int], slots: int) -> None:
    clock = SimulatedClock()
    search = Listed(durations_s, clock)
    found = replay(search, seconds_of, slots=slots, clock=clock)
    free_s = [0.0] * slots  # list scheduling, done by hand
    for trial, duration_s in enumerate(durations_s):
        begin_s = min(free_s)
        free_s[free_s.index(begin_s)] = begin_s + duration_s
        assert search.begun[str(trial)] == begin_s
        assert search.ended[str(trial)] == begin_s + duration_s
    assert found.seconds == max(free_s)
    assert (found.trials, found.epochs) == (len(durations_s), sum(durations_s))


@given(JOBS, st.integers(1, 5), st.integers(1, 9))
def test_a_stopped_trial_frees_its_slot(durations_s: list[int], slots: int, cut: int) -> None:
    clock = SimulatedClock()
    found = replay(Listed(durations_s, clock, cut), seconds_of, slots=slots, clock=clock)
    assert found.epochs == sum(min(duration_s, cut) for duration_s in durations_s)


def learn(assignment: Assignment) -> Iterator[tuple[float, Event]]:
    """Students of the toy task; wide ones take longer, and the best is ahead at each epoch."""
    config: dict[str, Any] = dict(assignment.config)
    final_db = error_db(config["x"], config["width"], config["compression"], 0.0)
    for epoch in range(1, 9):
        metrics = {"val_nmse_db": final_db * epoch / 8}
        yield float(config["width"]), Event(epoch=epoch, epochs=8, metrics=metrics)
    cost = {"ue_flops": 1000.0 * config["width"], "payload_bits": 1024.0}
    yield 0.0, Event(done=True, result={"val_nmse_db": final_db, **cost})


def replayed(home: Path, trials: int, **changes: Any) -> tuple[Engine, SearchSession, int]:
    engine = Engine(toy_study(budget={"trials": trials}, **changes), home)
    engine.clock = SimulatedClock()
    engine.teach()
    session = engine.session()
    found = replay(session, learn, slots=4, clock=engine.clock)
    return engine, session, found.epochs


def test_a_replayed_study_is_a_study(tmp_path: Path) -> None:
    stopping = {"kind": "asha", "eta": 3}
    engine, session, epochs = replayed(tmp_path / "a", 60, stopping=stopping)
    plain, everything, all_epochs = replayed(tmp_path / "b", 60)
    trials = engine.ledger.trials()
    assert [t.config for t in trials] == [t.config for t in plain.ledger.trials()]
    assert all_epochs == 8 * 60
    assert epochs == sum((t.trained or (8, 8))[0] for t in trials) < all_epochs / 2
    assert {t.state for t in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    # nothing is noisy here, so what is left at the end is still on the front of everything
    assert 0.9 < session.pareto_state.hypervolume / everything.pareto_state.hypervolume <= 1.0


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_long_study_is_replayed_to_its_last_trial_in_a_third_of_the_epochs(
    tmp_path: Path,
) -> None:
    engine, session, epochs = replayed(tmp_path, 300, stopping={"kind": "asha"})
    trials = [trial for trial in engine.ledger.trials() if not trial.duplicate]
    assert len(trials) == 300
    assert epochs < 8 * 300 / 3
    complete = sum(trial.state is TrialState.COMPLETE for trial in trials)
    assert complete == session.complete > 15
    assert complete == len(pareto_state(trials, engine.study).ranks)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_early_stopping_halves_the_epochs_to_the_same_hypervolume() -> None:
    found = [
        compare(seed, trials=400, epochs=24, slots=8, stopping=Stopping()) for seed in range(3)
    ]
    assert statistics.median(one.reached for one in found) <= GOAL
    assert statistics.median(one.same_volume for one in found) > 0.97
    assert statistics.median(one.half_volume - one.half_plain for one in found) > 0.0
    for one in found:
        assert one.same_epochs < 0.35
        assert one.agreement < 0.8  # the box is no easy one
