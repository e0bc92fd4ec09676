"""How the cores of the machine are shared out among trials and their node actors."""

from dataclasses import dataclass
from typing import Literal

from kdtasks.errors import ConfigError

TransportName = Literal["ray", "inprocess"]
"""What carries messages between the nodes of a trial: calls of Ray actors, or of functions in the
trial's own process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatWishes:
    """What was asked for.

    Attributes:
        slots: Trials at once; None for as many as the cores carry.
        transport: What carries messages between a trial's nodes.
        actors: Node actors per trial; None for 1, or for none if the transport needs none.
    """

    slots: int | None = None
    transport: TransportName = "ray"
    actors: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Seats:
    """Who gets how many cores.

    Attributes:
        slots: Trials at once.
        actors: Node actors of each, one core each; 0 if the nodes are in the trial's own process,
            which then has the core.
    """

    slots: int
    actors: int

    @property
    def cores(self) -> int:
        """Cores that are busy when all slots are."""
        return self.slots * max(1, self.actors)


def share_cores(wishes: SeatWishes, cores: int) -> Seats:
    """Return who gets how many cores.

    Args:
        wishes: What was asked for.
        cores: What the machine has.

    Raises:
        ConfigError: If not even one trial fits, or trials would share cores; it names what to
            lower.
    """
    per_trial = _actors(wishes, cores)
    slots = cores // per_trial if wishes.slots is None else wishes.slots
    if slots < 1:
        raise ConfigError(f"slots must be 1 or more, got {slots}")
    if slots * per_trial > cores:
        fits = f"lower slots to {cores // per_trial}"
        if slots <= cores and per_trial > 1:
            fits = f"{fits} or actors to {cores // slots}"
        raise ConfigError(
            f"{slots} trials at once with {per_trial} each need {slots * per_trial} cores, this "
            f"machine has {cores}; {fits}"
        )
    return Seats(slots=slots, actors=per_trial if wishes.transport == "ray" else 0)


def _actors(wishes: SeatWishes, cores: int) -> int:
    """Return how many cores a trial takes."""
    if wishes.transport == "inprocess":
        if wishes.actors is not None:
            raise ConfigError(
                f"actors = {wishes.actors} has no meaning with transport inprocess, where a trial "
                "is one process; leave actors out, or take transport ray"
            )
        return 1
    actors = 1 if wishes.actors is None else wishes.actors
    if not 1 <= actors <= cores:
        raise ConfigError(
            f"actors must lie in [1, {cores}], for every node actor of a trial takes one of the "
            f"{cores} cores of this machine, got {actors}"
        )
    return actors
