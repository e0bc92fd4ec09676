"""The parameters of MIMO detection: names, ranges, presets, and whom they concern."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kdtasks.errors import ConfigError
from kdtasks.methods.mimo_gene import Rule, Segment, individual_plan
from kdtasks.methods.mimo_job import STEPS
from kdtasks.models.mimo_conv import Adapter, ConvPlan
from kdtasks.models.mimo_family import Plan
from kdtasks.models.mimo_features import Estimate, Looks
from kdtasks.models.mimo_unrolled import UnrolledPlan
from kdtasks.scenarios.mimo_link import MimoLink

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
    def looks(self) -> Looks:
        """How all networks of the trial look at channel uses."""
        return Looks(gauge=self.gauge, skip=self.skip, bits=self.bits, noise_blind=self.noise_blind)

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
