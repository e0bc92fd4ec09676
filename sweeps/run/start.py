"""What the driver of a sweep has in hand when Ray has been asked to start."""

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
from sweeps.progress.listener import Display
from sweeps.progress.utilisation import Utilisation
from sweeps.run.resume import ResumeState
from sweeps.run.site import Site


@dataclass(frozen=True, kw_only=True, slots=True)
class DriverResources:
    """What a driver holds while it drives.

    Attributes:
        lease: The sweep's folder.
        interrupts: The user's wish to stop.
        mirror: The sweep's place in storage; None if it has none.
        checked_s: When the checks of the study began, seconds since 1970.
        begun_s: When the user asked for the sweep; None if that began this process.
    """

    lease: Lease
    interrupts: Interrupts
    mirror: Mirror | None
    checked_s: float
    begun_s: float | None = None

    def lost(self) -> str:
        """Return why the sweep is no longer ours, and MLflow left alone; empty if it is."""
        if self.mirror is not None and self.mirror.lost:
            return "another driver has taken the sweep over"
        return "its folder was moved or removed while it ran" if self.lease.lost else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A sweep whose data is loaded, before its books are opened.

    Attributes:
        folder: Where it is kept.
        left: What is to be done.
        plan: What that needs.
        display: Watches.
        held: What the driver holds.
        site: Where trials run; None if nothing is left to run.
        earlier: Trials of other sweeps to learn from.
        data: Scenarios by fingerprint.
        identity: What these and the code are.
        teachers: What decides on each teacher, by its fingerprint.
        ray: Comes up, if there is a site; whoever has this ends it.
        utilisation: How busy the slots are.
    """

    folder: SweepFolder
    left: ResumeState
    plan: Plan
    display: Display
    held: DriverResources
    site: Site | None
    earlier: tuple[EarlierTrial, ...]
    data: dict[str, ScenarioData]
    identity: Identity
    teachers: Mapping[str, TeacherIdentity]
    ray: BackgroundContext
    utilisation: Utilisation
