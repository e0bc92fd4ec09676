"""Where the time of a sweep goes, from its log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.progress.timing import ABOUT, first_trial_s, parts


def log(*events):
    """Return events of which the number says when [s]."""
    return [
        {"time": time_s, "event": kind, **({"name": name} if kind == "phase" else {}), **more}
        for time_s, kind, name, more in events
    ]


WHOLE = log(
    (100.0, "opened", "", {}),
    (100.0, "process", "", {"seconds": 6.0, "checks": 2.0}),
    (101.0, "phase", "data", {}),
    (103.0, "phase", "start", {}),
    (108.0, "phase", "teachers", {}),
    (110.0, "phase", "search", {}),
    (125.0, "trial_started", "", {"trial": 0}),
    (126.0, "trial_started", "", {"trial": 1}),
    (127.0, "trial_finished", "", {"trial": 0}),
    (130.0, "phase", "confirm", {}),
    (137.0, "phase", "record", {}),
    (138.0, "phase", "report", {}),
    (140.0, "closed", "", {}),
)


def test_every_part_has_its_time_and_together_they_are_all_of_it():
    found = {part.name: part.seconds for part in parts(WHOLE)}
    assert found == {
        "imports": 4.0,
        "checks": 3.0,
        "data": 2.0,
        "start": 5.0,
        "teachers": 2.0,
        "workers": 15.0,
        "trials": 5.0,
        "confirm": 7.0,
        "tracking": 1.0,
        "report": 2.0,
    }
    assert list(found) == list(ABOUT)
    assert sum(part.share for part in parts(WHOLE)) == pytest.approx(1.0)
    assert first_trial_s(WHOLE) == 33.0


def test_the_last_driver_counts():
    earlier = [{**event, "time": event["time"] - 90.0} for event in WHOLE]
    assert parts([*earlier, *WHOLE]) == parts(WHOLE)


@given(st.integers(0, len(WHOLE)))
def test_a_sweep_that_has_not_ended_has_parts_so_far(count):
    found = parts(WHOLE[:count])
    assert sum(part.seconds for part in found) == pytest.approx(
        WHOLE[count - 1]["time"] - 94.0 if count > 1 else 0.0
    )
    assert all(part.seconds >= 0.0 for part in found)
