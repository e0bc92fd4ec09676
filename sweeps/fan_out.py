"""Several displays of one sweep: the screen, and the log that stands beside it."""

from collections.abc import Callable, Mapping, Sequence

from kdtasks.config import Value
from sweeps.display import Display, FrontRow, Phase
from sweeps.records import FailureKind, JobKind


class FanOut:
    """Tells every display the same, in their order.

    One that fails, as when its terminal was closed, is told nothing further: it must not end the
    sweep.

    Args:
        displays: Who watches.
    """

    def __init__(self, *displays: Display) -> None:
        self._displays = list(displays)

    def _tell(self, call: Callable[[Display], None]) -> None:
        for display in list(self._displays):
            try:
                call(display)
            except Exception:  # noqa: BLE001 - whatever it is, it is not worth a sweep
                self._displays.remove(display)

    def phase(self, name: Phase) -> None:
        self._tell(lambda display: display.phase(name))

    def note(self, text: str) -> None:
        self._tell(lambda display: display.note(text))

    def data_progress(self, done: int, total: int, unit: str) -> None:
        self._tell(lambda display: display.data_progress(done, total, unit))

    def jobs_planned(self, kind: JobKind, count: int) -> None:
        self._tell(lambda display: display.jobs_planned(kind, count))

    def job_reported(self, kind: JobKind, key: str, epoch: int, epochs: int) -> None:
        self._tell(lambda display: display.job_reported(kind, key, epoch, epochs))

    def job_finished(self, kind: JobKind, key: str, reason: str) -> None:
        self._tell(lambda display: display.job_finished(kind, key, reason))

    def search_started(self, trials: int, time_s: float | None, slots: int) -> None:
        self._tell(lambda display: display.search_started(trials, time_s, slots))

    def trial_started(self, number: int, params: Mapping[str, Value]) -> None:
        self._tell(lambda display: display.trial_started(number, params))

    def trial_reported(
        self, number: int, epoch: int, epochs: int, metrics: Mapping[str, float]
    ) -> None:
        self._tell(lambda display: display.trial_reported(number, epoch, epochs, metrics))

    def trial_finished(self, number: int, metrics: Mapping[str, float]) -> None:
        self._tell(lambda display: display.trial_finished(number, metrics))

    def trial_stopped(self, number: int, epoch: int, epochs: int) -> None:
        self._tell(lambda display: display.trial_stopped(number, epoch, epochs))

    def trial_failed(self, number: int, kind: FailureKind, reason: str) -> None:
        self._tell(lambda display: display.trial_failed(number, kind, reason))

    def front(self, rows: Sequence[FrontRow], hypervolume: float) -> None:
        self._tell(lambda display: display.front(rows, hypervolume))
