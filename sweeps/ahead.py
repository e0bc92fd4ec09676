"""A context that is entered on a thread, while this one does something else."""

import threading
from contextlib import AbstractContextManager
from types import TracebackType


class Ahead(AbstractContextManager[None]):
    """A context whose beginning takes long and needs nobody's attention.

    `begin` lets a thread enter it; entering this object waits for that, and raises what it raised.
    The same thread leaves it again, and lives until then: processes that Ray has started end with
    the thread that started them. Whoever began and does not enter calls `end`.

    Args:
        context: Entered at most once.
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
