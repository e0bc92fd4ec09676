"""Ctrl-C, SIGTERM and closed terminals: handled at once where that is safe, else a little later.

Also a context manager that is entered on a background thread.
"""

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Slurm can be configured to send SIGUSR1 before a job's time limit."""

AGAIN_S = 0.05
"""Interval at which handlers are restored while a library may replace them [s]."""
ACTION_BYTES = 1024
"""Larger than ``struct sigaction`` on any system."""


class Interrupts:
    """Turns signals into KeyboardInterrupt, or into a request while an interruption would do harm.

    A second signal always raises at once.
    """

    def __init__(self) -> None:
        self._requested = False
        self._deferring = False

    def requested(self) -> bool:
        """Return whether the user asked to stop."""
        return self._requested

    def request(self) -> None:
        """Request a stop, as a deferred signal does; may be called from any thread."""
        self._requested = True

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        signal.alarm(0)  # Ray may have set it, to abort the process: see `kept_handlers`
        again, self._requested = self._requested, True
        if again or not self._deferring:
            raise KeyboardInterrupt

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer a first signal: the code inside polls `requested`."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal stop the code inside, which can be interrupted anywhere."""
        before, self._deferring = self._deferring, False
        try:
            if self._requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._deferring = before

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle signals inside; does nothing outside the main thread, as Python demands."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # ignored signals stay ignored: nohup lets a sweep outlive its terminal
        wanted = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._receive) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def kept_handlers() -> Iterator[None]:
    """Keep signal handlers unchanged, whatever a library inside does; in any thread.

    Ray's C++ layer installs a SIGTERM handler in front of Python's, which aborts the
    process 3 s after the signal; when Ray ends, no handler is left.
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
                if handler is not None:  # None: not installed by Python
                    signal.signal(number, handler)


_Action = ctypes.Array[ctypes.c_char]
_system = ctypes.CDLL(None)


def _action(number: int) -> _Action:
    """Return the system's action for a signal; Python's API can set it in the main thread only."""
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
    """A context manager that is entered on a background thread because entering takes long.

    `begin` starts the thread; ``__enter__`` waits until it has entered, and raises its errors.
    The same thread exits the context and lives until then, because processes that Ray has started
    end with the thread that started them. After `begin` without ``__enter__``, call `end`.
    """

    def __init__(self, context: AbstractContextManager[None]) -> None:
        self._context = context
        self._entered = threading.Event()
        self._leave = threading.Event()
        self._thread: threading.Thread | None = None
        self._fault: BaseException | None = None

    def begin(self) -> None:
        """Start entering the context, if not started yet."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._hold, name="kdsweep-ahead", daemon=True)
            self._thread.start()

    def _hold(self) -> None:
        try:
            with self._context:
                self._entered.set()
                self._leave.wait()
        except BaseException as fault:  # noqa: BLE001 - raised again in _raise
            self._fault = fault
        finally:
            self._entered.set()

    def wait(self) -> None:
        """Begin, and wait until the context is entered."""
        self.begin()
        self._entered.wait()
        self._raise()

    def __enter__(self) -> None:
        self.wait()

    def __exit__(self, *error: object) -> None:
        self.end()
        if error[0] is None:
            self._raise()

    def end(self) -> None:
        """Exit the context, after waiting until it has been entered."""
        self._leave.set()
        if self._thread is not None:
            self._thread.join()

    def _raise(self) -> None:
        if self._fault is not None:
            raise self._fault
