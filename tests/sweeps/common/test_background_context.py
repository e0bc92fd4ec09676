import threading
from contextlib import contextmanager

import pytest

from sweeps.common.interrupts import BackgroundContext

PASS = ["kdsweep-ahead", "left kdsweep-ahead"]


class Recorder:
    def __init__(self, fault=None):
        self.seen = []
        self.go_on = threading.Event()
        self.fault = fault

    @contextmanager
    def context(self):
        assert self.go_on.wait(10)
        if self.fault is not None:
            raise self.fault
        self.seen.append(threading.current_thread().name)
        try:
            yield
        finally:
            self.seen.append(f"left {threading.current_thread().name}")


def test_begins_on_a_thread_and_is_waited_for():
    recorder = Recorder()
    ahead = BackgroundContext(recorder.context())
    ahead.begin()
    ahead.begin()
    assert recorder.seen == []  # this thread goes on in the meantime
    recorder.go_on.set()
    with ahead:
        assert recorder.seen == ["kdsweep-ahead"]
    assert recorder.seen == PASS
    ahead.end()
    assert recorder.seen == PASS


def test_what_it_raises_is_raised_where_it_is_waited_for():
    recorder = Recorder(ValueError("no room"))
    ahead = BackgroundContext(recorder.context())
    ahead.begin()
    recorder.go_on.set()
    with pytest.raises(ValueError, match="no room"), ahead:
        raise AssertionError("unreachable")
    ahead.end()
    assert recorder.seen == []


def test_is_left_also_if_nobody_enters_or_the_body_fails():
    recorder = Recorder()
    recorder.go_on.set()
    begun = BackgroundContext(recorder.context())
    begun.begin()
    begun.end()
    assert recorder.seen == PASS
    with pytest.raises(KeyError), BackgroundContext(recorder.context()):
        raise KeyError
    assert recorder.seen == PASS * 2
    BackgroundContext(recorder.context()).end()  # never begun: nothing to leave
    assert recorder.seen == PASS * 2
