"""Objects of a driver after the data were loaded and Ray was started."""

from collections.abc import Mapping
from dataclasses import dataclass

from kdtasks.contract.task import ScenarioData
from sweeps.common.interrupts import BackgroundContext, Interrupts
from sweeps.common.records import EarlierTrial
from sweeps.ledger.identity import Identity, TeacherIdentity
from sweeps.ledger.paths import SweepFolder
from sweeps.ledger.process_lock import Lease
from sweeps.mirror.mirror import Mirror
from sweeps.plan.preflight import Plan
from sweeps.progress.events import Display
from sweeps.progress.utilisation import Utilisation
from sweeps.run.resume import ResumeState
from sweeps.run.site import Site


@dataclass(frozen=True, kw_only=True, slots=True)
class DriverResources:
    """Resources that a driver holds.

    Attributes:
        lease: The right to drive the sweep.
        interrupts: Signals of the user.
        mirror: The sweep's copy in storage; None if it has none.
        checked_s: When the checks of the study began, seconds since 1970.
        begun_s: When the user asked for the sweep; None: at the start of this process.
    """

    lease: Lease
    interrupts: Interrupts
    mirror: Mirror | None
    checked_s: float
    begun_s: float | None = None

    def lost(self) -> str:
        """Return why this driver no longer owns the sweep; empty if it does."""
        if self.mirror is not None and self.mirror.lost:
            return "another driver has taken the sweep over"
        return "its folder was moved or removed while it ran" if self.lease.lost else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A sweep whose data are loaded, before its records are opened.

    Attributes:
        site: The site; `NOWHERE` if nothing is left to run.
        earlier: Trials of earlier sweeps for the sampler.
        data: Scenarios by fingerprint.
        teachers: Identity of each teacher, by fingerprint.
        ray: Starts if there is a site; the holder must end it.
    """

    folder: SweepFolder
    left: ResumeState
    plan: Plan
    display: Display
    held: DriverResources
    site: Site
    earlier: tuple[EarlierTrial, ...]
    data: dict[str, ScenarioData]
    identity: Identity
    teachers: Mapping[str, TeacherIdentity]
    ray: BackgroundContext
    utilisation: Utilisation
