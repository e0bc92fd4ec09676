"""Parameters of a deployment that have an entry for each edge, with blanks between them."""

import math

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.policy import EDGE_TOPOLOGIES


def share_of(listed: str, edge: int) -> float:
    """Return an edge's entry in a list of shares; 1 without a list."""
    return float(listed.split()[edge]) if listed else 1.0


def check_shares(name: str, listed: str, num_edges: int) -> None:
    """Check a list of shares, each a number above 0; it may be empty.

    Raises:
        ConfigError: Naming the parameter and what would be accepted.
    """
    if not listed:
        return
    _check_length(name, listed, num_edges)
    for entry in listed.split():
        try:
            share = float(entry)
        except ValueError:
            share = math.nan
        if not 0.0 < share < math.inf:
            raise ConfigError(f"{name}={listed!r}: {entry} must be a number above 0, such as 0.5")


def check_topologies(listed: str, policy: str, num_edges: int) -> None:
    """Check the topologies of edges; with a policy, which chooses them, they may be missing.

    Raises:
        ConfigError: Naming the parameter and what would be accepted.
    """
    known = ", ".join(EDGE_TOPOLOGIES)
    if not listed and policy == "none":
        raise ConfigError(
            f"topology='per-edge' needs edge_topologies: for each of num_edges={num_edges} edges "
            f"one of {known}, with blanks between them; or a policy that chooses them"
        )
    for name in listed.split():
        if name not in EDGE_TOPOLOGIES:
            hint = ": its edges learn from each other, all or none" if name == "mutual" else ""
            raise ConfigError(
                f"edge_topologies={listed!r}: an edge cannot have {name!r} by itself{hint}; take "
                f"one of {known}"
            )
    if listed:
        _check_length("edge_topologies", listed, num_edges)


def _check_length(name: str, listed: str, num_edges: int) -> None:
    if (count := len(listed.split())) != num_edges:
        raise ConfigError(
            f"{name}={listed!r} has {count} entries for num_edges={num_edges}: give one per edge, "
            "with blanks between them"
        )
