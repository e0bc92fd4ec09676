"""The parameters of the beam-tracking task: names, ranges, presets, and whom they concern.

Which deployments beam tracking knows, and what has no effect on them.

Students are one-sided models, wholly at the edge; samples are windows over frames of a passage,
which leads through the whole street.
"""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field

from kdtasks.beam_tracking.models.family import BEAM_MODELS, BeamModel
from kdtasks.beam_tracking.presets import OF_STREET, PRESETS
from kdtasks.contract.deployment import NetworkSettings, inactive_in_network
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params, Value
from kdtasks.contract.settings import checked, without_idle
from kdtasks.learning.complexity import PJ_PER_MAC
from kdtasks.learning.custom_loss import own_loss
from kdtasks.sensing.beams.format import NUM_BEAMS, NUM_SLOTS, Sensor

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


METHOD_NAMES = ("vanilla", "response", "feature", "relation", "self")
"""The project's own methods; others are losses of the user's own, see `own_loss`."""

SAID_SHAPE = (4, NUM_SLOTS, NUM_BEAMS)
"""Of a batch of logits, on which such a loss is tried."""

ModelName = Literal[
    "image-student",
    "image-radar-student",
    "radar-student",
    "gps-student",
    "image-teacher",
    "image-teacher-gru1",
    "image-radar-teacher",
    "radar-teacher",
]

SecondName = Literal["", "image-student", "image-radar-student", "radar-student", "gps-student"]

TeacherName = Literal["image-teacher", "image-teacher-gru1", "image-radar-teacher", "radar-teacher"]

LossName = Literal["focal", "cross-entropy"]

LEAST_WIDTH = 0.1
"""Of a student."""

SENSOR_ORDER: tuple[Sensor, ...] = ("image", "radar", "gps")


FAMILIES: tuple[ModelName, ...] = ("image-student", "radar-student", "image-radar-student")
"""Students that are dealt in turn to the edges of a mixed deployment."""


class BeamSettings(NetworkSettings):
    """Everything that decides one trial. Fields of other methods hold their defaults."""

    preset: Literal["quick", "standard", "paper"] = "quick"
    scenario: Literal["street", "deepsense"] = "street"
    data_path: str = ""
    data_seed: int = Field(0, ge=0)
    sensors: str = Field(
        "", description="what the data hold, for trials that share them; empty: what is needed"
    )
    image_size: int = Field(ge=32, le=1024, multiple_of=32, description="pixels, either side")
    night_share: float = Field(0.2, ge=0, le=1, description="passages at night")
    rain_share: float = Field(0.1, ge=0, le=1, description="passages in rain or fog")
    distractors: float = Field(0.7, ge=0, le=4, description="other vehicles, on average")
    train_passages: int = Field(
        ge=1, le=10**6, description="that a student is trained on; in a network, of all nodes"
    )
    val_passages: int = Field(ge=1, le=10**6)
    test_passages: int = Field(ge=1, le=10**6)
    teacher_passages: int = Field(
        0, ge=0, le=10**6, description="that a teacher is trained on; 0: those of its student"
    )
    window_stride: int = Field(ge=1, le=100, description="frames from one window to the next")
    model: ModelName = "image-student"
    width: float = Field(1.0, ge=LEAST_WIDTH, le=4, description="factor on a student's channels")
    second_model: SecondName = Field(
        "", description="another student on the node, which runs instead where it is better"
    )
    second_width: float = Field(0.0, ge=0, le=4, description="0: that of the first student")
    method: str = "vanilla"
    teacher: TeacherName = "image-teacher-gru1"
    generations: int = Field(1, ge=1, le=10, description="networks before the student")
    alpha: float = Field(0.5, ge=0, le=1, description="weight of the distillation term")
    temperature: float = Field(2.0, gt=0)
    slot_lean: float = Field(0.0, ge=-10, le=10, description="on the teacher for far slots")
    relation_distance: float = Field(1.0, ge=0)
    relation_angle: float = Field(1.0, ge=0)
    relation_partners: int = Field(4, ge=1, le=1000)
    task_loss: LossName = "focal"
    focal_gamma: float = Field(2.0, ge=0, le=10)
    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0, le=1)
    weight_decay: float = Field(0.0, ge=0, le=1)
    batch_chunks: int = Field(ge=1, description="of 4 windows in a row, per step")
    teacher_loss: LossName = "focal"
    teacher_epochs: int = Field(ge=1)
    teacher_rate: float = Field(gt=0, le=1)
    teacher_decay: float = Field(ge=0, le=1, description="weight decay of the teacher")
    teacher_seed: int = Field(0, ge=0)
    pj_per_mac: float = Field(
        PJ_PER_MAC, gt=0, description="energy of a multiply-accumulate, arithmetic alone [pJ]"
    )
    partition_label: Literal["beam", "condition"] = Field(
        "beam", description="of a passage, by which partition dirichlet goes"
    )
    seed: int = Field(0, ge=0)

    @property
    def mixed(self) -> bool:
        """Whether edges have students of their own kinds."""
        return self.networked and self.edge_families == "mixed"

    @property
    def students(self) -> tuple[BeamModel, ...]:
        """The networks of the students; edge k has the one of number k modulo their number."""
        return tuple(BEAM_MODELS[name] for name in (FAMILIES if self.mixed else (self.model,)))

    def of_edge(self, edge: int) -> Self:
        """Return the settings of an edge's student, which stands for itself."""
        if not self.mixed:
            return self
        model = FAMILIES[edge % len(FAMILIES)]
        return self.model_copy(update={"model": model, "edge_families": "same"})

    @property
    def student_model(self) -> BeamModel:
        """The student's network."""
        return BEAM_MODELS[self.model]

    @property
    def teacher_model(self) -> BeamModel:
        """The teacher's network: of self-distillation the student's own."""
        return BEAM_MODELS[self.model if self.method == "self" else self.teacher]

    @property
    def teacher_width(self) -> float:
        """Width factor of the teacher."""
        return self.width if self.method == "self" else 1.0

    @property
    def teacher_sees(self) -> int:
        """Passages that a teacher is trained on: of self-distillation the student's."""
        own = self.method == "self" or not self.teacher_passages
        return self.train_passages if own else self.teacher_passages

    @property
    def has_teacher(self) -> bool:
        """Whether the method distils."""
        return self.method != "vanilla"

    @property
    def stored(self) -> tuple[str, ...]:
        """Sensors that the data hold."""
        return tuple(self.sensors.split())

    @property
    def needed(self) -> tuple[Sensor, ...]:
        """Sensors of all students and the teacher."""
        used = {sensor for student in self.students for sensor in student.sensors}
        used |= set(BEAM_MODELS[self.second_model].sensors) if self.second_model else set()
        used |= set(self.teacher_model.sensors) if self.has_teacher else set()
        return tuple(sensor for sensor in SENSOR_ORDER if sensor in used)

    @property
    def at_edge(self) -> tuple[Sensor, ...]:
        """Sensors whose frames an edge holds: its student's, and those of a teacher that is sent.

        Where edges send samples to the server, its teacher has to speak of them: those, too.
        """
        if self.has_teacher and (self.topology == "decentralized" or self.uploads > 0):
            return self.needed
        used = {sensor for student in self.students for sensor in student.sensors}
        return tuple(sensor for sensor in SENSOR_ORDER if sensor in used)


def _inactive(settings: BeamSettings) -> dict[str, str]:
    """Return the parameters without effect on this trial, each with what it belongs to."""
    method, with_teacher = settings.method, (settings.has_teacher, "methods with a teacher")
    softens = (
        method in ("response", "self") or settings.anchored,
        "methods response and self, or to an anchor_weight above 0",
    )
    in_rounds = "other topologies; here there are edge_rate, edge_epochs and rounds"
    relates = (method == "relation", "method relation")
    owners: dict[str, tuple[bool, str]] = {
        "alpha": with_teacher,
        "temperature": softens,
        "slot_lean": softens,
        "relation_distance": relates,
        "relation_angle": relates,
        "relation_partners": relates,
        "generations": (method == "self", "method self"),
        "teacher": (
            settings.has_teacher and method != "self",
            "methods that learn from another network",
        ),
        "teacher_loss": with_teacher,
        "teacher_epochs": with_teacher,
        "teacher_rate": with_teacher,
        "teacher_decay": with_teacher,
        "teacher_seed": with_teacher,
        "focal_gamma": (settings.task_loss == "focal", "task_loss focal"),
        "width": (settings.students[0].role == "student", "students, not to teachers' networks"),
        "model": (not settings.mixed, "edge_families same"),
        "epochs": (not settings.in_rounds, in_rounds),
        "learning_rate": (not settings.in_rounds, in_rounds),
        "second_width": (bool(settings.second_model), "a second_model"),
        # They came later: trials that do without them are what they were before.
        "second_model": (bool(settings.second_model), "nodes with two students"),
        "pj_per_mac": (settings.pj_per_mac != PJ_PER_MAC, "another energy than the default"),
        "image_size": ("image" in settings.stored, "sensors with a camera"),
        **dict.fromkeys(OF_STREET, (settings.scenario == "street", "scenario street")),
    }
    inactive = {name: owner for name, (active, owner) in owners.items() if not active}
    return inactive | inactive_in_deployment(settings, has_teacher=settings.has_teacher)


MUST_FIT = OF_DEPLOYMENTS | frozenset(
    {
        "model",
        "alpha",
        "temperature",
        "slot_lean",
        "relation_distance",
        "relation_angle",
        "relation_partners",
        "generations",
        "focal_gamma",
        "width",
        "second_width",
    }
)
"""Parameters that are refused where they have no effect. The others (teachers, sizes of the twin)
are dropped, so that a study can fix them for all methods at once."""


def resolve(params: Params) -> BeamSettings:
    """Check parameters and fill in the preset.

    Raises:
        ConfigError: Naming the parameter, its value and what would be accepted.
    """
    settings = checked(params, BeamSettings, PRESETS, task="beam-tracking")
    same = settings.teacher_passages == settings.train_passages
    alike = settings.second_width == settings.width
    settings = settings.model_copy(
        update={
            "sensors": " ".join(_sensors(settings)),
            "teacher_passages": 0 if same else settings.teacher_passages,
            "second_width": 0.0 if alike else settings.second_width,
        }
    )
    if settings.method not in METHOD_NAMES:
        own_loss(settings.method, SAID_SHAPE, METHOD_NAMES)
    _fits(settings)
    _pair_fits(settings)
    check_deployment(
        settings,
        method=settings.method if settings.has_teacher else "",
        seen=settings.teacher_passages,
    )
    inactive = _inactive(settings)
    return without_idle(settings, params, inactive, MUST_FIT, PRESETS[settings.preset])


def _sensors(settings: BeamSettings) -> tuple[str, ...]:
    """Return the sensors of the data, in one order."""
    given = set(settings.stored)
    if given - set(SENSOR_ORDER):
        raise ConfigError(
            f"sensors={settings.sensors!r} must be some of {', '.join(SENSOR_ORDER)}, with blanks "
            "between them"
        )
    missing = [sensor for sensor in settings.needed if sensor not in given]
    if given and missing:
        raise ConfigError(
            f"sensors={settings.sensors!r} lacks {', '.join(missing)}, which model "
            f"{settings.model}, its second_model or its teacher needs"
        )
    return tuple(sensor for sensor in SENSOR_ORDER if sensor in (given or settings.needed))


def _fits(settings: BeamSettings) -> None:
    if (settings.scenario == "deepsense") != bool(settings.data_path):
        raise ConfigError(
            "scenario 'deepsense' reads your own files: set data_path"
            if settings.scenario == "deepsense"
            else f"data_path={settings.data_path!r} has no effect with scenario "
            f"{settings.scenario!r}: remove it, or set scenario to deepsense"
        )
    if settings.night_share + settings.rain_share > 1.0:
        raise ConfigError(
            f"rain_share={settings.rain_share:g} and night_share={settings.night_share:g} must "
            "not exceed 1 together"
        )
    if 0 < settings.teacher_passages < settings.train_passages:
        raise ConfigError(
            f"teacher_passages={settings.teacher_passages} must be 0 or at least "
            f"train_passages={settings.train_passages}: a teacher has seen what its student sees"
        )


def _pair_fits(settings: BeamSettings) -> None:
    second = settings.second_model
    if not second:
        return
    if settings.student_model.role != "student":
        raise ConfigError(
            f"model={settings.model!r} is a teacher's network; with second_model {second} on the "
            "same node take a student"
        )
    if settings.student_model.sensors == BEAM_MODELS[second].sensors:
        raise ConfigError(
            f"second_model={second!r} has the sensors of model {settings.model}: a node switches "
            "between students with different ones"
        )
    if settings.networked:
        raise ConfigError(
            f"second_model={second!r} needs topology none, not {settings.topology}: in a network "
            "each edge has one student; set edge_families to mixed for different ones"
        )
    if settings.method == "self":
        raise ConfigError(
            f"method='self' with second_model {second}: each student would be its own teacher; "
            "take response, feature, relation or vanilla"
        )
    if 0.0 < settings.second_width < LEAST_WIDTH:
        raise ConfigError(
            f"second_width={settings.second_width:g} must be 0, for that of model "
            f"{settings.model}, or at least {LEAST_WIDTH:g}"
        )


def completed(settings: BeamSettings) -> dict[str, Value]:
    """Return what decides this trial: every parameter that has an effect on it, own ones first."""
    dumped: Mapping[str, Value] = settings.model_dump()
    inactive = _inactive(settings)
    order = sorted(dumped, key=lambda name: name in NetworkSettings.model_fields)
    return {name: dumped[name] for name in order if name not in inactive}
