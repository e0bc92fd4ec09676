import math

import pytest
from toy_study import ManualClock

from sweeps.progress.state import Utilisation


def test_slots_that_never_idle_are_fully_used() -> None:
    clock = ManualClock()
    account = Utilisation(2, clock)
    for begin in range(10):
        clock.now_s = float(begin)
        if begin:
            account.ended(2 * begin - 2, 1.0)
            account.ended(2 * begin - 1, 1.0)
        account.started(2 * begin)
        account.started(2 * begin + 1)
    assert account.share() == pytest.approx(1.0)


def test_what_the_driver_wastes_does_not_count_as_work() -> None:
    clock = ManualClock()
    account = Utilisation(1, clock)
    for begin in range(5):
        clock.now_s = float(begin)
        if begin:
            account.ended(begin - 1, 0.25)  # the worker says that it was busy for a quarter
        account.started(begin)
    assert account.share() == pytest.approx(0.25)


def test_an_idle_slot_halves_the_share() -> None:
    clock = ManualClock()
    account = Utilisation(2, clock)
    account.started(0)
    account.started(1)
    account.ended(0, math.nan)
    clock.now_s = 10.0
    account.ended(1, math.nan)
    account.started(2)
    assert account.share() == pytest.approx(0.5)


def test_warming_up_is_left_out_and_too_little_is_unknown() -> None:
    clock = ManualClock()
    account = Utilisation(2, clock)
    account.started(0)
    clock.now_s = 5.0
    assert math.isnan(account.share())
    account.started(1)
    assert math.isnan(account.share())
    clock.now_s = 6.0
    account.ended(0, math.nan)
    account.started(2)
    assert account.share() == pytest.approx(1.0)


def test_the_whole_search_pays_for_its_start_and_its_end() -> None:
    clock = ManualClock()
    account = Utilisation(2, clock)
    assert math.isnan(account.whole())
    account.begin()
    clock.now_s = 10.0  # workers start
    account.started(0)
    account.started(1)
    clock.now_s = 15.0
    account.ended(0, 5.0)
    assert account.whole() == pytest.approx((5 + 5) / (2 * 15))  # the other still runs
    clock.now_s = 20.0
    account.ended(1, 10.0)
    clock.now_s = 100.0  # what comes after the last trial is not the search's
    assert account.whole() == pytest.approx((5 + 10) / (2 * 20))
