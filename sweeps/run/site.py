"""The site of a sweep: Ray, or this process, for debugging.

In this process trials and jobs run one after the other. Results equal those with Ray: arrays are
read-only and computations use one thread.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from threadpoolctl import ThreadpoolController

from kdtasks.contract.errors import ConfigError, UserError
from kdtasks.contract.registry import load_task
from kdtasks.contract.task import Arrays, KDTask, TeacherArtifact
from search_spaces.study import Study
from sweeps.common.capacity import LOCAL, ResourceAllocation, ResourceRequest, Share
from sweeps.common.environment import idle_gpus, usable_gpus
from sweeps.common.events import Event, events
from sweeps.common.interrupts import BackgroundContext, Interrupts
from sweeps.ledger.launch_settings import SweepSettings
from sweeps.nodes.task_process import open_task, take_gpu
from sweeps.nodes.transport import InProcessTransport
from sweeps.plan.needs import Resources
from sweeps.workers.jobs import (
    Assignment,
    Handle,
    Job,
    Pool,
    Starting,
    train_student,
)

if TYPE_CHECKING:
    from sweeps.search.session import SearchSession


class Site(Protocol):
    """Runs a sweep's trials and jobs."""

    @property
    def allocation(self) -> ResourceAllocation:
        """The resources of trials there."""

    def ready(self, starting: Starting) -> AbstractContextManager[None]:
        """Be ready for work inside; ``starting`` is entered while local processes are started."""

    def pool(self, interrupts: Interrupts) -> Pool:
        """Return the pool for jobs besides the search."""

    def search(self, session: "SearchSession", scratch: Path, interrupts: Interrupts) -> None:
        """Run trials until the session has no more; ``scratch`` is a temporary folder.

        Raises:
            KeyboardInterrupt: If the user stops it.
        """


@dataclass(frozen=True, slots=True)
class InlineSite:
    """This process."""

    allocation: ResourceAllocation = field(
        default_factory=lambda: ResourceAllocation(slots=1, actors=0)
    )

    @classmethod
    def of(cls, request: ResourceRequest, gpus: float | Literal["auto"] = 0.0) -> "InlineSite":
        """Return this process as the site of a sweep.

        Raises:
            ConfigError: If the request cannot be met here.
        """
        address = None if request.address == LOCAL else request.address
        slots = None if request.slots == 1 else request.slots
        refused = {"slots": slots, "actors": request.actors, "address": address}
        for name, value in refused.items():
            if value is not None:
                raise ConfigError(
                    f"{name} is {value}, which backend inline lacks: trials run one after "
                    f"the other in this process; leave {name} out, or choose backend ray"
                )
        share = Share(gpus=min(1, usable_gpus()) if gpus == "auto" else gpus)
        return cls(ResourceAllocation(slots=1, actors=0, share=share))

    @contextmanager
    def ready(self, starting: Starting) -> Iterator[None]:  # noqa: ARG002 - of Site
        take_gpu(self.allocation.share.gpus)
        try:
            yield
        finally:
            take_gpu(0.0)

    def pool(self, interrupts: Interrupts) -> "InlinePool":
        return InlinePool(interrupts)

    def search(
        self,
        session: "SearchSession",
        scratch: Path,  # noqa: ARG002 - of Site
        interrupts: Interrupts,
    ) -> None:
        for number in count():
            name = str(number)
            assignment = session.assign(name)
            if assignment is None:
                return
            session.started(name)
            work = train(session.study, session.resources, assignment)
            _conduct(session, name, work, interrupts)
            while session.recorder.num_pending:
                session.recorder.flush_one()


def train(study: Study, resources: Resources, assignment: Assignment) -> Iterator[Event]:
    """Train an assignment like a trial's process; return its events."""
    scenario, teacher = resources.scenarios[assignment.scenario], None
    if assignment.teacher is not None:
        teacher = resources.teachers[assignment.teacher]
    data, task = (scenario.train, scenario.val), study.task
    deploy = partial(InProcessTransport, task, data, teacher)
    return events(train_student(open_task(task), assignment.config, deploy, study.rungs))


def _conduct(
    session: "SearchSession", name: str, work: Iterator[Event], interrupts: Interrupts
) -> None:
    """Forward a trial's events to the session until it ends or is stopped."""
    for event_of_job in _events_of(work, interrupts):
        event = session.received(name, event_of_job)
        stops = not event.done and session.stops(name, event)
        session.reported(name, event)
        if event.done or stops:
            session.finished(name, event)
            return


def _events_of(work: Any, interrupts: Interrupts) -> Iterator[Event]:
    """Yield the events of work, which the user may interrupt at once."""
    with closing(work), _libraries(len(sys.modules)).limit(limits=1):
        while True:
            with interrupts.at_once():
                event = next(work, None)
            if event is None:
                return
            yield event


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:  # noqa: ARG001 - the cache's key
    """Return the libraries whose threads are limited; they come with modules that are imported.

    Looking for them takes longer than a short training.
    """
    return ThreadpoolController()


@dataclass(frozen=True)
class InlinePool:
    """Runs jobs here, one after the other."""

    interrupts: Interrupts

    def put(self, value: Any) -> Handle:
        """Return read-only arrays, or a teacher of such."""
        if isinstance(value, TeacherArtifact):
            weights, outputs = _locked(value.weights), _locked(value.outputs)
            return replace(value, weights=weights, outputs=outputs)
        return _locked(value)

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Event]]:
        for job in jobs:
            try:
                loaded = job.load()
            except UserError as error:
                yield job, Event(done=True, reason=str(error))
                continue
            work = events(job.function(*job.args, *loaded))
            for event in _events_of(work, self.interrupts):
                yield job, event


def _locked(arrays: Arrays) -> Arrays:
    views = {name: array.view() for name, array in arrays.items()}
    for view in views.values():
        view.setflags(write=False)
    return views


NOWHERE = InlineSite()
"""The site of a sweep that has nothing left to run."""


def gpu_notes(study: Study, task: KDTask, settings: SweepSettings) -> list[str]:
    """Return why ``gpus: auto`` finds none of the GPUs of this machine; empty if there is no such.

    Of the machines of a cluster, Ray knows the GPUs.
    """
    wanted = study.resources.gpus == "auto" and task.any_device
    if not wanted or settings.request.address not in (None, LOCAL) or not (why := idle_gpus()):
        return []
    return [f"resources.gpus is auto, and trials run on cores: {why}"]


def find_site(study: Study, settings: SweepSettings, ray: BackgroundContext | None = None) -> Site:
    """Return the site of a sweep, after checking its resources; on this machine ``ray`` if given.

    Raises:
        UserError: If not even one trial fits there, or a cluster does not answer.
    """
    resources = study.resources
    if resources.gpus == "auto" and not load_task(study.task).any_device:
        resources = replace(resources, gpus=0.0)
        study = replace(study, resources=resources)
    if settings.request.backend == "inline":
        return InlineSite.of(settings.request, resources.gpus)
    from sweeps.run.ray_cluster import find_ray  # takes a second to import

    return find_ray(study, settings, ray)
