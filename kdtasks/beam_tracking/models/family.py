"""The beam-tracking networks by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from kdtasks.beam_tracking.models.image import ImageStudent, ImageTeacher
from kdtasks.beam_tracking.models.image_radar import ImageRadarStudent, ImageRadarTeacher
from kdtasks.beam_tracking.models.layers import FEATURES
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.beam_tracking.models.radar import RadarStudent, RadarTeacher
from kdtasks.beam_tracking.models.signals import SignalNetwork
from kdtasks.learning.tensors import scaled
from kdtasks.sensing.beams.format import NUM_BEAMS, NUM_STEPS, RADAR_SHAPE, Sensor

Role = Literal["teacher", "student"]

PAPER_IMAGE_SIZE = 224
"""Side of the images in the paper [px]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BeamModel:
    """One network, or one family of students.

    Attributes:
        name: Unique, as in study files.
        sensors: What it takes, in the order of `BeamNetwork.sensors`.
        role: Students come in any width, teachers as published.
        published: Whether it is in Table II of the paper; what is not is ours.
        builder: Builds it from the side of the images [px] and the width factor.
    """

    name: str
    sensors: tuple[Sensor, ...]
    role: Role
    published: bool
    builder: Callable[[int, float], BeamNetwork]

    def build(self, *, image_size: int, width: float = 1.0) -> BeamNetwork:
        """Build the network; initial weights come from torch's global generator.

        Args:
            image_size: Side of the images [px], a multiple of 32; without effect on students and
                where there is no camera.
            width: Factor on channels, features and hidden units; 1 is the published network.

        Raises:
            ValueError: If a teacher is to be of another width, or a size cannot be.
        """
        if self.role == "teacher" and width != 1.0:
            raise ValueError(f"only students have a width: {self.name} got {width=}")
        return self.builder(image_size, width)

    def window_shapes(
        self, *, image_size: int, steps: int = NUM_STEPS
    ) -> tuple[tuple[int, ...], ...]:
        """Return the shape of one window for each sensor, without batch."""
        shapes: dict[Sensor, tuple[int, ...]] = {
            "image": (1, image_size, image_size),
            "radar": RADAR_SHAPE,
            "gps": (2,),
            "power": (NUM_BEAMS,),
        }
        return tuple((steps, *shapes[sensor]) for sensor in self.sensors)


def _signal_models(sensors: tuple[Sensor, ...]) -> tuple[BeamModel, BeamModel]:
    """Return teacher and students of positions, powers, or both; the teacher has width 1."""
    name = "-".join(sensors)
    teacher = BeamModel(
        name=f"{name}-teacher",
        sensors=sensors,
        role="teacher",
        published=False,
        builder=lambda *_: SignalNetwork(sensors, FEATURES),
    )
    student = BeamModel(
        name=f"{name}-student",
        sensors=sensors,
        role="student",
        published=False,
        builder=lambda _, width: SignalNetwork(sensors, scaled(FEATURES, width)),
    )
    return teacher, student


BEAM_MODELS = {
    model.name: model
    for model in (
        BeamModel(
            name="image-teacher",
            sensors=("image",),
            role="teacher",
            published=True,
            builder=lambda size, _: ImageTeacher(size),
        ),
        BeamModel(
            name="image-teacher-gru1",
            sensors=("image",),
            role="teacher",
            published=True,
            builder=lambda size, _: ImageTeacher(size, gru_layers=1),
        ),
        BeamModel(
            name="image-student",
            sensors=("image",),
            role="student",
            published=True,
            builder=lambda _, width: ImageStudent(width=width),
        ),
        BeamModel(
            name="image-radar-teacher",
            sensors=("image", "radar"),
            role="teacher",
            published=True,
            builder=lambda size, _: ImageRadarTeacher(size),
        ),
        BeamModel(
            name="image-radar-student",
            sensors=("image", "radar"),
            role="student",
            published=True,
            builder=lambda _, width: ImageRadarStudent(width=width),
        ),
        BeamModel(
            name="radar-teacher",
            sensors=("radar",),
            role="teacher",
            published=False,
            builder=lambda *_: RadarTeacher(),
        ),
        BeamModel(
            name="radar-student",
            sensors=("radar",),
            role="student",
            published=False,
            builder=lambda _, width: RadarStudent(width=width),
        ),
        *_signal_models(("gps",)),
        *_signal_models(("power",)),
        *_signal_models(("gps", "power")),
    )
}
"""Every network, by name."""
