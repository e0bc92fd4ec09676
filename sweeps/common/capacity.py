"""Allocation of cores and GPUs to trials and their node actors."""

from dataclasses import dataclass, replace
from typing import Literal

from kdtasks.contract.errors import ConfigError
from search_spaces.resources import SMALLEST, TrialResources

TransportName = Literal["ray", "inprocess"]
"""What carries messages between the nodes of a trial: calls of Ray actors, or of functions in the
trial's own process."""


BackendName = Literal["ray", "inline"]
"""What runs trials: worker processes of Ray, or this process, one after the other."""

LOCAL = "local"
"""The address of this machine alone; overrides the address of earlier runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceRequest:
    """Options of a run that are not part of the study.

    Attributes:
        slots: Trials at once; None for the study's number.
        actors: Node actors per trial; None for 1, or for none if the transport needs none.
    """

    slots: int | None = None
    transport: TransportName = "ray"
    actors: int | None = None
    address: str | None = None
    backend: BackendName = "ray"


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """Cores and GPUs of one computing process, or of a machine."""

    cpus: float = 1.0
    gpus: float = 0.0

    @property
    def bundle(self) -> dict[str, float]:
        """The share as a Ray bundle, which has no zeros."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}

    def fits(self, machine: "Share") -> int:
        """Return how many processes fit on a machine.

        It counts in whole units of Ray's smallest share, as Ray does: in floating point ten shares
        of 0.1 do not fit into 1. A part of a GPU lies on one GPU; the rests of two do not add up.
        """
        room = _units(machine.cpus) // _units(self.cpus)
        if self.gpus >= 1:
            room = min(room, _units(machine.gpus) // _units(self.gpus))
        elif self.gpus:
            room = min(room, int(machine.gpus) * (_units(1.0) // _units(self.gpus)))
        return room

    def __str__(self) -> str:
        cores = f"{self.cpus:g} {'core' if self.cpus == 1 else 'cores'}"
        gpus = f" and {self.gpus:g} {'GPU' if self.gpus == 1 else 'GPUs'}"
        return cores + (gpus if self.gpus else "")


ONE_CORE = Share()


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """Available machines, at least one; errors call them ``place``."""

    machines: tuple[Share, ...]
    place: str = "this machine"

    def fits(self, share: Share) -> int:
        """Return how many processes fit; each is on one machine."""
        return sum(map(share.fits, self.machines))

    def __str__(self) -> str:
        each = dict.fromkeys(map(str, self.machines))
        several = f"{len(self.machines)} machines of " if len(self.machines) > 1 else ""
        return f"{self.place} has {several}{' or '.join(each)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceAllocation:
    """Allocation of processes to trials.

    Attributes:
        actors: Node actors per trial, with a share each; 0 if the nodes run in the trial's process,
            which then has the share.
    """

    slots: int
    actors: int
    share: Share = ONE_CORE
    machines: int = 1

    @property
    def processes(self) -> int:
        """Processes that compute when all slots are busy."""
        return self.slots * max(1, self.actors)

    @property
    def bundles(self) -> list[dict[str, float]]:
        """Ray bundles of a trial: an empty one for its process and one per node actor.

        Without actors the trial's process computes. All topologies take the same, because Tune
        reuses a process only for trials that take the same.
        """
        if not self.actors:
            return [self.share.bundle]
        return [{}, *(dict(self.share.bundle) for _ in range(self.actors))]


def allocate(
    request: ResourceRequest, resources: TrialResources, capacity: Capacity
) -> ResourceAllocation:
    """Return the allocation for a request, a study's resources and the available machines.

    Raises:
        ConfigError: If no trial fits, or fewer than requested; it names the field, its value, what
            is available and the fix.
    """
    gpus = _gpus(request, resources, capacity)
    share = Share(cpus=resources.cpus, gpus=gpus)
    most = capacity.fits(share)
    if most < 1:
        raise ConfigError(_no_room(share, capacity))
    per_trial = _processes(request, share, capacity)
    slots, place = resources.slots, "resources.slots"
    if request.slots is not None:
        slots, place = request.slots, "slots"
    if slots == "max":
        slots = most // per_trial
    if slots < 1:
        raise ConfigError(f"{place} must be 1 or more, got {slots}")
    if slots * per_trial > most:
        fits = f"lower {place} to {most // per_trial}"
        if slots <= most and per_trial > 1:
            fits = f"{fits} or actors to {most // slots}"
        raise ConfigError(
            f"{place} is {slots}: so many trials at once with {per_trial} processes of {share} "
            f"each do not fit, {capacity}; {fits}"
        )
    actors = per_trial if request.transport == "ray" else 0
    return ResourceAllocation(
        slots=slots, actors=actors, share=share, machines=len(capacity.machines)
    )


def _gpus(request: ResourceRequest, resources: TrialResources, capacity: Capacity) -> float:
    """Return the GPUs of a process; for auto the largest share with which all slots fit."""
    if resources.gpus != "auto":
        return resources.gpus
    those = replace(capacity, machines=tuple(m for m in capacity.machines if m.gpus >= 1))
    slots = resources.slots if request.slots is None else request.slots
    most = those.fits(Share(cpus=resources.cpus))
    wanted = most if slots == "max" else min(most, slots * (request.actors or 1))
    shares = (_units(1.0) // count * SMALLEST for count in range(1, _units(1.0)))
    fitting = (g for g in shares if those.fits(Share(cpus=resources.cpus, gpus=g)) >= wanted)
    return next(fitting) if most else 0.0


def _processes(request: ResourceRequest, share: Share, capacity: Capacity) -> int:
    """Return how many processes of a trial compute."""
    if request.transport == "inprocess":
        if request.actors is not None:
            raise ConfigError(
                f"actors = {request.actors} has no meaning with transport inprocess, where a trial "
                "is one process; leave actors out, or take transport ray"
            )
        return 1
    actors = 1 if request.actors is None else request.actors
    most = capacity.fits(share)
    if not 1 <= actors <= most:
        raise ConfigError(
            f"actors must lie in [1, {most}], for every node actor of a trial takes {share} and "
            f"{capacity}, got {actors}"
        )
    return actors


def _no_room(share: Share, capacity: Capacity) -> str:
    """Return which fields of the study ask for more than any machine has, and what to do."""
    machines, gpus = capacity.machines, Share(cpus=SMALLEST, gpus=share.gpus)
    lacks = []
    if not any(Share(cpus=share.cpus).fits(Share(cpus=each.cpus)) for each in machines):
        cores = max(each.cpus for each in machines)
        lacks.append(_lack("cpus", share.cpus, capacity, cores, "core"))
    if not any(gpus.fits(Share(gpus=each.gpus)) for each in machines):
        lacks.append(_lack("gpus", share.gpus, capacity, max(m.gpus for m in machines), "GPU"))
    if not lacks:  # each alone is there, but not on one machine
        lacks = [
            f"resources.cpus and resources.gpus ask for {share} on one machine, but {capacity}: "
            "lower one of them"
        ]
    return f"not one trial fits: {'; '.join(lacks)}; or run where there is more"


def _lack(name: str, value: float, capacity: Capacity, most: float, unit: str) -> str:
    has = f"{most:g} {unit}{'s' * (most != 1)}" if most else f"no {unit}"
    where = " at most" if len(capacity.machines) > 1 else ""
    fix = f"lower it to {most:g} or less" if most else "set it to 0"
    return f"resources.{name} is {value:g}, but {capacity.place} has {has}{where}: {fix}"


def _units(amount: float) -> int:
    return round(amount / SMALLEST)
