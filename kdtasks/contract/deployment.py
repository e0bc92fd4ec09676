"""The parameters of a deployment: who trains what, where, on whose data, over which links.

They are the same for every collaborative task; a task's own settings extend them.
"""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from kdtasks.contract.params import Params, Value
from kdtasks.contract.task import MetricInfo

TopologyName = Literal["none", "centralized", "decentralized", "semi-centralized", "mutual", "self"]


MIXED_RESOURCES = (1.0, 0.5, 0.25)
"""Shares of speed and memory that edges of mixed resources have in turn."""


class NetworkSettings(BaseModel):
    """A deployment. Fields without effect on the chosen topology hold their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    topology: TopologyName = Field(
        "none", description="none: one node has all data and trains; nothing is sent"
    )
    num_edges: int = Field(4, ge=1, le=256)
    edge_families: Literal["same", "mixed"] = "same"
    partition: Literal["area", "dirichlet"] = "area"
    partition_skew: float = Field(1.0, ge=0, le=1, description="0: all edges see the same")
    edge_samples: int = Field(0, ge=0, description="at most so many per edge; 0: no limit")
    server_share: float = Field(0.5, gt=0, lt=1, description="training samples at the server")
    num_teachers: int = Field(
        1, ge=1, le=16, description="at the server, from seeds of their own; dealt to edges in turn"
    )
    server_coverage: float = Field(1.0, gt=0, le=1, description="share of the site it has seen")
    server_age: float = Field(0.0, ge=0, le=1, description="share of the site changed since")
    uploads: int = Field(0, ge=0, le=100, description="times that edges send data to the server")
    upload_share: float = Field(0.25, gt=0, le=1, description="of the local samples, each time")
    rounds: int = Field(4, ge=1, le=1000)
    edge_epochs: int = Field(2, ge=1, description="at the edge: of a fine-tune, or per round")
    edge_rate: float = Field(2e-3, gt=0, le=1)
    edge_part_only: bool = Field(
        True, description="edges train their own part of a two-sided model and no other"
    )
    rehearsal_share: float = Field(0.0, ge=0, le=4, description="rehearsed per local sample")
    rehearsal_source: Literal["global", "synthetic"] = "global"
    anchor: Literal["student", "server"] = "student"
    anchor_weight: float = Field(0.0, ge=0, le=1, description="of the distillation term")
    proxy_samples: int = Field(500, ge=1)
    exchange_bits: int = Field(0, ge=0, le=16, description="per number; 0 sends 32-bit floats")
    link_rate_mbps: float = Field(10.0, gt=0)
    link_delay_ms: float = Field(10.0, ge=0)
    link_loss: float = Field(0.0, ge=0, le=0.95, description="of a packet, which is sent again")
    link_nj_per_bit: float = Field(100.0, ge=0)
    edge_gflops: float = Field(5.0, gt=0, description="speed of an edge node [GFLOP/s]")
    server_gflops: float = Field(500.0, gt=0)
    edge_memory_mb: float = Field(0.0, ge=0, description="for training; 0: no limit")
    edge_resources: Literal["same", "mixed"] = Field(
        "same",
        description="mixed: edges have 1, 1/2, 1/4 of edge_gflops and edge_memory_mb in turn",
    )

    @property
    def networked(self) -> bool:
        """Whether there is a network at all."""
        return self.topology != "none"

    @property
    def in_rounds(self) -> bool:
        """Whether students are trained at the edges alone, round by round."""
        return self.topology in ("mutual", "self")

    @property
    def anchored(self) -> bool:
        """Whether edges train with a distillation term of their own."""
        return self.anchor_weight > 0 and (self.in_rounds or self.topology == "semi-centralized")

    @property
    def edges(self) -> tuple[str, ...]:
        """Names of the edge nodes."""
        return tuple(f"edge-{index}" for index in range(self.num_edges))

    def teacher_of(self, edge: int) -> int:
        """Return which of the server's teachers an edge is taught by."""
        return edge % self.num_teachers

    def resource_share(self, edge: int) -> float:
        """Return what an edge has of ``edge_gflops`` and ``edge_memory_mb``."""
        return (
            MIXED_RESOURCES[edge % len(MIXED_RESOURCES)] if self.edge_resources == "mixed" else 1.0
        )

    @classmethod
    def of(cls, params: Params) -> Self:
        """Return the deployment that a trial's completed parameters describe."""
        # All at once: who asks for a deployment is not seen to depend on each of its parameters.
        return cls(**{n: value for n, value in params.items() if n in cls.model_fields})  # type: ignore[arg-type]


def edge_short_of_memory(
    settings: NetworkSettings, families_mb: Sequence[float]
) -> tuple[int, float, float] | None:
    """Return the edge that lacks memory to train, if there is one, and which lacks most.

    Args:
        settings: The deployment.
        families_mb: What training takes with each family of students [MB]; edge k is of family k
            modulo their number.

    Returns:
        Its number, what it has [MB] and what training takes there [MB].
    """
    if settings.edge_memory_mb <= 0.0:
        return None

    def needs_mb(edge: int) -> float:
        return families_mb[edge % len(families_mb)]

    edge = max(range(settings.num_edges), key=lambda k: needs_mb(k) / settings.resource_share(k))
    has_mb = settings.edge_memory_mb * settings.resource_share(edge)
    # A quotient, as in the order of edges: what just fits shall not fail by rounding.
    lacks = needs_mb(edge) / settings.resource_share(edge) > settings.edge_memory_mb
    return (edge, has_mb, needs_mb(edge)) if lacks else None


ALWAYS = (
    "num_edges",
    "edge_families",
    "partition",
    "partition_skew",
    "edge_samples",
    "server_share",
    "server_coverage",
    "server_age",
    "link_rate_mbps",
    "link_delay_ms",
    "link_loss",
    "link_nj_per_bit",
    "edge_gflops",
    "server_gflops",
    "edge_memory_mb",
    "edge_resources",
)
"""Parameters of every network."""


def inactive_in_network(settings: NetworkSettings, *, pairs: bool) -> dict[str, str]:
    """Return the network parameters without effect, each with what it belongs to.

    Args:
        settings: The deployment.
        pairs: Whether edges learn from pairs, see `kdtasks.contract.collaboration.ExchangesPairs`.
    """
    kind = settings.topology
    semi, mutual, rounds = kind == "semi-centralized", kind == "mutual", kind in ("mutual", "self")
    rehearses = semi and settings.rehearsal_share > 0
    sends_data = (
        (kind == "centralized" and settings.uploads > 0)
        or (rehearses and settings.rehearsal_source == "global")
        or mutual
        or (kind == "decentralized" and pairs)
    )
    owners: dict[str, tuple[bool, str]] = {
        "num_teachers": (
            kind in ("centralized", "decentralized", "semi-centralized"),
            "topologies with a teacher",
        ),
        "uploads": (kind == "centralized", "topology centralized"),
        "upload_share": (kind == "centralized" and settings.uploads > 0, "uploads of 1 or more"),
        "rounds": (rounds, "topologies mutual and self"),
        "edge_epochs": (semi or rounds, "topologies semi-centralized, mutual and self"),
        "edge_rate": (semi or rounds, "topologies semi-centralized, mutual and self"),
        "edge_part_only": (semi or (kind == "decentralized" and not pairs), "training at the edge"),
        "rehearsal_share": (semi, "topology semi-centralized"),
        "rehearsal_source": (rehearses, "a rehearsal_share above 0"),
        "anchor_weight": (semi or rounds, "topologies semi-centralized, mutual and self"),
        "anchor": (
            rehearses and settings.rehearsal_source == "global" and settings.anchor_weight > 0,
            "semi-centralized with an anchor_weight and global rehearsal",
        ),
        "proxy_samples": (mutual, "topology mutual"),
        "exchange_bits": (sends_data, "deployments that exchange samples or outputs"),
        **dict.fromkeys(ALWAYS, (settings.networked, "a network")),
    }
    return {name: owner for name, (active, owner) in owners.items() if not active}


TEACHERS = "num_teachers"
"""The parameter that says how many teachers a deployment has."""

SERVER_DATA = frozenset({"topology", "server_share", "server_coverage", "server_age"})
"""Parameters that decide what the server, and with it the teacher, has seen."""


def network_values(settings: NetworkSettings) -> dict[str, Value]:
    """Return every network parameter of a task's settings."""
    return {name: getattr(settings, name) for name in NetworkSettings.model_fields}


def _less(unit: str, description: str) -> MetricInfo:
    return MetricInfo(unit=unit, direction="minimize", description=description)


NETWORK_METRICS: dict[str, MetricInfo] = {
    "bytes_over_air": _less("B", "sent over all links, both ways, lost packets included"),
    "bytes_down": _less("B", "sent from the server to edges, lost packets included"),
    "bytes_up": _less("B", "sent from edges to the server, lost packets included"),
    "bytes_lost": _less("B", "of these, in packets that were lost and sent again"),
    "edge_bytes": _less("B", "over the air per edge, both ways, lost packets included"),
    "edge_model_bytes": _less("B", "of these per edge: weights of students"),
    "edge_teacher_bytes": _less("B", "of these per edge: weights of teachers"),
    "edge_samples_bytes": _less("B", "of these per edge: samples"),
    "edge_outputs_bytes": _less("B", "of these per edge: logits, reconstructions or codewords"),
    "edge_features_bytes": _less("B", "of these per edge: statistics, or a generator made of them"),
    "edge_control_bytes": _less("B", "of these per edge: requests"),
    "deployment_s": _less("s", "simulated time until the last edge can infer: links and compute"),
    "energy_j": _less("J", "simulated energy of all links"),
    "edge_train_core_seconds": _less("s", "measured CPU time of training per edge"),
    "edge_train_gflop": _less("GFLOP", "operations of training per edge; backward = 2 x forward"),
    "edge_peak_bytes": _less("B", "memory that training takes at the neediest edge"),
    "server_train_core_seconds": _less("s", "measured CPU time of training at the server"),
    "server_train_gflop": _less("GFLOP", "operations of training at the server"),
    "raw_samples_up": _less("", "local samples that have left an edge"),
    "raw_bytes_up": _less("B", "their bytes, as they are stored at the edge"),
    "teacher_forward_samples": _less("", "samples that a teacher was run on in the trial"),
}
"""What a deployment costs; reported by `sweeps.nodes.conductor` for every topology but ``none``."""
