"""The parameters of MIMO detection: names, ranges, presets, conditions."""

from functools import partial
from typing import Literal, Self

from kdtasks.contract.effort import EPOCHS, EffortSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params
from kdtasks.contract.settings import (
    TRAINED,
    When,
    param,
    rate_param,
    share_param,
    unlike_default,
    weights_param,
)
from kdtasks.learning.meta import MetaPlan
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


COLLECTIVE = When(lambda s: s.has_teacher, "methods with a collective model")
OWN = When(lambda s: s.method != "finetune", "individuals that are not the collective")
OWN_HEAD = When(
    lambda s: s.method != "finetune" and s.family == "conv" and not _head_inherited(s),
    "heads of one's own",
)
SEQUENTIAL = When(lambda s: s.stream_rule == "sequential", "stream_rule sequential")
META = When(lambda s: s.stream_rule in ("reptile", "fomaml"), "stream_rule reptile and fomaml")
UNROLLED = When(lambda s: s.family == "unrolled", "family unrolled")
INHERITS = When(lambda s: s.inherits, "methods learngene and learngene-kd")
DISTILS = When(lambda s: s.distils, "methods kd and learngene-kd")


_of_data = partial(param, decides="data")
_of_networks = partial(param, decides=("teacher", "student"))
_of_collective = partial(param, when=COLLECTIVE, decides="teacher")
_of_stream = partial(param, when=(COLLECTIVE, TRAINED), decides="teacher")
_of_sequence = partial(param, when=(COLLECTIVE, TRAINED, SEQUENTIAL), decides="teacher")
_of_meta = partial(param, when=(COLLECTIVE, TRAINED, META), strict=True, decides="teacher", key="")
_of_segment = partial(param, when=INHERITS, strict=True)


class MimoSettings(EffortSettings):
    """Everything that decides one trial. Fields of other methods hold their defaults."""

    task = "mimo-detection"

    preset: Literal["quick", "standard"] = param(
        "quick", decides=("data", "teacher", "student"), key="", help="sizes of all else"
    )
    target: str = _of_data(
        "4x4 qpsk kronecker-0.6",
        key="link",
        help="link of the individual: streams x antennas, modulation, channels",
    )
    target_snr_db: float = _of_data(
        15.0, low=-10, high=40, unit="dB", help="SNR at which val_ber is measured"
    )
    snr_low_db: float = param(
        6.0,
        low=-10,
        high=40,
        decides=("data", "teacher"),
        unit="dB",
        help="least SNR of training, all links",
    )
    snr_high_db: float = param(
        22.0,
        low=-10,
        high=40,
        decides=("data", "teacher"),
        unit="dB",
        help="greatest SNR of training, all links",
    )
    data_seed: int = _of_data(0, low=0, key="seed", help="seed of channel uses")
    val_uses: int = _of_data(
        {"quick": 3000, "standard": 6000},
        low=1,
        high=10**6,
        unit="channel uses",
        help="of the validation split",
    )
    test_uses: int = _of_data(
        {"quick": 4000, "standard": 10_000},
        low=1,
        high=10**6,
        unit="channel uses",
        help="of the test split, per SNR",
    )
    method: MethodName = _of_networks(
        "vanilla", key="", help="what of the collective helps the individual"
    )
    family: Literal["conv", "unrolled"] = _of_networks("conv", help="of all networks")
    gauge: Estimate = _of_networks("zf", help="whose signs networks decide to keep")
    skip: Estimate = _of_networks("zf", help="whose decisions an untrained network makes")
    noise_blind: bool = _of_networks(False, help="sigma^2 is not among the inputs of networks")
    width: int = param(
        32, low=1, high=512, when=OWN, unit="channels", help="of the individual's map"
    )
    depth: int = param(
        4, low=1, high=32, when=OWN, unit="blocks", help="or layers of an unrolled individual"
    )
    head_width: int = param(
        110, low=1, high=2048, when=OWN_HEAD, unit="units", help="of the head's hidden layers"
    )
    head_layers: int = param(
        2, low=1, high=4, when=OWN_HEAD, unit="layers", help="hidden layers of the head"
    )
    adapter: Adapter = param(
        "linear",
        when=When(
            lambda s: s.inherits and s.family == "conv" and s.width != s.collective_width,
            "an inherited segment of another width",
        ),
        help="between a segment and an individual of another width",
    )
    state: int = _of_networks(
        32, low=1, high=512, when=UNROLLED, unit="numbers", help="of a stream, in unrolled networks"
    )
    shared: bool = _of_networks(
        False, when=UNROLLED, help="whether layers of unrolled networks are one"
    )
    stream: str = _of_collective(
        "2x2 qpsk rayleigh, 4x4 qpsk kronecker-0.3, 4x8 qpsk kronecker-0.5, 4x4 qpsk rayleigh",
        help="links that the collective learns, one after the other",
    )
    collective_width: int = _of_collective(
        32, low=1, high=512, unit="channels", help="of the collective's map"
    )
    collective_depth: int = _of_collective(6, low=1, high=32, unit="blocks", help="or layers")
    teacher_weights: str = weights_param(when=COLLECTIVE)
    first_width: int = param(
        0,
        low=0,
        when=(
            When(
                lambda s: s.has_teacher and s.family == "conv" and len(s.stream_links) > 1,
                "collectives of convolutions that learn several links",
            ),
            TRAINED,
            SEQUENTIAL,
        ),
        decides="teacher",
        unit="channels",
        help="of a collective that grows; 0: it does not",
    )
    stream_rule: Literal["sequential", "joint", "reptile", "fomaml"] = param(
        "sequential",
        when=(COLLECTIVE, TRAINED, unlike_default("stream_rule")),
        decides="teacher",
        key="",
        help="link after link, a link drawn for each step, or so that it adapts to one",
    )
    inner_steps: int = _of_meta(
        3, low=1, high=100, unit="steps", help="of descent on one link, within a step"
    )
    inner_rate: float = _of_meta(0.01, above=0, high=1, help="of descent on one link")
    # With 250 steps per link the segment is ahead early and level after 1000 steps; with 750 it is
    # ahead from then on, too (measured, see benchmarks/mimo_detectors.py).
    stream_steps: int = _of_stream(
        {"quick": 400, "standard": 750},
        low=STEPS,
        multiple_of=STEPS,
        unit="steps",
        help="of the collective, per link",
    )
    stream_batch: int = _of_stream(
        384, low=1, unit="channel uses", help="per step of the collective"
    )
    stream_rate: float = _of_stream(2e-3, above=0, high=1, help="learning rate for the first link")
    stream_later_rate: float = _of_sequence(
        1e-3, above=0, high=1, help="learning rate for the others"
    )
    replay_share: float = _of_sequence(
        0.0, low=0, below=1, help="weight of samples of earlier links"
    )
    teacher_seed: int = _of_collective(0, low=0, help="seed of the collective")
    gene_rule: Rule = _of_segment("position", help="how the segment is chosen")
    gene_start: int = param(
        0,
        low=0,
        when=When(
            lambda s: s.inherits and s.gene_rule == "position",
            "methods learngene and learngene-kd with gene_rule position",
        ),
        strict=True,
        help="first unit, from 0, the input layer",
    )
    gene_length: int = _of_segment(
        2, low=1, unit="units", help="of the segment; at most as many as there are from start"
    )
    treatment: Literal["trained", "slower", "ewc", "frozen"] = _of_segment(
        "trained", help="of what was inherited"
    )
    gene_rate_share: float = param(
        0.3,
        above=0,
        below=1,
        when=When(lambda s: s.inherits and s.treatment == "slower", "treatment slower"),
        strict=True,
        help="of learning_rate, if slower",
    )
    ewc_weight: float = param(
        100.0,
        above=0,
        when=When(lambda s: s.inherits and s.treatment == "ewc", "treatment ewc"),
        strict=True,
        help="of the penalty on what was inherited",
    )
    alpha: float = share_param(
        0.5, when=DISTILS, strict=True, help="weight of the distillation term"
    )
    soft_loss: str = param("kl", when=DISTILS, strict=True, help="kl, or a loss of your own")
    temperature: float = param(
        1.0,
        above=0,
        when=When(
            lambda s: s.distils and s.soft_loss == "kl",
            "methods kd and learngene-kd, and soft_loss kl",
        ),
        strict=True,
        help="of the collective's and the individual's probabilities",
    )
    num_samples: int = param(
        0,
        low=0,
        high=LOCAL_SAMPLES,
        unit="channel uses",
        help="local ones that are trained on; 0: ever new ones",
    )
    steps: int = param(
        {"quick": 400, "standard": 1000},
        low=STEPS,
        multiple_of=STEPS,
        unit="steps",
        when=EPOCHS,
        help="of the individual",
    )
    early_curve: bool = param(
        False,
        when=unlike_default("early_curve"),
        help="judge an individual after 1, 2, 5, 10 and 20 steps, too, within its CPU time",
    )
    batch_size: int = param(128, low=1, unit="channel uses", help="per step of the individual")
    learning_rate: float = rate_param(1e-3, help="learning rate of the individual")
    schedule: Literal["constant", "cosine"] = param("constant", help="of the learning rate")
    seed: int = param(0, low=0, help="seed of the individual")

    @classmethod
    def resolve(cls, params: Params) -> Self:
        settings = super().resolve(params)
        # Links are spelt anew, for defaults of parameters without effect are as written above.
        settings = settings.fitted()
        _fits(settings)
        return settings

    def fitted(self) -> Self:
        """Return settings whose links are named in one way, and whose segment ends at the top."""
        parts = self.stream.split(",")
        if len(parts) > MAX_TASKS:
            raise ConfigError(f"stream has {len(parts)} links; {MAX_TASKS} is the most")
        try:
            target = self.link.name
        except ConfigError as error:
            raise ConfigError(f"target: {error}") from error
        try:
            stream = ", ".join(link.name for link in self.stream_links)
        except ConfigError as error:
            raise ConfigError(f"stream: {error}") from error
        units = units_of(self).total
        length = self.gene_length
        if self.inherits and self.gene_rule == "position":
            if self.gene_start >= units:
                raise ConfigError(
                    f"gene_start={self.gene_start} must be below {units}, the units of a "
                    f"collective of collective_depth={self.collective_depth}"
                )
            length = min(length, units - self.gene_start)
        return self.model_copy(update={"target": target, "stream": stream, "gene_length": length})

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
    def meta(self) -> MetaPlan:
        """How the links of the stream are learnt together; with one step none is preferred."""
        adapts = self.stream_rule in ("reptile", "fomaml")
        return MetaPlan(
            rule="fomaml" if self.stream_rule == "fomaml" else "reptile",
            inner_steps=self.inner_steps if adapts else 1,
            inner_rate=self.inner_rate,
            weight=1.0,
        )

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
        """How the inputs of all networks of the trial are made of channel uses."""
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


def _head_inherited(settings: MimoSettings) -> bool:
    """Return whether the segment ends at the top; False where a rule will choose it."""
    named = settings.inherits and settings.gene_rule == "position"
    return named and settings.gene_start + settings.gene_length == units_of(settings).total


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
    epochs, batches = (
        settings.stream_steps // STEPS * len(settings.stream_links),
        settings.meta.batches,
    )
    if settings.has_teacher and epochs % batches:
        raise ConfigError(
            f"stream_steps={settings.stream_steps}: {settings.stream_rule} takes {batches} batches "
            f"in a step, and {STEPS * epochs} of the whole stream are not a multiple of "
            f"{STEPS * batches}; change it, or inner_steps"
        )
    if not settings.inherits:
        return
    if settings.gene_rule != "position" and (
        settings.teacher_weights or settings.stream_rule != "sequential"
    ):
        raise ConfigError(
            f"gene_rule={settings.gene_rule!r} goes by what the units of a collective did from "
            "link to link, which only stream_rule sequential knows, and no file of "
            "teacher_weights: take gene_rule position"
        )
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


resolve = MimoSettings.resolve
