"""Ctrl-C, SIGTERM, a closed terminal: at once where that is safe, else at the next safe point.

A context that is entered on a thread, while this one does something else.
"""

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""SIGUSR1 is what Slurm can be told to send before a job's time is over."""

AGAIN_S = 0.05
"""How often handlers are put back while something that takes them away is at work [s]."""
ACTION_BYTES = 1024
"""More than any system's ``struct sigaction``."""


class Interrupts:
    """Turns signals into KeyboardInterrupt, or into a request while something is being kept whole.

    A second signal is never put off.
    """

    def __init__(self) -> None:
        self._requested = False
        self._deferring = False

    def requested(self) -> bool:
        """Return whether the user asked to stop."""
        return self._requested

    def request(self) -> None:
        """Ask to stop as the user would where signals wait; may be called from any thread."""
        self._requested = True

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        signal.alarm(0)  # Ray may have set it, to abort the process: see `kept_handlers`
        again, self._requested = self._requested, True
        if again or not self._deferring:
            raise KeyboardInterrupt

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a first signal wait until the code inside asks `requested`."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal stop the code inside, in which nothing is being kept whole."""
        before, self._deferring = self._deferring, False
        try:
            if self._requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._deferring = before

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle signals inside; Python allows that in the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # what is ignored stays so: nohup lets a sweep outlive its terminal
        wanted = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._receive) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def kept_handlers() -> Iterator[None]:
    """Keep the handlers of signals as they are, whatever a library inside does; in any thread.

    Ray's C++ layer puts a handler of its own before Python's one of SIGTERM, which aborts the
    process 3 s after the signal, whatever that does by then; when Ray ends, none is left at all.
    See https://github.com/ray-project/ray/pull/64830.
    """
    actions = [(number, _action(number)) for number in SIGNALS]
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    over = threading.Event()
    thread = threading.Thread(target=_put_back, args=(actions, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                if handler is not None:  # one that Python does not know
                    signal.signal(number, handler)  # Ray sets one of Python's where it may


_Action = ctypes.Array[ctypes.c_char]
_system = ctypes.CDLL(None)


def _action(number: int) -> _Action:
    """Return what the system does at a signal; Python lets only the main thread set it."""
    action = ctypes.create_string_buffer(ACTION_BYTES)
    _system.sigaction(number, None, action)
    return action


def _put_back(actions: list[tuple[signal.Signals, _Action]], over: threading.Event) -> None:
    while True:
        last = over.wait(AGAIN_S)
        for number, action in actions:
            _system.sigaction(number, action, None)
        if last:
            return


class BackgroundContext(AbstractContextManager[None]):
    """A context whose beginning takes long and needs nobody's attention.

    `begin` lets a thread enter it; entering this object waits for that, and raises what it raised.
    The same thread leaves it again, and lives until then: processes that Ray has started end with
    the thread that started them. Whoever began and does not enter calls `end`.
    """

    def __init__(self, context: AbstractContextManager[None]) -> None:
        self._context = context
        self._entered = threading.Event()
        self._leave = threading.Event()
        self._thread: threading.Thread | None = None
        self._fault: BaseException | None = None

    def begin(self) -> None:
        """Start to enter the context, unless that was begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._hold, name="kdsweep-ahead", daemon=True)
            self._thread.start()

    def _hold(self) -> None:
        try:
            with self._context:
                self._entered.set()
                self._leave.wait()
        except BaseException as fault:  # noqa: BLE001 - raised again where it is waited for
            self._fault = fault
        finally:
            self._entered.set()

    def __enter__(self) -> None:
        self.begin()
        self._entered.wait()
        self._raise()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        if error is None:
            self._raise()

    def end(self) -> None:
        """Leave the context, also one that is still being entered; waits for that."""
        self._leave.set()
        if self._thread is not None:
            self._thread.join()

    def _raise(self) -> None:
        if self._fault is not None:
            raise self._fault
