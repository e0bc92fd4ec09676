"""Students that adapt: what the server learns in its areas, and edges in others in a few steps."""

from typing import Literal, Self

from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.privacy import NETWORK
from kdtasks.contract.settings import When, param, rate_param, share_param, unlike_default
from kdtasks.contract.task import MetricInfo, down

MARKS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Steps at an edge after which students are judged."""

ADAPTATION_METRICS = {
    **{
        f"val_nmse_after_{steps}_db": down("dB", f"NMSE after {steps} steps at edges")
        for steps in (0, *MARKS)
    },
    "val_steps_to_level": down("", "steps until NMSE is below level_db; none if it never is"),
    "val_level_reached": MetricInfo(
        unit="", direction="maximize", description="1 if some step reached level_db, else 0"
    ),
}

DEALT = When(lambda s: s.server_areas == 0, "server_areas 0")
SEMI_ALONE = When(lambda s: s.topology == "semi-centralized", "topology semi-centralized")
ADAPTS = When(
    lambda s: s.server_areas > 0 or s.stepwise or s.server_training != "plain",
    "server_areas of 1 or more, or another value than the default",
)
META = When(lambda s: s.meta_learns, "server_training reptile and fomaml")
STEPWISE = When(lambda s: s.stepwise, "stepwise training at edges")


class AdaptationSettings(NetworkSettings):
    """What the server knows, areas of its own perhaps, and how edges adapt to others."""

    server_areas: int = param(
        0,
        low=0,
        high=128,
        when=(NETWORK, unlike_default("server_areas")),
        decides=("teacher", "baselines"),
        key="",
        unit="areas",
        help="sectors of the server's own; each edge has one of as many between; 0: by partition",
    )
    server_training: Literal["plain", "reptile", "fomaml", "none"] = param(
        "plain",
        when=(SEMI_ALONE, ADAPTS),
        strict=True,
        help="of students at the server: as usual, to adapt (with server_areas), or not at all",
    )
    meta_weight: float = share_param(
        1.0, low=None, above=0, when=META, strict=True, help="weight of the meta term"
    )
    inner_steps: int = param(
        3, low=1, high=100, when=META, strict=True, unit="steps", help="of descent in one area"
    )
    inner_rate: float = rate_param(0.1, when=META, strict=True, help="of descent in one area")
    stepwise: bool = param(
        False,
        when=(SEMI_ALONE, ADAPTS),
        strict=True,
        help="edge_epochs are steps on all local samples at one rate; students on the way judged",
    )
    level_db: float = param(
        -3.0,
        low=-60,
        high=0,
        when=STEPWISE,
        decides="cost",
        unit="dB",
        help="NMSE to which steps are counted",
    )
    # Without a network the server's data are no parameters; that the topology is not among these
    # keeps one baseline from being computed once per topology.
    server_share: float = NetworkSettings.again("server_share", decides=("teacher", "baselines"))
    server_coverage: float = NetworkSettings.again(
        "server_coverage", decides=("teacher", "baselines")
    )
    server_age: float = NetworkSettings.again(
        "server_age", decides=("data", "teacher", "baselines")
    )
    privacy_share: float = NetworkSettings.again(
        "privacy_share", decides=("teacher", "student", "baselines")
    )
    partition: Literal["area", "dirichlet"] = NetworkSettings.again(
        "partition", when=(NETWORK, DEALT)
    )
    partition_skew: float = NetworkSettings.again("partition_skew", when=(NETWORK, DEALT))

    @property
    def meta_learns(self) -> bool:
        """Whether the server learns to adapt."""
        return self.server_training in ("reptile", "fomaml")

    def can_adapt(self, *, whole: bool) -> Self:
        """Return these settings.

        Args:
            whole: Whether the method trains encoder and decoder together, by one loss.

        Raises:
            ConfigError: If edges have no areas, or the server has nothing to learn from.
        """
        if self.server_areas and self.networked and self.num_edges > self.server_areas:
            raise ConfigError(
                f"num_edges={self.num_edges} must be at most server_areas={self.server_areas}: "
                "there are as many areas for edges as for the server, and each edge has its own"
            )
        if self.meta_learns and not (self.server_areas and whole):
            raise ConfigError(
                f"server_training={self.server_training!r} needs server_areas of 1 or more, and a "
                "method that trains encoder and decoder together, such as autoencoder-kd"
            )
        return self
