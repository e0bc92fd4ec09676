"""Which machines of a cluster are gone: what fails with one does not count as its own failure."""

import socket
import time
from contextlib import suppress

import ray
from ray._private import state

KNOCK_S = 5.0
"""How long a machine may take to accept a connection [s]."""
HOLD_S = 0.5
"""How long it must hold it [s], unless it sends something: the system still accepts connections to
a process that is just being killed, and resets them."""
DYING_S = 2.0
"""How long a machine must go on to do so [s]: on a busy one a process takes its time to end."""


def machine_of(error: object) -> str:
    """Return the machine of the actor whose error this is; empty if unknown."""
    actor = getattr(error, "actor_id", None)
    place = state.actors(actor).get("Address", {}) if actor else {}
    return str(place.get("NodeID", ""))


def machine_lost(machine: str) -> bool:
    """Return whether a machine is gone.

    Ray takes up to half a minute to detect the loss, and starts processes there until then, so the
    machine is asked as well: one that is gone accepts no connection.
    """
    limit_s = time.monotonic() + DYING_S
    while True:
        nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it untyped
        found = [node for node in nodes if node["NodeID"] == machine]
        if any(not node["Alive"] or not _answers(node) for node in found):
            return True
        # the machine of this process answers as long as it asks
        if len(nodes) == 1 or not found or time.monotonic() > limit_s:
            return False


def _answers(node: dict[str, object]) -> bool:
    address = str(node["NodeManagerAddress"]), int(str(node["NodeManagerPort"]))
    try:
        with socket.create_connection(address, timeout=KNOCK_S) as connection:
            connection.settimeout(HOLD_S)
            with suppress(TimeoutError):
                return connection.recv(1) != b""
            return True
    except OSError:
        return False
