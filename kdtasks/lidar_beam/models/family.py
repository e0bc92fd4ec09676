"""The networks of LiDAR beam tracking by name: teachers, students, generators."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from kdtasks.lidar_beam.models.cnn_teacher import LidarCnnTeacher
from kdtasks.lidar_beam.models.generator import DenseGenerator, ScanGenerator
from kdtasks.lidar_beam.models.gru_teacher import LidarGruTeacher
from kdtasks.lidar_beam.models.network import LidarNetwork
from kdtasks.lidar_beam.models.objects import ObjectGenerator
from kdtasks.sensing.beams.format import NUM_PAST, NUM_RAYS

TeacherName = Literal["cnn-gru", "gru"]

GeneratorName = Literal["objects", "dense", "dense-deep"]

WINDOW_SHAPE = (NUM_PAST, NUM_RAYS)
"""A window as networks take it, without batch."""

LIDAR_TEACHERS: dict[TeacherName, Callable[[], LidarNetwork]] = {
    "cnn-gru": LidarCnnTeacher,
    "gru": LidarGruTeacher,
}
"""Teachers by name; they come as published."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorFamily:
    """Generators of one structure.

    Attributes:
        name: As in study files.
        published: Whether it is the paper's; what is not is ours.
        noise_size: Numbers of noise per window by default.
        builder: Builds one from the numbers of noise and the width factor.
    """

    name: GeneratorName
    published: bool
    noise_size: int
    builder: Callable[[int, float], ScanGenerator]

    def build(self, *, noise_size: int = 0, width: float = 1.0) -> ScanGenerator:
        """Build a generator; initial weights come from torch's global generator.

        Args:
            noise_size: Numbers of noise per window, at least 2; 0 takes the family's own.
            width: Factor on hidden units.
        """
        return self.builder(noise_size or self.noise_size, width)


GENERATORS: dict[str, GeneratorFamily] = {
    family.name: family
    for family in (
        GeneratorFamily(
            name="objects",
            published=False,
            noise_size=32,
            builder=lambda noise, width: ObjectGenerator(noise_size=noise, width=width),
        ),
        GeneratorFamily(
            name="dense",
            published=True,
            noise_size=500,
            builder=lambda noise, width: DenseGenerator(noise_size=noise, width=width),
        ),
        GeneratorFamily(
            name="dense-deep",
            published=True,
            noise_size=500,
            builder=lambda noise, width: DenseGenerator(noise_size=noise, layers=2, width=width),
        ),
    )
}
"""Generators by name."""
