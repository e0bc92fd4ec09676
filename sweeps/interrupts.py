"""Ctrl-C, SIGTERM, a closed terminal: at once where that is safe, else at the next safe point."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
