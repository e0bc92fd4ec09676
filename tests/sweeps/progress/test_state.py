import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_study import ManualClock

from sweeps.common.records import FailureKind
from sweeps.progress.events import (
    DataLoaded,
    PhaseBegun,
    TrialFailed,
    TrialFinished,
    TrialStopped,
)
from sweeps.progress.state import Progress, Running


def searching(*, trials: int, limit_s: float | None = None, slots: int = 1) -> Progress:
    progress = Progress(clock=ManualClock())
    progress.handle(PhaseBegun("search"))
    progress.budget = (trials, limit_s, slots)
    return progress


def start(progress: Progress, number: int) -> None:
    now_s = progress.clock.elapsed_s()
    progress.trials[number] = Running(started_s=now_s)


def test_nothing_is_known_before_anything_was_reported():
    progress = searching(trials=4)
    start(progress, 0)
    assert progress.left_s() is None
    assert progress.share == 0.0


def test_running_trials_promise_their_own_time_until_one_has_ended():
    progress = searching(trials=3)
    start(progress, 0)
    progress.clock.now_s = 10.0
    progress.trials[0].epoch, progress.trials[0].epochs = 1, 4
    # 40 s a trial: 30 s are left of this one, two come
    assert progress.left_s() == pytest.approx(30.0 + 2 * 40.0)


def test_slots_share_what_is_left():
    progress = searching(trials=10, slots=2)
    for number in (0, 1):
        start(progress, number)
    progress.clock.now_s = 20.0
    for number in (0, 1):
        progress.handle(TrialFinished(number, {}))
        start(progress, number + 2)
    assert progress.left_s() == pytest.approx((2 * 20.0 + 6 * 20.0) / 2)


def test_the_limit_of_time_lets_running_trials_finish():
    progress = searching(trials=1000, limit_s=60.0)
    start(progress, 0)
    progress.clock.now_s = 50.0
    progress.handle(TrialFinished(0, {}))
    assert progress.left_s() == pytest.approx(10.0 + 50.0)
    assert progress.share == pytest.approx(50.0 / 60.0)


def test_a_failed_trial_is_spent_without_adding_a_duration():
    progress = searching(trials=2)
    start(progress, 0)
    progress.handle(TrialFailed(0, FailureKind.RAISED, "it raised"))
    # refused by its task: it never began
    progress.handle(TrialFailed(1, FailureKind.REFUSED, "it refused"))
    assert (progress.finished, progress.failed) == (0, 2)
    assert progress.share == 1.0


def test_jobs_go_on_as_fast_as_until_now():
    progress = Progress(clock=ManualClock())
    progress.handle(PhaseBegun("teachers"))
    progress.planned["teacher"] = 2
    progress.jobs["teacher", "a"] = Running(started_s=0.0, epoch=5, epochs=10)
    progress.clock.now_s = 30.0
    assert progress.share == pytest.approx(0.25)
    assert progress.left_s() == pytest.approx(90.0)
    progress.handle(PhaseBegun("confirm"))
    assert progress.share == 0.0


def test_each_scenario_loads_at_its_own_speed():
    progress = Progress(clock=ManualClock())
    progress.handle(PhaseBegun("data"))
    seen = ((10.0, 20, 40.0), (50.0, 100, 0.0), (52.0, 1, None), (60.0, 5, 152.0))
    for now_s, done, left_s in seen:
        progress.clock.now_s = now_s
        progress.handle(DataLoaded(done, 100, "users"))
        assert left_s is None or progress.left_s() == pytest.approx(left_s)


@given(
    st.lists(st.floats(0.1, 1e4), min_size=1, max_size=8),
    st.integers(1, 40),
    st.integers(1, 8),
    st.one_of(st.none(), st.floats(1.0, 1e5)),
)
def test_more_slots_never_take_longer(durations_s, trials, slots, limit_s):
    def left_s(slots: int) -> float:
        progress = searching(trials=trials, limit_s=limit_s, slots=slots)
        progress.durations_s = list(durations_s)
        start(progress, 99)
        found = progress.left_s()
        assert found is not None
        return found

    assert 0.0 <= left_s(slots + 1) <= left_s(slots)


def test_stopped_trials_are_spent_and_predict_the_coming_durations():
    progress = searching(trials=4)
    for number, seconds in ((0, 30.0), (1, 6.0)):
        start(progress, number)
        progress.clock.now_s += seconds
        if number:
            progress.handle(TrialStopped(number, 1, 8))
        else:
            progress.handle(TrialFinished(number, {}))
    assert (progress.finished, progress.spent, progress.epochs_saved) == (1, 2, 7)
    assert progress.left_s() == pytest.approx(2 * 18.0)
    progress.handle(TrialStopped(2, 0, 0))  # one that never began
    assert progress.spent == 3
    assert progress.share == pytest.approx(0.75)
