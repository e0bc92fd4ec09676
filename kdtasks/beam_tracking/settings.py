"""The parameters of the beam-tracking task: names, ranges, presets, and conditions of effect.

Students are one-sided models, wholly at the edge; samples are windows over frames of a passage,
which leads through the whole street.
"""

from functools import partial
from typing import Literal, Self

from kdtasks.beam_tracking.methods.batches import CHUNK
from kdtasks.beam_tracking.models.family import BEAM_MODELS, BeamModel
from kdtasks.contract.deployment import ANCHORED, SERVER_TEACHES
from kdtasks.contract.effort import EPOCHS
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.settings import (
    TRAINED,
    When,
    param,
    weights_param,
)
from kdtasks.learning.complexity import PJ_PER_MAC
from kdtasks.learning.custom_loss import own_loss
from kdtasks.sensing.beams.format import NUM_BEAMS, NUM_SLOTS, Sensor
from kdtasks.sensing.settings import ON_STREET, TAUGHT, PassageSettings, made_param, teacher_param

METHOD_NAMES = ("vanilla", "response", "feature", "relation", "self")
"""The project's own methods; others are losses of the user's own, see `own_loss`."""

OUTPUTS_SHAPE = (4, NUM_SLOTS, NUM_BEAMS)
"""Of a batch of logits, on which such a loss is tried."""

TeacherName = Literal[
    "image-teacher",
    "image-teacher-gru1",
    "image-radar-teacher",
    "radar-teacher",
    "gps-teacher",
    "power-teacher",
    "gps-power-teacher",
]

SecondName = Literal["", "image-student", "image-radar-student", "radar-student", "gps-student"]

ModelName = Literal[
    "image-student",
    "image-radar-student",
    "radar-student",
    "gps-student",
    TeacherName,
    "power-student",
    "gps-power-student",
]

LossName = Literal["focal", "cross-entropy"]

LEAST_WIDTH = 0.1
"""Of a student."""

SENSOR_ORDER: tuple[Sensor, ...] = ("image", "radar", "gps", "power")


TRIGGER_SENSORS: tuple[Sensor, ...] = ("image", "radar", "gps")
"""Sensors in which the trigger of a backdoor can be shown."""

FAMILIES: tuple[ModelName, ...] = ("image-student", "radar-student", "image-radar-student")
"""Students that are dealt in turn to the edges of a mixed deployment."""


SOFTENING = When(
    lambda s: s.method in ("response", "self") or s.anchored,
    "methods response and self, or an anchor_weight above 0",
)
FROM_ANOTHER = When(
    lambda s: s.has_teacher and s.method != "self", "methods that learn from another network"
)
NOT_IN_ROUNDS = When(
    lambda s: not s.in_rounds,
    "topologies other than mutual and self, which have edge_rate, edge_epochs and rounds",
)


_softening = partial(param, when=SOFTENING, strict=True)


class BeamSettings(PassageSettings):
    """Everything that decides one trial. Fields of other methods hold their defaults.

    Preset ``paper`` is Nguyen et al., section IV: as many sequences as scenario 9 has for training,
    tests apart.
    """

    task = "beam-tracking"

    sensors: str = param(
        "",
        decides="data",
        help="what the data hold, for trials that share them; empty: what is needed",
    )
    image_size: int = param(
        {"quick": 64, "standard": 64, "paper": 224},
        low=32,
        high=1024,
        multiple_of=32,
        when=When(lambda s: "image" in s.stored, "sensors with a camera"),
        decides="data",
        unit="pixels",
        help="either side of a camera frame",
    )
    night_share: float = made_param(0.2, low=0, high=1, help="passages at night")
    rain_share: float = made_param(0.1, low=0, high=1, help="passages in rain or fog")
    teacher_passages: int = param(
        0,
        low=0,
        high=10**6,
        when=ON_STREET,
        decides=("made data", "teacher"),
        key="",
        unit="passages",
        help="that a teacher is trained on; 0: those of its student",
    )
    model: ModelName = param(
        "image-student",
        when=When(lambda s: not s.mixed, "edge_families same"),
        strict=True,
        decides=("data", "teacher", "student"),
        key="",
        help="the student's network",
    )
    width: float = param(
        1.0,
        low=LEAST_WIDTH,
        high=4,
        when=When(lambda s: s.students[0].role == "student", "students' networks"),
        strict=True,
        decides=("teacher", "student"),
        key="",
        help="factor on a student's channels",
    )
    # Without a second model trials are what they were before there was one.
    second_model: SecondName = param(
        "",
        when=When(lambda s: bool(s.second_model), "nodes with two students"),
        decides=("data", "student"),
        help="another student on the node, which runs instead where it is better",
    )
    second_width: float = param(
        0.0,
        low=0,
        high=4,
        when=When(lambda s: bool(s.second_model), "a second_model"),
        strict=True,
        help="width of the second student; 0: that of the first",
    )
    method: str = param(
        "vanilla",
        decides=("teacher", "student"),
        key="",
        help=f"{', '.join(METHOD_NAMES)}, or a loss of your own",
    )
    teacher: TeacherName = param(
        "image-teacher-gru1",
        when=FROM_ANOTHER,
        decides=("data", "teacher"),
        key="",
        help="the teacher's network",
    )
    teacher_weights: str = weights_param(when=FROM_ANOTHER)
    generations: int = param(
        1,
        low=1,
        high=10,
        when=When(lambda s: s.method == "self", "method self"),
        strict=True,
        decides="teacher",
        unit="networks",
        help="before the student",
    )
    temperature: float = _softening(2.0, above=0, help="of softmax over beams")
    slot_lean: float = _softening(
        0.0, low=-10, high=10, help="how much more far slots lean on the teacher than near ones"
    )
    task_loss: LossName = param("focal", help="of the student on labels")
    focal_gamma: float = param(
        2.0,
        low=0,
        high=10,
        when=When(lambda s: s.task_loss == "focal", "task_loss focal"),
        strict=True,
        help="exponent of the focal loss; 0: cross-entropy",
    )
    relation_distance: float = PassageSettings.again("relation_distance", default=1.0)
    relation_angle: float = PassageSettings.again("relation_angle", default=1.0)
    epochs: int = PassageSettings.again("epochs", when=(NOT_IN_ROUNDS, EPOCHS))
    learning_rate: float = PassageSettings.again("learning_rate", when=NOT_IN_ROUNDS)
    batch_chunks: int = param(
        {"quick": 8, "standard": 8, "paper": 8},
        low=1,
        decides=("teacher", "student"),
        unit="chunks",
        help="of 4 windows in a row, per step",
    )
    teacher_loss: LossName = teacher_param("focal", key="loss", help="of the teacher on labels")
    # With the default energy trials are what they were before there was another.
    pj_per_mac: float = param(
        PJ_PER_MAC,
        above=0,
        when=When(lambda s: s.pj_per_mac != PJ_PER_MAC, "another energy than the default"),
        decides="cost",
        unit="pJ",
        help="energy of a multiply-accumulate, arithmetic alone",
    )
    partition_label: Literal["beam", "condition"] = param(
        "beam",
        when=When(
            lambda s: s.networked and s.partition == "dirichlet", "partition dirichlet of a network"
        ),
        strict=True,
        help="of a passage, by which partition dirichlet goes",
    )

    # Of a network, where this task differs.
    edge_families: Literal["same", "mixed"] = PassageSettings.again(
        "edge_families", decides=("data", "teacher", "student"), key=""
    )
    edge_epochs: int = PassageSettings.again(
        "edge_epochs", default={"quick": 6, "standard": 6, "paper": 20}
    )
    edge_rate: float = PassageSettings.again(
        "edge_rate", default={"quick": 1e-3, "standard": 1e-3, "paper": 1e-3}
    )
    num_teachers: int = PassageSettings.again(
        "num_teachers", when=(TAUGHT, SERVER_TEACHES, TRAINED)
    )
    # Frames are sent as they are stored, in integers and half precision: only logits are rounded.
    exchange_bits: int = PassageSettings.again(
        "exchange_bits",
        when=When(
            lambda s: s.topology == "mutual" or (ANCHORED.holds(s) and s.anchor == "server"),
            "deployments that exchange logits",
        ),
    )

    def fitted(self) -> Self:
        """Return settings with sensors in one order, if they can be trained."""
        same = self.teacher_passages == self.train_passages
        alike = self.second_width == self.width
        settings = self.model_copy(
            update={
                "sensors": " ".join(_sensors(self)),
                "teacher_passages": 0 if same else self.teacher_passages,
                "second_width": 0.0 if alike else self.second_width,
            }
        )
        if settings.method not in METHOD_NAMES:
            own_loss(settings.method, OUTPUTS_SHAPE, METHOD_NAMES)
        _fits(settings)
        _pair_fits(settings)
        _fits_network(settings)
        _poison_fits(settings)
        return settings

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

    def with_batch_up_to(self, windows: int) -> Self:
        """Return settings whose batch is no larger than the windows at hand."""
        chunks = min(self.batch_chunks, -(-windows // CHUNK))
        return self.model_copy(update={"batch_chunks": chunks})

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

        Where edges send samples to the server, its teacher is run on them: those, too.
        """
        if self.has_teacher and (self.topology == "decentralized" or self.uploads > 0):
            return self.needed
        used = {sensor for student in self.students for sensor in student.sensors}
        return tuple(sensor for sensor in SENSOR_ORDER if sensor in used)


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
    settings.check_source()
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
    if settings.effort != "epochs":
        raise ConfigError(
            f"effort={settings.effort!r} is for one student: leave out second_model={second!r}"
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


def _fits_network(settings: BeamSettings) -> None:
    if not settings.networked:
        return
    mixed = settings.edge_families == "mixed"
    if settings.in_rounds and settings.has_teacher:
        raise ConfigError(
            f"method={settings.method!r} needs a teacher, and topology {settings.topology} has "
            "none: set method to vanilla; distillation among students is weighed by anchor_weight"
        )
    if settings.teacher_passages > 0:
        raise ConfigError(
            f"teacher_passages={settings.teacher_passages} needs topology none: in a network the "
            "teacher is trained on the server's passages; leave it at 0 and set server_share"
        )
    if mixed and settings.method == "self":
        raise ConfigError(
            "method='self' teaches a student by a network of its own kind: set edge_families to "
            "same, or take method response"
        )
    if mixed and settings.uploads > 0:
        raise ConfigError(
            f"uploads={settings.uploads}: edges of mixed families lack sensors that the others' "
            "students need; set edge_families to same, or uploads to 0"
        )


def _poison_fits(settings: BeamSettings) -> None:
    if not settings.mistaught:
        return
    if settings.teacher_weights:
        raise ConfigError(
            f"attack={settings.attack!r} trains the teacher of poisoned edges, and teacher_weights="
            f"{settings.teacher_weights!r} are not trained: leave them out, or take attack scaled"
        )
    blind = [
        network.name
        for network in (*settings.students, settings.teacher_model)
        if not {*TRIGGER_SENSORS} & {*network.sensors}
    ]
    if settings.attack == "backdoor" and blind:
        raise ConfigError(
            f"attack='backdoor' shows its trigger to cameras, radars and GPS, and {blind[0]} has "
            "none of them: take another model or teacher, or attack flipped-labels"
        )


resolve = BeamSettings.resolve
