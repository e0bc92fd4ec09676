"""What training of a LiDAR student costs a node: operations and memory."""

from functools import lru_cache

from kdtasks.contract.collaboration import Work
from kdtasks.contract.edges import check_edge_memory
from kdtasks.learning.complexity import FLOPS_PER_MAC, Size, size_of
from kdtasks.learning.jobs import Trained
from kdtasks.learning.random import initialised
from kdtasks.lidar_beam.models.family import GENERATORS, LIDAR_TEACHERS, WINDOW_SHAPE
from kdtasks.lidar_beam.models.network import LidarNetwork
from kdtasks.lidar_beam.models.student import LidarStudent
from kdtasks.lidar_beam.settings import GENERATING, LidarSettings


@lru_cache(maxsize=256)
def _student(width: float) -> Size:
    return size_of(initialised(0, "size", lambda: LidarStudent(width=width)), WINDOW_SHAPE)


@lru_cache(maxsize=256)
def _teacher(name: str) -> Size:
    builder = {str(known): build for known, build in LIDAR_TEACHERS.items()}[name]
    return size_of(initialised(0, "size", builder), WINDOW_SHAPE)


@lru_cache(maxsize=256)
def _generator(name: str, noise: int, width: float) -> Size:
    family = GENERATORS[name]
    network = initialised(0, "size", lambda: family.build(noise_size=noise, width=width))
    return size_of(network, (network.noise_size,))


def student_size(settings: LidarSettings) -> Size:
    """Return what the student costs."""
    return _student(settings.width)


def teacher_size(settings: LidarSettings) -> Size:
    """Return what the teacher costs."""
    return _teacher(settings.teacher)


def generator_size(settings: LidarSettings) -> Size:
    """Return what the generator costs; what is no layer, such as rendering objects, is free."""
    return _generator(settings.generator, settings.generator_noise, settings.generator_width)


def training_work(settings: LidarSettings, samples: int, core_seconds: float, made: int) -> Work:
    """Return what a student's training has cost, without that of a generator.

    Args:
        settings: The student.
        samples: Windows that it was trained on, repetitions included.
        core_seconds: CPU time of its epochs [s].
        made: Windows that were made up for it, each of which its teacher was asked about.
    """
    macs = 3 * samples * student_size(settings).macs
    if made:
        macs += made * teacher_size(settings).macs
    if made and settings.method in GENERATING:
        macs += made * generator_size(settings).macs
    return Work(
        flops=float(FLOPS_PER_MAC * macs),
        core_seconds=core_seconds,
        peak_bytes=float(student_size(settings).batch_bytes(settings.batch_size)),
        teacher_samples=made,
    )


def inversion_work(settings: LidarSettings, core_seconds: float) -> Work:
    """Return what the training of a generator has cost.

    Per window three times the generator's forward pass, and twice the teacher's, whose weights get
    no gradient.
    """
    windows = settings.generator_steps * settings.generator_batch
    macs = windows * (3 * generator_size(settings).macs + 2 * teacher_size(settings).macs)
    return Work(
        flops=float(FLOPS_PER_MAC * macs),
        core_seconds=core_seconds,
        peak_bytes=float(inversion_bytes(settings)),
        teacher_samples=windows,
    )


def planned_flops(settings: LidarSettings, samples: int) -> float:
    """Return the operations of a lone student's training, that of its generator included.

    Args:
        settings: The student.
        samples: Windows that it will be trained on, repetitions included.
    """
    macs = 3 * samples * student_size(settings).macs
    if settings.method in GENERATING:
        macs += (samples if settings.fresh else settings.windows) * generator_size(settings).macs
    if settings.method == "datafree":
        inverted = settings.generator_steps * settings.generator_batch
        macs += 3 * inverted * generator_size(settings).macs
    return float(FLOPS_PER_MAC * macs)


def effort_of(
    settings: LidarSettings,
    trained: Trained[LidarNetwork],
    teacher_work: Work,
    *,
    queried: int,
    inverted: int,
) -> dict[str, float]:
    """Return the effort of a student's training, that of its generator included.

    Args:
        settings: The student.
        trained: The student's own training.
        teacher_work: Cost of outputs on recorded windows that its teacher lacked.
        queried: Made-up windows that its teacher was run on for it.
        inverted: Windows that the teacher was run on, forward and backward, for its generator.
    """
    flops = training_work(settings, trained.samples, 0.0, queried).flops
    flops += inversion_work(settings, 0.0).flops if inverted else 0.0
    teacher_flops = FLOPS_PER_MAC * teacher_size(settings).macs * (queried + 2 * inverted)
    return trained.effort(flops - teacher_flops, teacher_flops + teacher_work.flops)


def inversion_bytes(settings: LidarSettings) -> int:
    """Return the memory that training a generator takes at its peak, its teacher included [B]."""
    teacher = teacher_size(settings)
    batch = settings.generator_batch
    return (
        generator_size(settings).batch_bytes(batch)
        + teacher.state_bytes
        + batch * teacher.sample_bytes
    )


def held_beside(settings: LidarSettings) -> int:
    """Return the memory of what stays at an edge while its student is trained [B]."""
    generator = generator_size(settings).state_bytes if settings.method in GENERATING else 0
    teacher = settings.has_teacher and not settings.scans_travel
    return generator + (teacher_size(settings).state_bytes if teacher else 0)


def edge_bytes(settings: LidarSettings) -> int:
    """Return the memory that an edge's training will take at its peak [B].

    Windows and a teacher's outputs are data and not counted.
    """
    if settings.topology == "centralized":
        return 0
    student = student_size(settings).batch_bytes(settings.batch_size) + held_beside(settings)
    return max(student, inversion_bytes(settings) if settings.inverts_at_edge else 0)


def check_memory(settings: LidarSettings) -> None:
    """Refuse a deployment whose training does not fit into ``edge_memory_mb``.

    Raises:
        ConfigError: Naming what training takes and what to lower.
    """
    advice = f"lower batch_size={settings.batch_size}"
    if settings.inverts_at_edge:
        advice = (
            f"lower generator_batch={settings.generator_batch}, or set travels to generator, which "
            "is then trained by the server"
        )
    check_edge_memory(settings, map(edge_bytes, [settings]), advice)
