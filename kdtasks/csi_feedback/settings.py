"""The parameters of the CSI feedback task: names, ranges, presets, conditions."""

from functools import partial
from typing import Literal, Self

from kdtasks.contract.deployment import (
    BESIDE_DECENTRALIZED,
    PART_AT_EDGE,
    SERVER_TEACHES,
    NetworkSettings,
)
from kdtasks.contract.effort import ALONE, EPOCHS, GFLOP, PLATEAU, EffortSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.settings import (
    TRAINED,
    When,
    epochs_param,
    param,
    rate_param,
    share_param,
    unlike_default,
    weights_param,
)
from kdtasks.csi_feedback.adaptation import AdaptationSettings
from kdtasks.csi_feedback.data.angular_delay import divisors_near
from kdtasks.csi_feedback.data.channel_axes import DEFAULT
from kdtasks.csi_feedback.methods.codewords import codeword_loss
from kdtasks.csi_feedback.methods.ip_encoder_kd.pairs import FLOAT_BITS
from kdtasks.csi_feedback.models.custom_encoder import own_encoder
from kdtasks.csi_feedback.models.light_encoder import LightShape
from kdtasks.learning.custom_loss import own_loss

FREE_CODEWORD_METHODS = ("feature", "relation")
"""Methods that match the teacher's codewords without taking over its code."""

METHOD_NAMES = (
    "vanilla",
    "autoencoder-kd",
    "encoder-kd",
    "ip-encoder-kd",
    "sequential",
    *FREE_CODEWORD_METHODS,
)
"""The project's own methods; others are losses of the user's own, see `own_loss`."""

ENCODERS = ("light", "crnet")
"""The project's own encoders; others are the user's own, see `own_encoder`."""

PAIR_METHODS = ("ip-encoder-kd", "sequential")
"""Methods that exchange CSI-codeword pairs, 3GPP TR 38.843 training Type 3."""

CODEWORD_METHODS = ("encoder-kd", *PAIR_METHODS)
"""Methods whose encoders learn the teacher's codewords."""

MOST_ANTENNAS, MOST_SUBCARRIERS = 1024, 4096

BLENDS = When(
    lambda s: s.has_teacher and not s.learns_codewords,
    "methods autoencoder-kd, feature and relation, and losses of your own",
)
FREE_CODEWORDS = When(
    lambda s: s.method in FREE_CODEWORD_METHODS,
    f"methods {' and '.join(FREE_CODEWORD_METHODS)}",
)
RELATES = When(lambda s: s.method == "relation", "method relation")
SOFTENING = When(
    lambda s: s.method == "autoencoder-kd" or s.anchored,
    "method autoencoder-kd, or an anchor_weight above 0",
)
CODEWORDS = When(lambda s: s.learns_codewords, f"methods {', '.join(CODEWORD_METHODS)}")
FINE_TUNES = When(
    lambda s: s.method in CODEWORD_METHODS[:2], f"methods {' and '.join(CODEWORD_METHODS[:2])}"
)
EFFORT = When(
    lambda s: (
        ALONE.holds(s)
        or (
            not s.in_rounds
            and (s.effort == "gflop" or (s.effort == "plateau" and not s.sends_pairs))
        )
    ),
    "topology none; in a network effort gflop, or plateau with methods that exchange no pairs, and "
    "topologies other than mutual and self",
)
PAIRED = When(lambda s: s.second_scenario != "", "trials with a second_scenario")
TAUGHT = When(lambda s: s.has_teacher, "methods with a teacher")
LIGHT = When(lambda s: s.encoder == "light", "encoder light")
CONVOLVES = When(
    lambda s: s.encoder == "light" and s.encoder_depth >= 1, "encoder_depth of 1 or more"
)
WIDENS = When(lambda s: s.encoder == "light" and s.encoder_depth >= 2, "encoder_depth of 2 or more")


_of_data = partial(param, decides="data")
_relating = partial(param, when=RELATES, strict=True)
_of_encoder = partial(param, strict=True, decides=("teacher", "networks"), key="")


class CsiSettings(AdaptationSettings, EffortSettings):
    """Everything that decides one trial. Fields of other methods hold their defaults.

    Preset ``paper`` is Cui et al., section V-A, except for the end: they stop after 50 epochs
    without progress.
    """

    task = "csi-feedback"

    preset: Literal["quick", "small", "paper"] = param(
        "quick", decides=("data", "teacher", "student"), key="", help="sizes of all else"
    )
    scenario: str = _of_data(
        "site-umi-los",
        help="where channels are from: a name, rt:CITY, deepmimo:FOLDER, or a source of your own",
    )
    second_scenario: str = _of_data(
        "", help="another one, of which students learn as much; empty: none"
    )
    data_path: str = _of_data("", help="file or folder of your own channels")
    data_key: str = _of_data("", help="variable in the file, where several fit")
    data_axes: str = _of_data(DEFAULT, help="a word per axis, in the file's order")
    data_drop: bool = _of_data(False, help="leave out channels that are zero or not finite")
    data_seed: int = param(0, low=0, decides="made data", help="seed of users and their split")
    guard_m: float = param(
        0.0,
        low=0,
        high=20,
        when=unlike_default("guard_m"),
        decides=("data", "baselines"),
        unit="m",
        help="from users of validation and test to those of training, at least; sites only",
    )
    num_antennas: int = param(
        {"quick": 16, "small": 32, "paper": 32},
        low=1,
        high=MOST_ANTENNAS,
        decides=("data", "networks"),
        unit="antennas",
        help="at the base station",
    )
    num_subcarriers: int = param(
        {"quick": 16, "small": 32, "paper": 32},
        low=1,
        high=MOST_SUBCARRIERS,
        decides=("data", "networks"),
        unit="subcarriers",
        help="delays kept of a channel",
    )
    num_train: int = _of_data(
        {"quick": 12_000, "small": 20_000, "paper": 100_000},
        low=1,
        unit="samples",
        help="training split",
    )
    num_val: int = _of_data(
        {"quick": 2_000, "small": 3_000, "paper": 30_000},
        low=1,
        unit="samples",
        help="validation split",
    )
    num_test: int = _of_data(
        {"quick": 2_000, "small": 3_000, "paper": 20_000}, low=1, unit="samples", help="test split"
    )
    compression: int = param(
        16,
        low=1,
        decides=("teacher", "networks", "baselines"),
        help="denominator of the compression ratio, Cui et al., eq. (6)",
    )
    method: str = param(
        "vanilla",
        decides=("teacher", "networks"),
        key="",
        help=f"{', '.join(METHOD_NAMES)}, or a loss of your own",
    )
    encoder: str = param(
        "light",
        decides=("teacher", "networks"),
        key="",
        help=f"at the user equipment: {', '.join(ENCODERS)}, or a class of your own",
    )
    encoder_depth: int = _of_encoder(
        1, low=0, high=6, when=LIGHT, unit="layers", help="convolutions; 0: a dense layer alone"
    )
    encoder_width: int = _of_encoder(
        2, low=1, high=128, when=WIDENS, unit="channels", help="between convolutions"
    )
    encoder_kernel: Literal[3, 5, 7, 9] = _of_encoder(
        3, when=CONVOLVES, unit="pixels", help="either side of a convolution"
    )
    encoder_factorised: bool = _of_encoder(
        False, when=CONVOLVES, help="convolutions along one axis, then along the other"
    )
    decoder_width: int = param(
        8,
        low=1,
        high=128,
        decides=("teacher", "networks"),
        unit="channels",
        help="of the decoder's blocks at the base station",
    )
    alpha: float = share_param(
        0.7, when=BLENDS, strict=True, help="weight of the distillation term"
    )
    temperature: float = param(
        5.0, above=0, when=SOFTENING, strict=True, help="of softmax over a picture's entries"
    )
    soft_scale: Literal["t-squared", "paper"] = param(
        "t-squared",
        when=SOFTENING,
        strict=True,
        help="factor on the distillation term: temperature squared, or as in the paper",
    )
    relation_distance: float = _relating(1.0, low=0, help="weight of distances among codewords")
    relation_angle: float = _relating(1.0, low=0, help="weight of angles among codewords")
    relation_partners: int = _relating(
        4,
        low=1,
        high=1000,
        unit="samples",
        help="to each of which a sample's relations are matched",
    )
    learning_rate: float = rate_param(
        {"quick": 8e-3, "small": 4e-3, "paper": 1e-3},
        when=When(
            lambda s: not s.in_rounds, "topologies other than mutual and self, which have edge_rate"
        ),
        help="peak learning rate of the student",
    )
    batch_size: int = param(
        {"quick": 50, "small": 50, "paper": 200},
        low=2,
        decides=("teacher", "student"),
        unit="samples",
        help="per step",
    )
    epochs: int = epochs_param(
        {"quick": 4, "small": 12, "paper": 200},
        when=When(
            lambda s: (
                (s.light_teacher and not s.teacher_weights)
                or (s.effort == "epochs" and not s.in_rounds and not s.learns_codewords)
            ),
            f"methods other than {', '.join(CODEWORD_METHODS)} with effort epochs, or sequential "
            "with encoder light",
        ),
        decides=("teacher", "student"),
        key="",
        help="of the whole student, and of the light teacher of method sequential",
    )
    encoder_epochs: int = epochs_param(
        {"quick": 10, "small": 24, "paper": 200},
        when=(CODEWORDS, EPOCHS),
        help="of the encoder on codewords",
    )
    finetune_epochs: int = epochs_param(
        {"quick": 1, "small": 3, "paper": 20},
        when=(FINE_TUNES, When(lambda s: s.effort != "plateau", "efforts epochs and gflop")),
        help="of the whole student, after the encoder",
    )
    finetune_rate: float = rate_param(
        {"quick": 2e-3, "small": 2e-3, "paper": 2.5e-4},
        when=FINE_TUNES,
        help="peak learning rate of fine-tuning",
    )
    codeword_loss: str = param(
        "mse", when=CODEWORDS, strict=True, help="mse, or a loss of your own"
    )
    pair_bits: int = param(
        0,
        low=0,
        high=16,
        when=When(
            lambda s: s.method in PAIR_METHODS and not s.networked,
            "methods with pairs and topology none; in a network there is exchange_bits",
        ),
        strict=True,
        unit="bit",
        help="per number of exchanged pairs; 0 exchanges 32-bit floats",
    )
    teacher_compression: int = param(
        0,
        low=0,
        when=FREE_CODEWORDS,
        strict=True,
        decides=("teacher", "networks"),
        key="",
        help="compression of a teacher with codewords of another length; 0: the student's",
    )
    teacher_weights: str = weights_param(when=TAUGHT)
    teacher_epochs: int = epochs_param(
        {"quick": 12, "small": 24, "paper": 200},
        when=(
            When(lambda s: s.has_teacher and not s.light_teacher, "methods with a CRNet teacher"),
            TRAINED,
        ),
        decides="teacher",
        key="",
        help="of the teacher",
    )
    teacher_data: Literal["both", "first"] = param(
        "both", when=(TAUGHT, PAIRED), strict=True, decides="teacher", key="", help="teacher's data"
    )
    teacher_rate: float = rate_param(
        {"quick": 8e-3, "small": 4e-3, "paper": 1e-3},
        when=(TAUGHT, TRAINED),
        decides="teacher",
        key="rate",
        help="peak learning rate of the teacher",
    )
    teacher_seed: int = param(
        0, low=0, when=(TAUGHT, TRAINED), decides="teacher", key="seed", help="seed of the teacher"
    )
    seed: int = param(0, low=0, help="seed of the student")

    effort: Literal["epochs", "gflop", "plateau"] = EffortSettings.again(
        "effort", when=(unlike_default("effort"), EFFORT)
    )
    effort_gflop: float = EffortSettings.again("effort_gflop", when=(EFFORT, GFLOP))
    plateau_epochs: int = EffortSettings.again("plateau_epochs", when=(EFFORT, PLATEAU))
    plateau_gain: float = EffortSettings.again(
        "plateau_gain", default=0.02, unit="dB", when=(EFFORT, PLATEAU)
    )
    plateau_cap: int = EffortSettings.again("plateau_cap", when=(EFFORT, PLATEAU))
    # Of a network, where this task differs. An edge has about an eighth of the samples, hence of
    # the steps of an epoch.
    edge_epochs: int = NetworkSettings.again(
        "edge_epochs", default={"quick": 4, "small": 3, "paper": 20}
    )
    edge_rate: float = NetworkSettings.again(
        "edge_rate", default={"quick": 2e-3, "small": 2e-3, "paper": 2.5e-4}
    )
    edge_part_only: bool = NetworkSettings.again(
        "edge_part_only",
        when=(
            When(
                lambda s: s.method == "encoder-kd" or s.serves(*BESIDE_DECENTRALIZED),
                "methods that take over the teacher's decoder",
            ),
            PART_AT_EDGE,
        ),
    )
    num_teachers: int = NetworkSettings.again(
        "num_teachers", when=(SERVER_TEACHES, TAUGHT, TRAINED)
    )

    def fitted(self) -> Self:
        """Return these settings if they can be trained, with what is the user's own loaded."""
        _sizes(self)
        _own_code(self)
        _fits_network(self)
        return self.can_adapt(whole=not self.learns_codewords)

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
    def of_teacher(self) -> Self:
        """These settings with the compression of the teacher."""
        return self.model_copy(update={"compression": self.teacher_compression or self.compression})

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
    def learns_codewords(self) -> bool:
        """Whether the encoder learns the teacher's codewords."""
        return self.method in CODEWORD_METHODS

    @property
    def has_teacher(self) -> bool:
        """Whether the method distils from a teacher."""
        return self.method != "vanilla"


def _sizes(settings: CsiSettings) -> None:
    entries = 2 * settings.num_antennas * settings.num_subcarriers
    if entries == 2:
        raise ConfigError("num_antennas=1, num_subcarriers=1: one number is nothing to compress")
    for name in ("teacher_compression", "compression"):
        compression = getattr(settings, name)
        if not compression or entries % compression == 0:
            continue
        near = " or ".join(map(str, divisors_near(entries, compression)))
        where = f"; see kdsweep data inspect {settings.data_path}" if settings.data_path else ""
        raise ConfigError(
            f"{name}={compression} must divide the {entries} entries of a picture "
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
    if topology == "per-edge" and settings.effort == "gflop":
        raise ConfigError(
            "effort='gflop' divides a student's computation among server and edge, and topology "
            "per-edge has students that do not share it alike: set effort to epochs or plateau"
        )
    if settings.networked and settings.second_scenario:
        raise ConfigError(
            f"second_scenario={settings.second_scenario!r} needs topology none, not {topology}"
        )
    if settings.effort == "plateau" and settings.defence == "probe":
        raise ConfigError(
            "defence='probe' needs another effort than plateau: an edge that drops its teacher "
            "trains for a known number of epochs; set effort to epochs or gflop"
        )
    if method == "sequential" and settings.networked and settings.edge_families == "mixed":
        raise ConfigError(
            "method='sequential' has one and the same encoder on both sides: set edge_families "
            "to same, or take method ip-encoder-kd"
        )


resolve = CsiSettings.resolve
