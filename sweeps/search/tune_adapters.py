"""The search on Ray: Tune's searcher, scheduler and callbacks on top of our session, and its run.

They share the session in the driver. Tune copies and pickles them when a Tuner is created, which is
prevented here: sweeps resume from the ledger.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray import tune
from ray.exceptions import RayActorError
from ray.tune import Callback
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeps.common.capacity import ResourceAllocation
from sweeps.common.interrupts import Interrupts
from sweeps.mirror.storage import LOCAL_FILES
from sweeps.nodes.ray_machines import machine_lost, machine_of
from sweeps.search.session import SearchSession
from sweeps.workers.ray_safety import harmless
from sweeps.workers.trainable import ASSIGNMENT, EVENT, Shared, StudentTrial

MAX_PENDING = 200
"""Entries for MLflow that may wait while trials keep reporting; writing them takes about 4 s."""


class DriverOnly:
    """An object of the driver: copying returns the object itself, unpickling gives None."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "DriverOnly":
        return self

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _nothing, ()


def _nothing() -> None:
    return None


@contextmanager
def _keeping_fault(session: SearchSession) -> Iterator[None]:
    """Keep an error for the end of a turn of Tune's loop; Tune would take it for the trial's."""
    try:
        yield
    except Exception as fault:  # noqa: BLE001 - raised again by SessionCallback.on_step_end
        session.fault = fault


class SessionSearcher(DriverOnly, Searcher):
    """Gives Tune the session's assignments; argument names are part of Tune's interface."""

    def __init__(self, session: SearchSession) -> None:
        super().__init__(metric=None, mode=None)
        self._session = session

    def suggest(self, trial_id: str) -> dict[str, Any] | str:  # type: ignore[override]
        with _keeping_fault(self._session):
            assignment = self._session.assign(trial_id)
            if assignment is not None:
                return {ASSIGNMENT: assignment}
        # after a fault too: Tune would retry for ten minutes
        return str(Searcher.FINISHED)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        with _keeping_fault(self._session):
            event = None if error or result is None else result[EVENT]
            self._session.finished(trial_id, event)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger has everything."""

    restore = save


class SessionCallback(DriverOnly, Callback):
    """Forwards Tune's events to the session."""

    def __init__(self, session: SearchSession, interrupted: Callable[[], bool]) -> None:
        self._session = session
        self._interrupted = interrupted
        self._handler = signal.getsignal(signal.SIGUSR1)
        self._busy = False

    def setup(self, **_: Any) -> None:  # type: ignore[override]
        # Tune replaces the handler of SIGUSR1 for good, so that the signal would not stop the sweep
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, self._handler)

    # Tune passes keywords, of which only these are used
    def on_trial_start(self, *, trial: Any, **_: Any) -> None:  # type: ignore[override]
        with _keeping_fault(self._session):
            self._session.started(trial.trial_id)

    def on_trial_result(  # type: ignore[override]
        self, *, trial: Any, result: dict[str, Any], **_: Any
    ) -> None:
        self._busy = True
        with _keeping_fault(self._session):
            # Tune stores every trial's last result, which should not contain the weights
            result[EVENT] = self._session.received(trial.trial_id, result[EVENT])
            self._session.reported(trial.trial_id, result[EVENT])

    def on_step_end(self, **_: Any) -> None:  # type: ignore[override]
        # a write delays the events of several trials, while a slot may wait
        if not self._busy or self._session.recorder.num_pending > MAX_PENDING:
            self._session.recorder.flush_one()
        self._busy = False
        # between two turns of Tune's loop the state is consistent, so a sweep stops here
        if self._session.fault is not None:
            raise self._session.fault
        if self._interrupted():
            raise KeyboardInterrupt


class NoProgress(DriverOnly, TrialProgressCallback):
    """Replaces Tune's own progress callback, which holds every trial."""

    def on_trial_result(self, **_: Any) -> None:  # type: ignore[override]
        """Print nothing."""

    on_trial_error = on_trial_complete = on_trial_result  # type: ignore[assignment]


class SessionScheduler(DriverOnly, FIFOScheduler):
    """Starts trials in order and ends those that the session stops early.

    Tune does not call this for a trial's last result, which is not needed: all rungs come before
    the end of a trial.
    """

    def __init__(self, session: SearchSession) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray leaves it untyped
        self._session = session

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ARG002 - Tune's signature
        """Return Tune's decision to continue or to stop."""
        with _keeping_fault(self._session):
            if self._session.stops(trial.trial_id, result[EVENT]):
                return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Prefer no trial, so that Tune gives free processes to trials that have none.

        Tune would prefer the first waiting trial, whose process is often just starting. It would
        end that process and start another one: as long as trials end faster than processes start,
        some slots would never start.

        Tune calls this once per turn of its loop, when no trial is between two states, so ended
        trials are also dropped here.
        """
        _forget_ended(tune_controller)


def _forget_ended(tune_controller: Any) -> None:
    """Let Tune drop trials that have ended and whose processes are free.

    Tune stores every trial with statistics of each metric and a JSON copy, 30 KB per trial, for a
    summary that is not used here, and each turn of its loop visits all of them.
    """
    trials = tune_controller.get_trials()
    ended = [trial for trial in trials if trial.is_finished()]
    if not ended:
        return
    trials[:] = [trial for trial in trials if not trial.is_finished()]
    controller = tune_controller._tune_controller  # the wrapper exposes only a part of it
    for trial in ended:
        for kept in (
            controller._live_trials,
            controller._stopped_trials,
            controller._failed_trials,
            controller._trials_to_cache,
        ):
            kept.discard(trial)
        controller._trial_metadata.pop(trial.trial_id, None)


RETRIES = 2
"""Retries of a trial whose process dies; those that a lost machine costs do not count."""

class_cache.ENV_VARS_TO_PROPAGATE = harmless(class_cache.ENV_VARS_TO_PROPAGATE)


_count_failure = Trial._handle_ray_actor_error


def _count_unless_machine_lost(trial: Trial, error: RayActorError) -> None:
    """Replace how Tune counts: it spares machines that were announced to end, not lost ones."""
    if not machine_lost(machine_of(error)):
        _count_failure(trial, error)


Trial._handle_ray_actor_error = _count_unless_machine_lost  # type: ignore[assignment,method-assign]


def search(
    session: SearchSession, allocation: ResourceAllocation, scratch: Path, interrupts: Interrupts
) -> None:
    """Let Tune run trials until the session has no more.

    Raises:
        KeyboardInterrupt: If the user stops it.
    """
    resources = session.resources
    splits: dict[str, Any] = {key: (s.train, s.val) for key, s in resources.scenarios.items()}
    shared = Shared(
        task=session.study.task,
        splits=splits,
        teachers=resources.teachers,
        allocation=allocation,
        rungs=session.study.rungs,
    )
    place = tune.PlacementGroupFactory(allocation.bundles)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(StudentTrial, shared=shared), place),
        tune_config=tune.TuneConfig(
            search_alg=SessionSearcher(session),
            scheduler=SessionScheduler(session),
            num_samples=-1,  # the session owns the budget
            max_concurrent_trials=allocation.slots,  # without it trials run one by one
            reuse_actors=True,
            # the default contains the whole configuration
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(scratch),
            storage_filesystem=LOCAL_FILES,  # else Ray reads the path as an address
            callbacks=[
                SessionCallback(session, interrupts.requested),
                NoProgress(),
            ],
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=0, checkpoint_at_end=False
            ),
            verbose=0,
        ),
    )
    tuner.fit()
