"""What the parameters of the tasks on passages through a street have in common."""

from typing import Any

from kdtasks.contract.deployment import NETWORK, NetworkSettings, TopologyName
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.settings import When

ON_STREET = When(lambda s: s.scenario == "street", "scenario street")


class PassageSettings(NetworkSettings):
    """A deployment of one-sided students, whose samples are windows over frames of a passage."""

    topology: TopologyName = NetworkSettings.again("topology", when=NETWORK)
    edge_part_only: bool = NetworkSettings.unused(
        "edge_part_only", "models that have a part at the server"
    )
    server_coverage: float = NetworkSettings.unused(
        "server_coverage", "tasks whose samples each have one place"
    )
    server_age: float = NetworkSettings.unused("server_age", "tasks whose site changes")


def check_source(settings: Any) -> None:
    """Refuse a scenario of the user's own without files, and files without it.

    Raises:
        ConfigError: Naming the parameter, its value and the way out.
    """
    if (settings.scenario == "deepsense") != bool(settings.data_path):
        raise ConfigError(
            "scenario 'deepsense' reads your own files: set data_path"
            if settings.scenario == "deepsense"
            else f"data_path={settings.data_path!r} has no effect with scenario "
            f"{settings.scenario!r}: remove it, or set scenario to deepsense"
        )
