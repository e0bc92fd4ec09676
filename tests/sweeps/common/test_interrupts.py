import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import cast

import pytest
from ray.tune import tune as tune_module

from sweeps.cli import main as cli
from sweeps.common.interrupts import SIGNALS, Interrupts, kept_handlers
from sweeps.search.session import SearchSession
from sweeps.search.tune_adapters import SessionCallback


@pytest.fixture(autouse=True)
def handlers():
    """Leave every handler as it was."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_every_signal_to_stop_is_announced_like_ctrl_c(number):
    before = signal.getsignal(number)
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt), interrupts.installed():
        os.kill(os.getpid(), number)
    assert interrupts.requested()
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_first_signal_may_be_held_back_and_a_second_is_not(number):
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


def test_handlers_outlive_a_library_that_takes_them_away_in_whatever_thread():
    """As Ray does: it is entered and left in a thread beside the main one."""
    system = ctypes.CDLL(None)
    system.signal.restype, system.signal.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
    taken = threading.Event()

    def library():
        with kept_handlers():
            for number in SIGNALS:
                system.signal(number, None)  # the default: it ends the process
            taken.set()

    for number in SIGNALS:
        interrupts = Interrupts()
        with interrupts.installed(), interrupts.deferred():
            thread = threading.Thread(target=library)
            thread.start()
            thread.join()
            os.kill(os.getpid(), number)
        assert interrupts.requested()
    assert taken.is_set()


def test_handlers_are_put_back_while_the_library_is_still_at_work():
    system = ctypes.CDLL(None)
    system.signal.restype, system.signal.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
    ours = []
    signal.signal(signal.SIGTERM, lambda *_: ours.append(1))
    with kept_handlers():
        before = system.signal(signal.SIGTERM, None)
        while (now := system.signal(signal.SIGTERM, None)) != before:
            assert not now
    signal.raise_signal(signal.SIGTERM)
    assert ours == [1]


def test_a_handler_that_a_library_sets_in_the_main_thread_does_not_stay():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with kept_handlers():
        signal.signal(signal.SIGTERM, lambda *_: None)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_an_alarm_that_would_abort_the_process_is_cancelled():
    interrupts = Interrupts()
    with interrupts.installed(), interrupts.deferred():
        signal.alarm(60)
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.alarm(0) == 0
    assert interrupts.requested()


ENDED = """
import os, signal, sys, threading, time
from sweeps.common.interrupts import BackgroundContext
from sweeps.common.interrupts import Interrupts
from sweeps.run.ray_cluster import local_ray
interrupts, ray = Interrupts(), BackgroundContext(local_ray(1))
with interrupts.installed():
    try:
        with ray:
            children = [int(p) for p in os.popen(f"pgrep -P {os.getpid()}").read().split()]
            for one in children:
                if os.path.exists(f"/proc/{one}"):
                    os.kill(one, signal.SIGUSR1)  # as Slurm does
            with interrupts.deferred():
                os.kill(os.getpid(), int(sys.argv[1]))
            assert interrupts.requested()
            alive = [one for one in children if os.path.exists(f"/proc/{one}")]
            time.sleep(4)  # longer than Ray lets a process live after SIGTERM
            interrupts._requested = False
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        print(len(alive), flush=True)
    try:
        os.kill(os.getpid(), int(sys.argv[1]))  # Ray is gone, the report is still to be written
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_driver_lives_on_after_a_signal_while_ray_runs_and_when_it_has_ended(number):
    done = subprocess.run(
        [sys.executable, "-c", ENDED, str(int(number))],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 130, done.stderr
    assert int(done.stdout) >= 2


def test_tune_does_not_keep_the_signal_that_it_takes():
    interrupts = Interrupts()
    with interrupts.installed(), interrupts.deferred():
        callback = SessionCallback(cast(SearchSession, None), interrupts.requested)
        tune_module._setup_signal_catching()
        callback.setup()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert interrupts.requested()
        with pytest.raises(KeyboardInterrupt):  # a second one is never put off
            os.kill(os.getpid(), signal.SIGUSR1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_command_is_ended_by_any_of_them_with_the_code_of_ctrl_c(number, monkeypatch, capsys):
    """Also before a sweep begins, and after it has ended."""
    monkeypatch.setattr(cli, "app", lambda *_, **__: os.kill(os.getpid(), number))
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "csi-feedback"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "kdsweep: interrupted\n"
    assert signal.getsignal(number) == before
