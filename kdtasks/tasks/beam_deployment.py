"""Which deployments beam tracking knows, and what has no effect on them.

Students are one-sided models, wholly at the edge; samples are windows over frames of a passage,
which leads through the whole street.
"""

from kdtasks.errors import ConfigError
from kdtasks.network import NetworkSettings, inactive_in_network

OF_DEPLOYMENTS = frozenset(
    {
        "anchor",
        "anchor_weight",
        "edge_part_only",
        "exchange_bits",
        "num_teachers",
        "partition_label",
        "partition_skew",
        "rehearsal_share",
        "rehearsal_source",
        "rounds",
        "server_age",
        "server_coverage",
        "upload_share",
        "uploads",
    }
)
"""Network parameters that are refused where they have no effect."""


def inactive_in_deployment(settings: NetworkSettings, *, has_teacher: bool) -> dict[str, str]:
    """Return the network parameters without effect, each with what it belongs to."""
    inactive = inactive_in_network(settings, pairs=False)
    # Frames are sent as they are stored, in integers and half precision: only logits are rounded.
    logits = settings.topology == "mutual"
    logits |= "anchor" not in inactive and settings.anchor == "server"
    owners: dict[str, tuple[bool, str]] = {
        "topology": (settings.networked, "a network"),
        "num_teachers": (
            has_teacher and "num_teachers" not in inactive,
            "methods and topologies with a teacher",
        ),
        "exchange_bits": (logits, "deployments that exchange logits"),
        "edge_part_only": (False, "models that have a part at the server"),
        "server_coverage": (False, "tasks whose samples each have one place"),
        "server_age": (False, "tasks whose site changes"),
        "partition_label": (
            settings.networked and settings.partition == "dirichlet",
            "partition dirichlet of a network",
        ),
    }
    return inactive | {name: owner for name, (active, owner) in owners.items() if not active}


def check_deployment(settings: NetworkSettings, *, method: str, seen: int) -> None:
    """Refuse a deployment that makes no sense.

    Args:
        settings: The deployment; anything goes if it has no network.
        method: The method, empty for one without a teacher.
        seen: Passages that the teacher is to be trained on; 0 for those of its student.

    Raises:
        ConfigError: Naming the parameter, its value and the way out.
    """
    if not settings.networked:
        return
    mixed = settings.edge_families == "mixed"
    if settings.in_rounds and method:
        raise ConfigError(
            f"method={method!r} needs a teacher, and topology {settings.topology} has none: set "
            "method to vanilla; distillation among students is weighed by anchor_weight"
        )
    if seen > 0:
        raise ConfigError(
            f"teacher_passages={seen} needs topology none: in a network the teacher is trained on "
            "the server's passages; leave it at 0 and set server_share"
        )
    if settings.rehearsal_source == "synthetic":
        raise ConfigError(
            "rehearsal_source='synthetic': pictures and radar maps cannot be made up from their "
            "statistics; take global"
        )
    if mixed and method == "self":
        raise ConfigError(
            "method='self' teaches a student by a network of its own kind: set edge_families to "
            "same, or take method response"
        )
    if mixed and settings.uploads > 0:
        raise ConfigError(
            f"uploads={settings.uploads}: edges of mixed families lack sensors that the others' "
            "students need; set edge_families to same, or uploads to 0"
        )
