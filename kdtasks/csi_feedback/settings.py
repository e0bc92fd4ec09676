"""The parameters of the CSI feedback task: names, ranges, presets, and whom they concern.

Families of students: edges of a mixed deployment have encoders of different shapes.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from kdtasks.contract.deployment import NetworkSettings, inactive_in_network
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value
from kdtasks.contract.settings import checked, without_idle
from kdtasks.csi_feedback.data.angular_delay import divisors_near
from kdtasks.csi_feedback.data.channel_axes import DEFAULT
from kdtasks.csi_feedback.methods.codewords import codeword_loss
from kdtasks.csi_feedback.methods.ip_encoder_kd.pairs import FLOAT_BITS
from kdtasks.csi_feedback.models.custom_encoder import own_encoder
from kdtasks.csi_feedback.models.light_encoder import LightShape
from kdtasks.learning.custom_loss import own_loss

METHOD_NAMES = ("vanilla", "autoencoder-kd", "encoder-kd", "ip-encoder-kd", "sequential")
"""The project's own methods; others are losses of the user's own, see `own_loss`."""

ENCODERS = ("light", "crnet")
"""The project's own encoders; others are the user's own, see `own_encoder`."""

PAIR_METHODS = ("ip-encoder-kd", "sequential")
"""Methods that exchange CSI-codeword pairs, 3GPP TR 38.843 training Type 3."""


MOST_ANTENNAS, MOST_SUBCARRIERS = 1024, 4096


class CsiSettings(NetworkSettings):
    """Everything that decides one trial. Fields of other methods hold their defaults."""

    preset: Literal["quick", "small", "paper"] = "quick"
    scenario: str = "site-umi-los"
    second_scenario: str = ""
    data_path: str = ""
    data_key: str = ""
    data_axes: str = DEFAULT
    data_drop: bool = Field(False, description="leave out channels that are zero or not finite")
    data_seed: int = Field(0, ge=0)
    num_antennas: int = Field(ge=1, le=MOST_ANTENNAS)
    num_subcarriers: int = Field(ge=1, le=MOST_SUBCARRIERS)
    num_train: int = Field(ge=1)
    num_val: int = Field(ge=1)
    num_test: int = Field(ge=1)
    compression: int = Field(16, ge=1, description="denominator of the compression ratio, eq. (6)")
    method: str = "vanilla"
    encoder: str = "light"
    encoder_depth: int = Field(1, ge=0, le=6)
    encoder_width: int = Field(2, ge=1, le=128)
    encoder_kernel: Literal[3, 5, 7, 9] = 3
    encoder_factorised: bool = False
    decoder_width: int = Field(8, ge=1, le=128)
    alpha: float = Field(0.7, ge=0, le=1)
    temperature: float = Field(5.0, gt=0)
    soft_scale: Literal["t-squared", "paper"] = "t-squared"
    learning_rate: float = Field(gt=0, le=1)
    batch_size: int = Field(ge=2)
    epochs: int = Field(ge=1)
    encoder_epochs: int = Field(ge=1)
    finetune_epochs: int = Field(ge=1)
    finetune_rate: float = Field(gt=0, le=1)
    codeword_loss: str = Field("mse", description="mse, or a loss of your own")
    pair_bits: int = Field(0, ge=0, le=16, description="0 exchanges 32-bit floats")
    teacher_epochs: int = Field(ge=1)
    teacher_rate: float = Field(gt=0, le=1)
    teacher_seed: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)

    @property
    def codeword_length(self) -> int:
        """Numbers per report, N_s of eq. (6)."""
        return 2 * self.num_antennas * self.num_subcarriers // self.compression

    @property
    def payload_bits(self) -> int:
        """Bits of one report; the paper does not quantise codewords."""
        return self.codeword_length * FLOAT_BITS

    @property
    def light_shape(self) -> LightShape:
        """Shape of the student's encoder."""
        return LightShape(
            depth=self.encoder_depth,
            width=self.encoder_width,
            kernel=self.encoder_kernel,
            factorised=self.encoder_factorised,
        )

    @property
    def teacher_encoder(self) -> str:
        """Name of the teacher's encoder."""
        return "light" if self.light_teacher else "crnet"

    @property
    def own_loss(self) -> bool:
        """Whether the method is a loss of the user's own."""
        return self.method not in METHOD_NAMES

    @property
    def learns_outputs(self) -> bool:
        """Whether the whole student learns what the teacher reconstructs."""
        return self.method == "autoencoder-kd" or self.own_loss

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """Parts, antennas and subcarriers of a picture."""
        return (2, self.num_antennas, self.num_subcarriers)

    @property
    def encoder_sizes(self) -> tuple[int, int, int]:
        """Antennas, subcarriers and length of a codeword."""
        return (self.num_antennas, self.num_subcarriers, self.codeword_length)

    @property
    def light_teacher(self) -> bool:
        """Sequential training has the student's own encoder on both sides."""
        return self.method == "sequential" and self.encoder == "light"

    @property
    def sends_pairs(self) -> bool:
        """Whether base station and user equipment exchange pairs and no models."""
        return self.method in PAIR_METHODS

    @property
    def has_teacher(self) -> bool:
        """Whether the method distils from a teacher."""
        return self.method != "vanilla"


PRESETS: dict[str, dict[str, Value]] = {
    # Cui et al., section V-A, except for the end: they stop after 50 epochs without progress.
    "paper": {
        "num_antennas": 32,
        "num_subcarriers": 32,
        "num_train": 100_000,
        "num_val": 30_000,
        "num_test": 20_000,
        "learning_rate": 1e-3,
        "batch_size": 200,
        "epochs": 200,
        "encoder_epochs": 200,
        "finetune_epochs": 20,
        "finetune_rate": 2.5e-4,
        "edge_epochs": 20,
        "edge_rate": 2.5e-4,
        "teacher_epochs": 200,
        "teacher_rate": 1e-3,
    },
    "small": {
        "num_antennas": 32,
        "num_subcarriers": 32,
        "num_train": 20_000,
        "num_val": 3_000,
        "num_test": 3_000,
        "learning_rate": 4e-3,
        "batch_size": 50,
        "epochs": 12,
        "encoder_epochs": 24,
        "finetune_epochs": 3,
        "finetune_rate": 2e-3,
        "edge_epochs": 3,
        "edge_rate": 2e-3,
        "teacher_epochs": 24,
        "teacher_rate": 4e-3,
    },
    "quick": {
        "num_antennas": 16,
        "num_subcarriers": 16,
        "num_train": 12_000,
        "num_val": 2_000,
        "num_test": 2_000,
        "learning_rate": 8e-3,
        "batch_size": 50,
        "epochs": 4,
        "encoder_epochs": 10,
        "finetune_epochs": 1,
        "finetune_rate": 2e-3,
        # An edge has about an eighth of the samples, hence of the steps of an epoch.
        "edge_epochs": 4,
        "edge_rate": 2e-3,
        "teacher_epochs": 12,
        "teacher_rate": 8e-3,
    },
}

_DISTILS_CODEWORDS = ("encoder-kd", *PAIR_METHODS)


def _inactive(settings: CsiSettings) -> dict[str, str]:
    """Return the parameters without effect on this trial, each with what it belongs to."""
    softens = settings.method == "autoencoder-kd" or settings.anchored
    distils = (settings.learns_outputs, "method autoencoder-kd and losses of your own")
    end_to_end = settings.method == "vanilla" or settings.learns_outputs
    owners: dict[str, tuple[bool, str]] = {
        "alpha": distils,
        "temperature": (softens, "method autoencoder-kd, or to an anchor_weight above 0"),
        "pair_bits": (
            settings.sends_pairs and not settings.networked,
            "methods with pairs and topology none; in a network there is exchange_bits",
        ),
        "epochs": (
            (end_to_end and not settings.in_rounds) or settings.light_teacher,
            "other methods",
        ),
        "learning_rate": (not settings.in_rounds, "other topologies; here there is edge_rate"),
        "codeword_loss": (
            settings.method in _DISTILS_CODEWORDS,
            f"methods {', '.join(_DISTILS_CODEWORDS)}",
        ),
        "encoder_epochs": (settings.method in _DISTILS_CODEWORDS, "other methods"),
        "finetune_epochs": (settings.method in _DISTILS_CODEWORDS[:2], "other methods"),
        "teacher_epochs": (
            settings.has_teacher and not settings.light_teacher,
            "methods with a CRNet teacher",
        ),
        "teacher_rate": (settings.has_teacher, "methods with a teacher"),
        "teacher_seed": (settings.has_teacher, "methods with a teacher"),
        "num_teachers": (settings.has_teacher, "methods with a teacher"),
        "encoder_depth": (settings.encoder == "light", "encoder light"),
        "encoder_width": (
            settings.encoder == "light" and settings.encoder_depth >= 2,
            "encoder_depth of 2 or more",
        ),
        "encoder_kernel": (
            settings.encoder == "light" and settings.encoder_depth >= 1,
            "encoder_depth of 1 or more",
        ),
    }
    same = {
        "soft_scale": "temperature",
        "finetune_rate": "finetune_epochs",
        "encoder_factorised": "encoder_kernel",
    }
    owners |= {name: owners[other] for name, other in same.items()}
    without = {name: owner for name, (active, owner) in owners.items() if not active}
    without |= inactive_in_network(settings, pairs=settings.sends_pairs)
    if settings.topology == "decentralized" and settings.method != "encoder-kd":
        without["edge_part_only"] = "methods that take over the teacher's decoder"
    return without


MUST_FIT = frozenset(
    {
        "alpha",
        "temperature",
        "soft_scale",
        "codeword_loss",
        "pair_bits",
        "encoder_depth",
        "encoder_width",
        "encoder_kernel",
        "encoder_factorised",
        "partition_skew",
        "num_teachers",
        "uploads",
        "upload_share",
        "rounds",
        "rehearsal_share",
        "rehearsal_source",
        "anchor",
        "anchor_weight",
        "exchange_bits",
    }
)
"""Parameters that are refused where they have no effect. The others (epochs, rates, seeds of other
methods) are dropped, so that a study can fix them for all methods at once."""


def resolve(params: Params) -> CsiSettings:
    """Check parameters and fill in the preset.

    Raises:
        ConfigError: Naming the parameter, its value and what would be accepted.
    """
    settings = checked(params, CsiSettings, PRESETS, task="csi-feedback")
    _sizes(settings)
    _own_code(settings)
    _fits_network(settings)
    inactive = _inactive(settings)
    return without_idle(settings, params, inactive, MUST_FIT, PRESETS[settings.preset])


def _sizes(settings: CsiSettings) -> None:
    entries = 2 * settings.num_antennas * settings.num_subcarriers
    if entries == 2:
        raise ConfigError("num_antennas=1, num_subcarriers=1: one number is nothing to compress")
    if entries % settings.compression:
        near = " or ".join(map(str, divisors_near(entries, settings.compression)))
        where = f"; see kdsweep data inspect {settings.data_path}" if settings.data_path else ""
        raise ConfigError(
            f"compression={settings.compression} must divide the {entries} entries of a picture "
            f"(2 x {settings.num_antennas} x {settings.num_subcarriers}); {near} does{where}"
        )
    if settings.batch_size > settings.num_train:
        raise ConfigError(
            f"batch_size={settings.batch_size} must be at most num_train={settings.num_train}"
        )


def _own_code(settings: CsiSettings) -> None:
    """Load what is the user's own, and try it."""
    if settings.own_loss:
        own_loss(settings.method, (4, *settings.picture_shape), METHOD_NAMES)
    try:
        codeword_loss(settings.codeword_loss, settings.codeword_length)
    except ConfigError as error:
        raise ConfigError(f"codeword_loss: {error}") from error
    if settings.encoder in ENCODERS:
        return
    own_encoder(settings.encoder, settings.encoder_sizes, ENCODERS)
    if settings.method == "sequential":
        raise ConfigError(
            f"encoder={settings.encoder!r}: method sequential has one of the project's encoders on "
            f"both sides; take encoder {' or '.join(ENCODERS)}, or method ip-encoder-kd"
        )


def _fits_network(settings: CsiSettings) -> None:
    topology, method = settings.topology, settings.method
    if settings.sends_pairs and topology not in ("none", "decentralized"):
        raise ConfigError(
            f"method={method!r} trains at the edges, on pairs that the server sends: it needs "
            f"topology decentralized or none, not {topology}"
        )
    if settings.in_rounds and settings.has_teacher:
        raise ConfigError(
            f"method={method!r} needs a teacher, and topology {topology} has none: set method to "
            "vanilla; distillation among students is weighed by anchor_weight"
        )
    if settings.networked and settings.second_scenario:
        raise ConfigError(
            f"second_scenario={settings.second_scenario!r} needs topology none, not {topology}"
        )
    if method == "sequential" and settings.networked and settings.edge_families == "mixed":
        raise ConfigError(
            "method='sequential' has one and the same encoder on both sides: set edge_families "
            "to same, or take method ip-encoder-kd"
        )


def completed(settings: CsiSettings) -> dict[str, Value]:
    """Return what decides this trial: every parameter that has an effect on it, own ones first."""
    dumped: Mapping[str, Value] = settings.model_dump()
    inactive = _inactive(settings)
    order = sorted(dumped, key=lambda name: name in NetworkSettings.model_fields)
    return {name: dumped[name] for name in order if name not in inactive}


ENCODER = frozenset(
    {"encoder", "encoder_depth", "encoder_width", "encoder_kernel", "encoder_factorised"}
)

FAMILIES: tuple[dict[str, Value], ...] = (
    {},
    {"encoder": "light", "encoder_depth": 0},
    {"encoder": "light", "encoder_depth": 2, "encoder_width": 8},
)
"""Encoders that are dealt to edges in turn: the study's own, a linear one, a wider one."""


def family_params(settings: CsiSettings, params: Params, edge: int) -> dict[str, Value]:
    """Return the parameters of one edge's student, to be completed."""
    own = FAMILIES[edge % len(FAMILIES)] if settings.edge_families == "mixed" else {}
    if not own:
        return dict(params)
    return {**{name: v for name, v in params.items() if name not in ENCODER}, **own}


def families(settings: CsiSettings, params: Params) -> list[CsiSettings]:
    """Return the settings of the families of a deployment, in the order in which edges have them.

    Edge k is of family k modulo their number.
    """
    count = len(FAMILIES) if settings.edge_families == "mixed" else 1
    edges = range(min(count, settings.num_edges))
    return [resolve(family_params(settings, params, edge)) for edge in edges]
