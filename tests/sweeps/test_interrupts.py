import os
import signal

import pytest

from sweeps.interrupts import SIGNALS, Interrupts


@pytest.fixture(autouse=True)
def handlers():
    """Leave every handler as it was."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_wish_to_stop_is_told_as_ctrl_c_is(number):
    before = signal.getsignal(number)
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt), interrupts.installed():
        os.kill(os.getpid(), number)
    assert interrupts.requested()
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_first_signal_waits_where_that_is_asked_for_and_a_second_does_not(number):
    interrupts = Interrupts()
    with interrupts.installed(), interrupts.deferred():
        os.kill(os.getpid(), number)
        assert interrupts.requested()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_that_is_ignored_stays_so_as_nohup_wants_it():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupts = Interrupts()
    with interrupts.installed():
        os.kill(os.getpid(), signal.SIGHUP)
    assert not interrupts.requested()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
