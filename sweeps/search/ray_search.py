"""The search on Ray, in which Tune drives the session."""

from pathlib import Path

from ray import tune
from ray.exceptions import RayActorError
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial

from sweeps.common.capacity import ResourceAllocation
from sweeps.common.interrupts import Interrupts
from sweeps.mirror.storage import LOCAL_FILES
from sweeps.nodes.ray_machines import machine_lost, machine_of
from sweeps.search import tune_adapters as adapters
from sweeps.search.session import SearchSession
from sweeps.workers.ray_safety import harmless
from sweeps.workers.trainable import Shared, StudentTrial

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
    _tuner(session, allocation, scratch, interrupts).fit()


def _tuner(
    session: SearchSession, allocation: ResourceAllocation, scratch: Path, interrupts: Interrupts
) -> tune.Tuner:
    resources = session.resources
    shared = Shared(
        task=session.study.task,
        splits={key: (s.train, s.val) for key, s in resources.scenarios.items()},
        teachers=resources.teachers,
        allocation=allocation,
        rungs=session.study.rungs,
    )
    place = tune.PlacementGroupFactory(allocation.bundles)
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(StudentTrial, shared=shared), place),
        tune_config=tune.TuneConfig(
            search_alg=adapters.SessionSearcher(session),
            scheduler=adapters.SessionScheduler(session),
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
                adapters.SessionCallback(session, interrupts.requested),
                adapters.NoProgress(),
            ],
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=0, checkpoint_at_end=False
            ),
            verbose=0,
        ),
    )
