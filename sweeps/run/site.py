"""The site of a sweep: Ray, or this process."""

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kdtasks.contract.registry import load_task
from search_spaces.study import Study
from sweeps.common.capacity import ResourceAllocation
from sweeps.common.interrupts import BackgroundContext, Interrupts
from sweeps.ledger.launch_settings import SweepSettings
from sweeps.run.inline import InlineSite
from sweeps.workers.jobs import Pool, Starting

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


NOWHERE = InlineSite()
"""The site of a sweep that has nothing left to run."""


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
