"""Which deployments LiDAR beam tracking knows, and what has no effect on them.

With topology ``centralized`` the server trains on scans, its own or also those that edges send.
With ``decentralized`` and a method on data, edges train on their own scans, or on the server's if
it sends these; with a method without data the server sends a teacher and its metadata, or a
generator, and no scan is used at an edge.
"""

from kdtasks.errors import ConfigError
from kdtasks.network import NetworkSettings, inactive_in_network

OF_DEPLOYMENTS = frozenset(
    {
        "anchor",
        "anchor_weight",
        "edge_part_only",
        "edge_samples",
        "exchange_bits",
        "rehearsal_share",
        "rehearsal_source",
        "rounds",
        "scans_travel",
        "server_age",
        "server_coverage",
        "upload_share",
        "uploads",
    }
)
"""Network parameters that are refused where they have no effect."""


def inactive_in_deployment(
    settings: NetworkSettings, *, scans_travel: bool, on_data: bool, teacher: bool
) -> dict[str, str]:
    """Return the network parameters without effect, each with what it belongs to.

    Args:
        settings: The deployment.
        scans_travel: Whether the server is to send its scans.
        on_data: Whether students see recorded scans.
        teacher: Whether the method distils.
    """
    owners: dict[str, tuple[bool, str]] = {
        "topology": (settings.networked, "a network"),
        "num_teachers": (False, "tasks with several teachers"),
        "edge_families": (False, "tasks with other students at other edges"),
        "edge_part_only": (False, "models that have a part at the server"),
        "server_coverage": (False, "tasks whose samples each have one place"),
        "server_age": (False, "tasks whose site changes"),
        "edge_samples": (settings.networked and on_data, "methods on data, in a network"),
        "scans_travel": (
            settings.topology == "decentralized" and on_data and teacher,
            "method ordinary and topology decentralized",
        ),
    }
    inactive = inactive_in_network(settings, pairs=scans_travel)
    return inactive | {name: owner for name, (active, owner) in owners.items() if not active}


def check_deployment(
    settings: NetworkSettings, *, method: str, on_data: bool, selection: str
) -> None:
    """Refuse a deployment that makes no sense.

    Args:
        settings: The deployment; anything goes if it has no network.
        method: The method.
        on_data: Whether its students see recorded scans.
        selection: How an epoch is chosen.

    Raises:
        ConfigError: Naming the parameter, its value and the way out.
    """
    if not settings.networked:
        return
    if settings.topology == "centralized" and not on_data:
        raise ConfigError(
            f"method={method!r} makes students without data, but with topology centralized the "
            "server trains them, which has scans: set topology to decentralized, or take ordinary "
            "or vanilla"
        )
    if selection == "real":
        raise ConfigError(
            "selection='real' needs topology none: the nodes of a network have no validation "
            "windows; take none"
        )
