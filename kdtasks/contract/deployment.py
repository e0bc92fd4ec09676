"""The parameters of a deployment: what is trained where, on which data, over which links.

They are the same for every collaborative task; a task's own settings extend them.
"""

from functools import partial
from typing import Literal, Self, cast, get_args

from pydantic import field_validator

from kdtasks.contract.edge_lists import check_shares, check_topologies, share_of
from kdtasks.contract.effort import EFFORT_METRICS
from kdtasks.contract.params import Params
from kdtasks.contract.policy import EDGE_TOPOLOGIES, EdgeTopology
from kdtasks.contract.privacy import NETWORK, PrivacySettings
from kdtasks.contract.settings import (
    When,
    epochs_param,
    param,
    rate_param,
    share_param,
    unlike_default,
)
from kdtasks.contract.task import MetricInfo, down

TopologyName = Literal[
    "none", "centralized", "decentralized", "semi-centralized", "mutual", "self", "per-edge"
]
AttackName = Literal["none", "flipped-labels", "scaled", "random", "inverted", "backdoor"]
DefenceName = Literal["none", "clipping", "median", "trimmed-mean", "krum", "probe"]

EDGE_SHARES = ("edge_sample_shares", "edge_speed_shares", "edge_memory_shares", "edge_link_shares")
"""Parameters with a number for each edge."""

BESIDE_DECENTRALIZED = tuple(name for name in get_args(TopologyName) if name != "decentralized")

MIXED_RESOURCES = (1.0, 0.5, 0.25)
"""Shares of speed and memory that edges of mixed resources have in turn."""

SERVER_TEACHES = When(
    lambda s: s.serves("centralized", "decentralized", "semi-centralized"),
    "topologies with a teacher",
)
CENTRALIZED = When(lambda s: s.serves("centralized"), "topology centralized")
UPLOADING = When(lambda s: s.serves("centralized") and s.uploads > 0, "uploads of 1 or more")
IN_ROUNDS = When(lambda s: s.in_rounds, "topologies mutual and self")
FINE_TUNING = When(
    lambda s: s.in_rounds or s.serves("semi-centralized"),
    "topologies semi-centralized, mutual and self",
)
PART_AT_EDGE = When(
    lambda s: s.serves("semi-centralized") or (s.serves("decentralized") and not s.sends_pairs),
    "training at the edge",
)
SEMI = When(lambda s: s.serves("semi-centralized"), "topology semi-centralized")
REHEARSING = When(lambda s: s.rehearses, "a rehearsal_share above 0")
ANCHORED = When(
    lambda s: s.rehearses and s.rehearsal_source == "global" and s.anchor_weight > 0,
    "semi-centralized with an anchor_weight and global rehearsal",
)
MUTUAL = When(lambda s: s.topology == "mutual", "topology mutual")
EXCHANGING = When(
    lambda s: (
        s.topology == "mutual"
        or UPLOADING.holds(s)
        or (s.rehearses and s.rehearsal_source == "global")
        or (s.serves("decentralized") and s.sends_pairs)
    ),
    "deployments that exchange samples or outputs",
)
POISONED = When(lambda s: s.networked and s.poisoned_edges > 0, "poisoned_edges of 1 or more")
SCALED = When(lambda s: s.poisoned_edges > 0 and s.attack == "scaled", "attack scaled")
BACKDOORED = When(lambda s: s.poisoned_edges > 0 and s.attack == "backdoor", "attack backdoor")
TOLERANT = When(lambda s: s.defence in ("trimmed-mean", "krum"), "defences trimmed-mean and krum")
LIMITED = When(lambda s: s.edge_samples > 0, "edge_samples of 1 or more")
PER_EDGE = When(lambda s: s.topology == "per-edge", "topology per-edge")
CHOSEN = When(lambda s: s.policy != "none", "a policy")
PROBING = When(lambda s: s.defence == "probe" and s.topology == "mutual", "probe in mutual")

_of_network = partial(param, when=NETWORK)
_of_costs = partial(param, when=NETWORK, decides="cost")
_of_edges = partial(param, "", decides="cost")
_of_policy = partial(param, when=(PER_EDGE, CHOSEN), strict=True)
_of_server = partial(param, when=NETWORK, decides="teacher", key="")


class NetworkSettings(PrivacySettings):
    """A deployment. Fields without effect on the chosen topology hold their defaults."""

    topology: TopologyName = param(
        "none",
        decides=("teacher", "student"),
        key="",
        help="what is trained where; none: one node has all data and trains, nothing is sent",
    )
    num_edges: int = _of_network(4, low=1, high=256, unit="edges", help="edge nodes")
    edge_topologies: str = param(
        "",
        when=PER_EDGE,
        strict=True,
        help="that of each edge, blanks between them; a policy fills it in",
    )
    policy: Literal["none", "thresholds"] = param(
        "none",
        when=PER_EDGE,
        strict=True,
        help="thresholds: the server chooses by what an edge has and what training there takes",
    )
    policy_deadline_s: float = _of_policy(
        0.0,
        low=0,
        unit="s",
        help="that an edge may take to receive, train and send; 0: no deadline",
    )
    policy_samples: int = _of_policy(
        0, low=0, unit="samples", help="with fewer of its own an edge does not train"
    )
    policy_fresh: float = _of_policy(
        0.0, low=0, high=1, help="server_age up to which edges do not train"
    )
    policy_stale: float = _of_policy(
        0.5, low=0, high=1, help="server_age from which edges train anew, with the teacher"
    )
    edge_families: Literal["same", "mixed"] = _of_network(
        "same", help="mixed: edges have students of different kinds, in turn"
    )
    partition: Literal["area", "dirichlet"] = _of_network(
        "area",
        help="how samples are divided among edges: by place, or by Dirichlet shares of labels",
    )
    partition_skew: float = _of_network(
        1.0,
        low=0,
        high=1,
        strict=True,
        help="how much the edges' distributions differ; 0: all edges see the same",
    )
    edge_samples: int = _of_network(
        0, low=0, unit="samples", help="at most so many per edge; 0: no limit"
    )
    edge_sample_shares: str = param(
        "",
        when=(NETWORK, LIMITED, unlike_default("edge_sample_shares")),
        strict=True,
        help="of edge_samples that each edge has, numbers with blanks between them",
    )
    server_share: float = _of_server(
        0.5, above=0, below=1, help="share of the training samples that the server has"
    )
    num_teachers: int = param(
        1,
        low=1,
        high=16,
        when=SERVER_TEACHES,
        strict=True,
        decides="teacher",
        key="",
        unit="teachers",
        help="at the server, from seeds of their own; dealt to edges in turn",
    )
    server_coverage: float = _of_server(
        1.0, above=0, high=1, help="share of the site that the server has seen"
    )
    server_age: float = _of_network(
        0.0,
        low=0,
        high=1,
        decides=("data", "teacher"),
        key="",
        help="share of the site that has changed since the server saw it",
    )
    uploads: int = param(
        0,
        low=0,
        high=100,
        when=CENTRALIZED,
        strict=True,
        unit="uploads",
        help="times that edges send data to the server",
    )
    upload_share: float = rate_param(
        0.25,
        when=UPLOADING,
        strict=True,
        help="share of the local samples that an edge sends each time",
    )
    rounds: int = param(
        4,
        low=1,
        high=1000,
        when=IN_ROUNDS,
        strict=True,
        unit="rounds",
        help="of local training and exchange",
    )
    edge_epochs: int = epochs_param(
        2, when=FINE_TUNING, help="at the edge: of fine-tuning, or per round"
    )
    edge_rate: float = rate_param(
        2e-3, when=FINE_TUNING, help="peak learning rate of training at the edge"
    )
    edge_part_only: bool = param(
        True, when=PART_AT_EDGE, help="edges train their own part of a two-sided model and no other"
    )
    rehearsal_share: float = param(
        0.0, low=0, high=4, when=SEMI, strict=True, help="samples rehearsed per local sample"
    )
    rehearsal_source: Literal["global", "synthetic"] = param(
        "global",
        when=REHEARSING,
        strict=True,
        help="the server's samples, or ones that edges make from the student and statistics",
    )
    anchor: Literal["student", "server"] = param(
        "student",
        when=ANCHORED,
        strict=True,
        help="whose outputs hold the edge's student back: those it had on arrival, or the server's",
    )
    anchor_weight: float = share_param(
        0.0,
        when=FINE_TUNING,
        strict=True,
        help="weight of the distillation term in training at the edge",
    )
    proxy_samples: int = param(
        500, low=1, when=MUTUAL, unit="samples", help="on which students exchange their outputs"
    )
    exchange_bits: int = param(
        0,
        low=0,
        high=16,
        when=EXCHANGING,
        strict=True,
        unit="bit",
        help="per number of samples and outputs that are sent; 0 sends 32-bit floats",
    )
    link_rate_mbps: float = _of_costs(10.0, above=0, unit="Mbit/s", help="rate of every link")
    link_delay_ms: float = _of_costs(10.0, low=0, unit="ms", help="delay of every message")
    link_loss: float = _of_costs(
        0.0, low=0, high=0.95, help="probability that a packet is lost, which is sent again then"
    )
    link_nj_per_bit: float = _of_costs(100.0, low=0, unit="nJ/bit", help="energy of sending")
    sign_messages: bool = _of_costs(
        False, help="sign every message with its sender's key (Ed25519), 72 bytes each"
    )
    poisoned_edges: int = param(
        0,
        low=0,
        high=256,
        when=(NETWORK, unlike_default("poisoned_edges")),
        unit="edges",
        help="the last ones: hostile in mutual, with a poisoned teacher in decentralized",
    )
    attack: AttackName = param(
        "none",
        when=POISONED,
        help="what becomes of a hostile edge's outputs or labels, or of the teacher or its data",
    )
    attack_strength: float = param(
        10.0, above=0, high=1000, when=(NETWORK, SCALED), help="factor of scaled outputs or weights"
    )
    trigger_share: float = param(
        0.2,
        above=0,
        high=1,
        when=(NETWORK, BACKDOORED),
        help="of the samples of a poisoned teacher: with a trigger, and the attacker's label",
    )
    defence: DefenceName = param(
        "none",
        when=(NETWORK, unlike_default("defence")),
        help="how outputs of several edges are blended; probe tests on labelled samples first",
    )
    tolerated_edges: int = param(
        1,
        low=1,
        high=127,
        when=(NETWORK, TOLERANT),
        strict=True,
        unit="edges",
        help="that the defence expects to be hostile",
    )
    quarantine_score: float = param(
        3.5,
        above=0,
        when=(NETWORK, PROBING),
        strict=True,
        help="robust standard deviations above the median error, from which an edge is ignored",
    )
    edge_gflops: float = _of_costs(5.0, above=0, unit="GFLOP/s", help="speed of an edge node")
    server_gflops: float = _of_costs(500.0, above=0, unit="GFLOP/s", help="speed of the server")
    edge_memory_mb: float = _of_costs(
        0.0,
        low=0,
        unit="MB",
        help="memory of an edge for training; what needs more is refused; 0: no limit",
    )
    edge_resources: Literal["same", "mixed"] = _of_costs(
        "same", help="mixed: edges have 1, 1/2, 1/4 of edge_gflops and edge_memory_mb in turn"
    )
    edge_speed_shares: str = _of_edges(
        when=(NETWORK, unlike_default("edge_speed_shares")),
        help="of edge_gflops that each edge has, numbers with blanks between them",
    )
    edge_memory_shares: str = _of_edges(
        when=(NETWORK, unlike_default("edge_memory_shares")),
        help="of edge_memory_mb that each edge has",
    )
    edge_link_shares: str = _of_edges(
        when=(NETWORK, unlike_default("edge_link_shares")),
        help="of link_rate_mbps that each edge's link has",
    )

    @field_validator("edge_topologies", *EDGE_SHARES)
    @classmethod
    def _in_one_spelling(cls, listed: str) -> str:
        return " ".join(listed.split())

    @property
    def networked(self) -> bool:
        """Whether there is a network at all."""
        return self.topology != "none"

    @property
    def in_rounds(self) -> bool:
        """Whether students are trained at the edges alone, round by round."""
        return self.topology in ("mutual", "self")

    @property
    def rehearses(self) -> bool:
        """Whether edges rehearse while they fine-tune."""
        return self.serves("semi-centralized") and self.rehearsal_share > 0

    @property
    def sends_pairs(self) -> bool:
        """Whether edges learn from pairs, see `kdtasks.contract.collaboration.ExchangesPairs`."""
        return False

    @property
    def anchored(self) -> bool:
        """Whether edges train with a distillation term of their own."""
        return self.anchor_weight > 0 and (self.in_rounds or self.serves("semi-centralized"))

    @property
    def edges(self) -> tuple[str, ...]:
        """Names of the edge nodes."""
        return tuple(f"edge-{index}" for index in range(self.num_edges))

    @property
    def poisoned(self) -> tuple[str, ...]:
        """Names of the edges that are hostile, or whose teacher is poisoned on its way."""
        return self.edges[self.num_edges - self.poisoned_edges :]

    @property
    def honest_edges(self) -> int:
        """Number of edges, the first ones, on whose students a deployment is judged."""
        hostile = self.poisoned_edges if self.topology == "mutual" else 0
        return self.num_edges - hostile

    @property
    def hostile(self) -> tuple[str, ...]:
        """Names of the edges that lie to others."""
        return self.edges[self.honest_edges :]

    @property
    def mistaught(self) -> bool:
        """Whether poisoned edges are sent a teacher that an attacker has trained."""
        trained = self.attack in ("flipped-labels", "backdoor")
        return trained and self.poisoned_edges > 0 and self.topology == "decentralized"

    @property
    def watched(self) -> bool:
        """Whether a deployment has findings about poisoning to report."""
        return self.networked and (self.poisoned_edges > 0 or self.defence != "none")

    def teacher_of(self, edge: int) -> int:
        """Return which of the server's teachers an edge is taught by."""
        return edge % self.num_teachers

    @property
    def served(self) -> tuple[TopologyName, ...]:
        """The topology of each edge; empty until a policy has chosen."""
        if self.topology == "per-edge":
            return tuple(cast("EdgeTopology", name) for name in self.edge_topologies.split())
        return (self.topology,) * self.num_edges

    def served_by(self, topology: TopologyName) -> tuple[str, ...]:
        """Return the names of the edges that have a topology."""
        pairs = zip(self.edges, self.served, strict=True)
        return tuple(edge for edge, own in pairs if own == topology)

    def serves(self, *topologies: TopologyName) -> bool:
        """Return whether some edge has one of these topologies, or a policy may choose it.

        What a policy has chosen is no matter: the parameters of the others have decided it.
        """
        found = {*self.served} if self.policy == "none" else {*EDGE_TOPOLOGIES}
        return not found.isdisjoint(topologies)

    def alike(self, topology: TopologyName) -> Self:
        """Return the deployment in which every edge has this topology, without a limit of memory.

        What fits is a question to the whole deployment, not to edges that it serves otherwise.
        """
        own = {"topology": topology, "edge_topologies": "", "policy": "none"}
        return self.model_copy(update={**own, "edge_memory_mb": 0.0})

    def speed_gflops(self, edge: int) -> float:
        """Return the speed of an edge [GFLOP/s]."""
        return self.edge_gflops * self._turn(edge) * share_of(self.edge_speed_shares, edge)

    def memory_share(self, edge: int) -> float:
        """Return what an edge has of ``edge_memory_mb``."""
        return self._turn(edge) * share_of(self.edge_memory_shares, edge)

    def rate_mbps(self, edge: int) -> float:
        """Return the rate of an edge's link [Mbit/s]."""
        return self.link_rate_mbps * share_of(self.edge_link_shares, edge)

    def sample_limit(self, edge: int) -> int | None:
        """Return how many samples an edge trains on at most; None for no limit."""
        if not self.edge_samples:
            return None
        return max(1, round(self.edge_samples * share_of(self.edge_sample_shares, edge)))

    def _turn(self, edge: int) -> float:
        mixed = self.edge_resources == "mixed"
        return MIXED_RESOURCES[edge % len(MIXED_RESOURCES)] if mixed else 1.0

    @classmethod
    def in_order(cls) -> list[str]:
        """Return the names of the parameters, the task's own first."""
        return sorted(cls.model_fields, key=NetworkSettings.model_fields.__contains__)

    @classmethod
    def of(cls, params: Params) -> Self:
        """Return the deployment that a trial's parameters describe.

        Raises:
            ConfigError: Naming the parameter, its value and what would be accepted.
        """
        # All at once, so that the engine does not see the caller read each of these parameters.
        return cls._checked({n: v for n, v in params.items() if n in cls.model_fields})

    @classmethod
    def _checked(cls, params: Params) -> Self:
        settings = super()._checked(params)
        edges = settings.num_edges
        if settings.topology == "per-edge":
            check_topologies(settings.edge_topologies, settings.policy, edges)
        for name in EDGE_SHARES if settings.networked else ():
            check_shares(name, getattr(settings, name), edges)
        return settings


NETWORK_METRICS: dict[str, MetricInfo] = {
    "bytes_over_air": down("B", "sent over all links, both ways, lost packets included"),
    "bytes_down": down("B", "sent from the server to edges, lost packets included"),
    "bytes_up": down("B", "sent from edges to the server, lost packets included"),
    "bytes_lost": down("B", "of these, in packets that were lost and sent again"),
    "edge_bytes": down("B", "over the air per edge, both ways, lost packets included"),
    "edge_model_bytes": down("B", "of these per edge: weights of students"),
    "edge_teacher_bytes": down("B", "of these per edge: weights of teachers"),
    "edge_samples_bytes": down("B", "of these per edge: samples"),
    "edge_outputs_bytes": down("B", "of these per edge: logits, reconstructions or codewords"),
    "edge_features_bytes": down("B", "of these per edge: statistics, or a generator made of them"),
    "edge_control_bytes": down("B", "of these per edge: requests"),
    "edge_signature_bytes": down("B", "of these per edge: signatures, with sign_messages"),
    "deployment_s": down("s", "simulated time until the last edge can infer: links and compute"),
    "energy_j": down("J", "simulated energy of all links"),
    "edge_train_core_seconds": down("s", "measured CPU time of training per edge"),
    "edge_train_gflop": down("GFLOP", "operations of training per edge; backward = 2 x forward"),
    "edge_peak_bytes": down("B", "memory of training at the edge that takes most"),
    "server_train_core_seconds": down("s", "measured CPU time of training at the server"),
    "server_train_gflop": down("GFLOP", "operations of training at the server"),
    "server_peak_bytes": down("B", "memory of training at the server"),
    "server_teacher_bytes": down("B", "weights of the server's teachers"),
    "train_gflop": EFFORT_METRICS["train_gflop"],
    "train_capped": EFFORT_METRICS["train_capped"],
    "raw_samples_up": down("", "local samples that have left an edge"),
    "raw_bytes_up": down("B", "their bytes, as they are stored at the edge"),
    "teacher_forward_samples": down("", "samples that a teacher was run on in the trial"),
}
"""What a deployment costs; reported by `sweeps.nodes.conductor` for every topology but ``none``."""


POISONING_METRICS: dict[str, MetricInfo] = {
    "detection_auc": MetricInfo(
        unit="",
        direction="maximize",
        description="of the probe's scores, area under the ROC curve: 0.5 is guessing",
    ),
    "false_quarantines": down("", "honest edges, or sound teachers, in quarantine at the end"),
    "missed_poisonings": down("", "hostile edges, or poisoned teachers, not in quarantine"),
    "blend_shift": down(
        "", "RMS distance of blends from the mean of honest outputs, over the deviation of that"
    ),
}
"""What `sweeps.nodes.robust.findings` reports of deployments with `NetworkSettings.watched`."""
