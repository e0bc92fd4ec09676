"""The parameters of MIMO detection: names, ranges, presets, and whom they concern.

The parameters of MIMO detection, checked: presets filled in, and whom each concerns.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value
from kdtasks.contract.settings import checked, without_idle
from kdtasks.mimo_detection.link.link import MimoLink
from kdtasks.mimo_detection.methods.job import STEPS, soft_loss
from kdtasks.mimo_detection.methods.learngene import Rule, Segment, Stack, individual_plan, stack_of
from kdtasks.mimo_detection.models.conv import Adapter, ConvPlan
from kdtasks.mimo_detection.models.family import Plan
from kdtasks.mimo_detection.models.features import Estimate, InputFeatures
from kdtasks.mimo_detection.models.unrolled import UnrolledPlan

MethodName = Literal["vanilla", "learngene", "finetune", "kd", "learngene-kd"]

INHERITING = ("learngene", "learngene-kd")
"""Methods whose individuals inherit a segment."""

DISTILLING = ("kd", "learngene-kd")
"""Methods in which the whole collective teaches at the edge."""

COLLECTIVE_HIDDEN = (64,)
"""Hidden layers of the head of a collective of convolutions."""

MAX_TASKS = 8
LOCAL_SAMPLES = 4096
"""Channel uses that an edge has recorded; ``num_samples`` of them are trained on."""


class MimoSettings(BaseModel):
    """Everything that decides one trial. Fields of other methods hold their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    preset: Literal["quick", "standard"] = "quick"
    target: str = Field("4x4 qpsk kronecker-0.6", description="streams x antennas and so on")
    target_snr_db: float = Field(15.0, ge=-10, le=40, description="at which val_ber is measured")
    snr_low_db: float = Field(6.0, ge=-10, le=40, description="of training, all links")
    snr_high_db: float = Field(22.0, ge=-10, le=40)
    data_seed: int = Field(0, ge=0)
    val_uses: int = Field(ge=1, le=10**6, description="channel uses")
    test_uses: int = Field(ge=1, le=10**6, description="channel uses per SNR")
    method: MethodName = "vanilla"
    family: Literal["conv", "unrolled"] = "conv"
    gauge: Estimate = Field("zf", description="whose signs networks decide to keep")
    skip: Estimate = Field("zf", description="whose decisions an untrained network makes")
    noise_blind: bool = Field(False, description="networks are not told sigma^2")
    width: int = Field(32, ge=1, le=512, description="channels of the individual's map")
    depth: int = Field(4, ge=1, le=32, description="blocks, or layers of an unrolled individual")
    head_width: int = Field(110, ge=1, le=2048)
    head_layers: int = Field(2, ge=1, le=4, description="hidden layers of the head")
    adapter: Adapter = Field("linear", description="where widths differ")
    state: int = Field(32, ge=1, le=512, description="of a stream, in unrolled networks")
    shared: bool = Field(False, description="whether layers of unrolled networks are one")
    stream: str = Field(
        "2x2 qpsk rayleigh, 4x4 qpsk kronecker-0.3, 4x8 qpsk kronecker-0.5, 4x4 qpsk rayleigh",
        description="links that the collective learns, one after the other",
    )
    collective_width: int = Field(32, ge=1, le=512)
    collective_depth: int = Field(6, ge=1, le=32)
    first_width: int = Field(0, ge=0, description="of a collective that grows; 0: it does not")
    stream_steps: int = Field(ge=STEPS, multiple_of=STEPS, description="per link")
    stream_batch: int = Field(384, ge=1)
    stream_rate: float = Field(2e-3, gt=0, le=1, description="for the first link")
    stream_later_rate: float = Field(1e-3, gt=0, le=1, description="for the others")
    replay_share: float = Field(0.0, ge=0, lt=1, description="weight of samples of earlier links")
    teacher_seed: int = Field(0, ge=0)
    gene_rule: Rule = Field("position", description="how the segment is chosen")
    gene_start: int = Field(0, ge=0, description="first unit, from 0, the input layer")
    gene_length: int = Field(2, ge=1, description="units; at most as many as there are from start")
    treatment: Literal["trained", "slower", "ewc", "frozen"] = "trained"
    gene_rate_share: float = Field(0.3, gt=0, lt=1, description="of learning_rate, if slower")
    ewc_weight: float = Field(100.0, gt=0, description="of the penalty on what was inherited")
    alpha: float = Field(0.5, ge=0, le=1, description="weight of the distillation term")
    soft_loss: str = Field("kl", description="kl, or a loss of your own")
    temperature: float = Field(1.0, gt=0)
    num_samples: int = Field(
        0, ge=0, le=LOCAL_SAMPLES, description="local channel uses; 0: ever new ones"
    )
    steps: int = Field(ge=STEPS, multiple_of=STEPS)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(1e-3, gt=0, le=1)
    schedule: Literal["constant", "cosine"] = "constant"
    seed: int = Field(0, ge=0)

    @property
    def link(self) -> MimoLink:
        """Where the individual works."""
        return MimoLink.parse(self.target)

    @property
    def stream_links(self) -> tuple[MimoLink, ...]:
        """What the collective learns."""
        return tuple(MimoLink.parse(part) for part in self.stream.split(","))

    @property
    def has_teacher(self) -> bool:
        """Whether a collective is needed."""
        return self.method != "vanilla"

    @property
    def inherits(self) -> bool:
        """Whether an individual inherits a segment."""
        return self.method in INHERITING

    @property
    def distils(self) -> bool:
        """Whether the collective teaches."""
        return self.method in DISTILLING

    @property
    def snr_db(self) -> tuple[float, float]:
        """Range of the SNR in training [dB]."""
        return self.snr_low_db, self.snr_high_db

    @property
    def bits(self) -> int:
        """Bits per real stream that networks have logits for.

        A collective has one for every bit of the target, too, so that what it is made of fits.
        """
        links = self.stream_links if self.has_teacher else ()
        return max(link.bits_per_axis for link in (self.link, *links))

    @property
    def input_features(self) -> InputFeatures:
        """How all networks of the trial look at channel uses."""
        return InputFeatures(
            gauge=self.gauge, skip=self.skip, bits=self.bits, noise_blind=self.noise_blind
        )

    @property
    def collective(self) -> Plan:
        """The collective's plan."""
        if self.family == "unrolled":
            return self._unrolled(self.collective_width, self.collective_depth)
        return self._conv(self.collective_width, self.collective_depth, COLLECTIVE_HIDDEN)

    @property
    def stream_plans(self) -> tuple[Plan, ...]:
        """The collective's plan while it learns each link; its width grows in even steps."""
        count = len(self.stream_links)
        if not self.first_width or count == 1:
            return (self.collective,) * count
        low, high = self.first_width, self.collective_width
        widths = (round(low + (high - low) * step / (count - 1)) for step in range(count))
        depth = self.collective_depth
        return tuple(self._conv(width, depth, COLLECTIVE_HIDDEN) for width in widths)

    @property
    def own(self) -> Plan:
        """The plan of an individual that inherits nothing."""
        if self.family == "unrolled":
            return self._unrolled(self.width, self.depth)
        return self._conv(self.width, self.depth, (self.head_width,) * self.head_layers)

    def individual(self, segment: Segment) -> Plan:
        """Return the plan of an individual that inherits a segment, if the method says so.

        Raises:
            ConfigError: If it has too few blocks for it.
        """
        if self.method == "finetune":
            return self.collective
        if not self.inherits:
            return self.own
        try:
            return individual_plan(self.own, self.collective, segment)
        except ValueError as error:
            raise ConfigError(
                f"depth={self.depth}: a segment of {segment.length} units from unit "
                f"{segment.start} on has {error}; raise depth, or shorten gene_length"
            ) from error

    def _conv(self, width: int, depth: int, hidden: tuple[int, ...]) -> ConvPlan:
        return ConvPlan(
            widths=(width,) * (depth + 1),
            head_width=width,
            hidden=hidden,
            bits=self.bits,
            adapter=self.adapter,
        )

    def _unrolled(self, width: int, layers: int) -> UnrolledPlan:
        return UnrolledPlan(
            width=width, layers=layers, state=self.state, shared=self.shared, bits=self.bits
        )


PRESETS: dict[str, dict[str, Value]] = {
    # With 250 steps per link the segment is ahead early and level after 1000 steps; with 750 it is
    # ahead from then on, too (measured, see benchmarks/mimo_detectors.py).
    "standard": {"val_uses": 6000, "test_uses": 10_000, "stream_steps": 750, "steps": 1000},
    "quick": {"val_uses": 3000, "test_uses": 4000, "stream_steps": 400, "steps": 400},
}


def _inactive(settings: MimoSettings) -> dict[str, str]:
    """Return the parameters without effect on this trial, each with what it belongs to."""
    inherits = (settings.inherits, "methods learngene and learngene-kd")
    distils = (settings.distils, "methods kd and learngene-kd")
    collective = (settings.has_teacher, "methods with a collective model")
    softened = settings.distils and settings.soft_loss == "kl"
    own = settings.method != "finetune"
    conv = settings.family == "conv"
    mixed = settings.inherits and conv and settings.width != settings.collective_width
    owners: dict[str, tuple[bool, str]] = {
        "width": (own, "individuals that are not the collective"),
        "depth": (own, "individuals that are not the collective"),
        "head_width": (own and conv and not _head_inherited(settings), "heads of one's own"),
        "head_layers": (own and conv and not _head_inherited(settings), "heads of one's own"),
        "adapter": (mixed, "an inherited segment of another width"),
        "state": (not conv, "family unrolled"),
        "shared": (not conv, "family unrolled"),
        **dict.fromkeys(OF_COLLECTIVE, collective),
        "first_width": (
            settings.has_teacher and conv and len(settings.stream_links) > 1,
            "collectives of convolutions that learn several links",
        ),
        "gene_rule": inherits,
        "gene_start": (
            settings.inherits and settings.gene_rule == "position",
            "methods learngene and learngene-kd with gene_rule position",
        ),
        "gene_length": inherits,
        "treatment": inherits,
        "gene_rate_share": (inherits[0] and settings.treatment == "slower", "treatment slower"),
        "ewc_weight": (inherits[0] and settings.treatment == "ewc", "treatment ewc"),
        "alpha": distils,
        "soft_loss": distils,
        "temperature": (softened, "methods kd and learngene-kd, and soft_loss kl"),
    }
    return {name: owner for name, (active, owner) in owners.items() if not active}


def _head_inherited(settings: MimoSettings) -> bool:
    """Tell whether the segment ends at the top; where a rule chooses it, that is not known yet."""
    named = settings.inherits and settings.gene_rule == "position"
    return named and settings.gene_start + settings.gene_length == units_of(settings).total


OF_COLLECTIVE = (
    "stream",
    "collective_width",
    "collective_depth",
    "first_width",
    "stream_steps",
    "stream_batch",
    "stream_rate",
    "stream_later_rate",
    "replay_share",
    "teacher_seed",
)
"""Parameters of the collective alone: without one they have no effect."""

MUST_FIT = frozenset(
    {
        "gene_rule",
        "gene_start",
        "gene_length",
        "treatment",
        "gene_rate_share",
        "ewc_weight",
        "alpha",
        "soft_loss",
        "temperature",
    }
)
"""Parameters that are refused where they have no effect. The others (the collective's, sizes of
networks) are dropped, so that a study can fix them for all methods at once."""


def resolve(params: Params) -> MimoSettings:
    """Check parameters and fill in the preset.

    Raises:
        ConfigError: Naming the parameter, its value and what would be accepted.
    """
    settings = checked(params, MimoSettings, PRESETS, task="mimo-detection")
    settings = _in_one_spelling(settings)
    idle = _inactive(settings)
    settings = without_idle(settings, params, idle, MUST_FIT, PRESETS[settings.preset])
    # Links are spelt anew, for defaults of parameters that have no effect are as written above.
    settings = _in_one_spelling(settings)
    _fits(settings)
    return settings


def _in_one_spelling(settings: MimoSettings) -> MimoSettings:
    """Return settings whose links are named in one way, and whose segment ends at the top."""
    parts = settings.stream.split(",")
    if len(parts) > MAX_TASKS:
        raise ConfigError(f"stream has {len(parts)} links; {MAX_TASKS} is the most")
    try:
        target = settings.link.name
    except ConfigError as error:
        raise ConfigError(f"target: {error}") from error
    try:
        stream = ", ".join(link.name for link in settings.stream_links)
    except ConfigError as error:
        raise ConfigError(f"stream: {error}") from error
    units = stack_of(settings.collective).total
    length = settings.gene_length
    if settings.inherits and settings.gene_rule == "position":
        if settings.gene_start >= units:
            raise ConfigError(
                f"gene_start={settings.gene_start} must be below {units}, the units of a "
                f"collective of collective_depth={settings.collective_depth}"
            )
        length = min(length, units - settings.gene_start)
    return settings.model_copy(update={"target": target, "stream": stream, "gene_length": length})


def _fits(settings: MimoSettings) -> None:
    try:
        soft_loss(settings.soft_loss, settings.temperature)
    except ConfigError as error:
        raise ConfigError(f"soft_loss: {error}") from error
    if settings.snr_low_db > settings.snr_high_db:
        raise ConfigError(
            f"snr_low_db={settings.snr_low_db:g} must be at most "
            f"snr_high_db={settings.snr_high_db:g}"
        )
    if settings.first_width > settings.collective_width:
        raise ConfigError(
            f"first_width={settings.first_width} must be at most "
            f"collective_width={settings.collective_width}, to which the collective grows"
        )
    if not settings.inherits:
        return
    if settings.family == "unrolled" and settings.width != settings.collective_width:
        raise ConfigError(
            f"width={settings.width} must be collective_width={settings.collective_width} with "
            "family unrolled: only networks of family conv have adapters"
        )
    settings.individual(first_guess(settings))


def first_guess(settings: MimoSettings) -> Segment:
    """Return the segment that parameters name, or one of its length at the bottom.

    Which one a rule takes is known once there is a collective.
    """
    start = settings.gene_start if settings.gene_rule == "position" else 0
    return Segment(start, min(settings.gene_length, units_of(settings).total))


def units_of(settings: MimoSettings) -> Stack:
    """Return the units of the collective."""
    return stack_of(settings.collective)


def completed(settings: MimoSettings) -> dict[str, Value]:
    """Return what decides this trial: every parameter that has an effect on it."""
    inactive = _inactive(settings)
    return {name: v for name, v in settings.model_dump().items() if name not in inactive}
