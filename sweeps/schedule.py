"""Ray Tune's scheduler over our session: it asks whether a trial goes on."""

from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sweeps.search import DriverOnly
from sweeps.session import SearchSession
from sweeps.trial import EVENT


class SessionScheduler(DriverOnly, FIFOScheduler):
    """Starts trials in their order and ends those that the session stops early.

    Tune does not ask about a trial's last result, and none is needed: a finished trial is in all
    its rungs already, because those lie before its end.

    Args:
        session: The search.
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
