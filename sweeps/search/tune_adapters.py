"""Ray Tune's extension points over our session.

The session is shared between searcher and callback in the driver. Tune pickles and copies both when
a Tuner is made; neither makes sense here, for the ledger is what a sweep is resumed from.

Ray Tune's scheduler over our session: it asks whether a trial goes on.
"""

import signal
import threading
from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeps.search.session import SearchSession
from sweeps.workers.trainable import ASSIGNMENT, EVENT

MOST_OWED = 200
"""Entries that MLflow may lack while trials report all the time; they take some 4 s to write."""


class DriverOnly:
    """Stays in the driver: a copy is the object itself, a pickle of it is nothing."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "DriverOnly":
        return self

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _nothing, ()


def _nothing() -> None:
    return None


class SessionSearcher(DriverOnly, Searcher):
    """Tells Tune what the session wants to run. Argument names are part of Tune's interface."""

    def __init__(self, session: SearchSession) -> None:
        super().__init__(metric=None, mode=None)
        self._session = session

    def suggest(self, trial_id: str) -> dict[str, Any] | str:  # type: ignore[override]
        try:
            assignment = self._session.assign(trial_id)
        except Exception as fault:  # noqa: BLE001 - raised again once Tune is out of the way
            # Tune would ask again and again for ten minutes if it were told to wait.
            self._session.fault = fault
            return str(Searcher.FINISHED)
        if assignment is None:
            return str(Searcher.FINISHED)
        return {ASSIGNMENT: assignment}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        # Tune would take an error raised here for one of the trial.
        try:
            event = None if error or result is None else result[EVENT]
            self._session.finished(trial_id, event)
        except Exception as fault:  # noqa: BLE001 - raised again by the callback, where it ends the fit
            self._session.fault = fault

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger has everything."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger has everything."""


class SessionCallback(DriverOnly, Callback):
    """Tells the session what Tune sees."""

    def __init__(self, session: SearchSession, interrupted: Callable[[], bool]) -> None:
        self._session = session
        self._interrupted = interrupted
        self._handler = signal.getsignal(signal.SIGUSR1)
        self._busy = False

    def setup(self, **_: Any) -> None:  # type: ignore[override]
        # Tune takes SIGUSR1 for itself and never gives it back: search and sweep would seem to end
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, self._handler)

    # Tune calls by keyword, and nothing else of what it passes is of use.
    def on_trial_start(self, *, trial: Any, **_: Any) -> None:  # type: ignore[override]
        # An error raised here would be told of as one of Tune's, from deep within it.
        try:
            self._session.started(trial.trial_id)
        except Exception as fault:  # noqa: BLE001 - raised again where a turn of Tune's loop ends
            self._session.fault = fault

    def on_trial_result(  # type: ignore[override]
        self, *, trial: Any, result: dict[str, Any], **_: Any
    ) -> None:
        self._busy = True
        try:
            # Tune keeps every trial's last result, which the weights do not belong in
            result[EVENT] = self._session.received(trial.trial_id, result[EVENT])
            self._session.reported(trial.trial_id, result[EVENT])
        except Exception as fault:  # noqa: BLE001 - raised again where a turn of Tune's loop ends
            self._session.fault = fault

    def on_step_end(self, **_: Any) -> None:  # type: ignore[override]
        # A write takes as long as it takes to hear several trials, and a slot waits meanwhile.
        if not self._busy or self._session.recorder.num_pending > MOST_OWED:
            self._session.recorder.flush_one()
        self._busy = False
        # Between two turns of Tune's loop nothing is half done, so this is where a sweep stops.
        if self._session.fault is not None:
            raise self._session.fault
        if self._interrupted():
            raise KeyboardInterrupt


class NoProgress(DriverOnly, TrialProgressCallback):
    """Takes the place of the callback that Tune adds otherwise, which keeps every trial."""

    def on_trial_result(self, **_: Any) -> None:  # type: ignore[override]
        """Print nothing."""

    def on_trial_error(self, **_: Any) -> None:  # type: ignore[override]
        """Print nothing."""

    def on_trial_complete(self, **_: Any) -> None:  # type: ignore[override]
        """Print nothing."""


class SessionScheduler(DriverOnly, FIFOScheduler):
    """Starts trials in their order and ends those that the session stops early.

    Tune does not ask about a trial's last result, and none is needed: a finished trial is in all
    its rungs already, because those lie before its end.
    """

    def __init__(self, session: SearchSession) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray leaves it untyped
        self._session = session

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ARG002 - Tune's signature
        """Return Tune's word for going on or for stopping."""
        # Tune would take an error raised here for one of the trial.
        try:
            stops = self._session.stops(trial.trial_id, result[EVENT])
        except Exception as fault:  # noqa: BLE001 - raised again by the callback, where it ends the fit
            self._session.fault = fault
            return str(TrialScheduler.CONTINUE)
        return str(TrialScheduler.STOP if stops else TrialScheduler.CONTINUE)

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Prefer no trial: Tune then gives a process that is free to the trial that has none.

        The first trial that waits, which Tune would take, mostly waits for a process that is just
        coming up. That one would be ended and started anew for another trial: as long as trials
        end faster than processes start, some slots would never come up.

        Tune calls this once per turn of its loop, when no trial is between two states; so this is
        also where it is made to forget.
        """
        _forget_ended(tune_controller)


def _forget_ended(tune_controller: Any) -> None:
    """Let Tune drop trials that have ended.

    It keeps every trial, with statistics over each number that it was told, and a copy of it as
    JSON, for a summary that nobody reads here: 30 KB per trial, and each turn of its loop looks at
    all of them. Their processes are no longer bound to them by now.
    """
    trials = tune_controller.get_trials()
    ended = [trial for trial in trials if trial.is_finished()]
    if not ended:
        return
    trials[:] = [trial for trial in trials if not trial.is_finished()]
    controller = tune_controller._tune_controller  # its wrapper admits to a part of it
    for trial in ended:
        for kept in (
            controller._live_trials,
            controller._stopped_trials,
            controller._failed_trials,
            controller._trials_to_cache,
        ):
            kept.discard(trial)
        controller._trial_metadata.pop(trial.trial_id, None)
