"""What beam-tracking networks take of the node that trains or runs them: operations and memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kdtasks.beam_tracking.methods.batches import CHUNK, Passes
from kdtasks.beam_tracking.models.family import BeamModel
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.beam_tracking.settings import BeamSettings
from kdtasks.beam_tracking.thop_count import PAPER_STEPS, thop_count
from kdtasks.contract.collaboration import Work
from kdtasks.contract.edges import check_edge_memory
from kdtasks.learning.complexity import (
    FLOPS_PER_MAC,
    Size,
    batch1_latency_ms,
    energy_uj,
    size_of,
)
from kdtasks.learning.jobs import Trained
from kdtasks.learning.random import initialised
from kdtasks.sensing.beams.format import NUM_PAST, NUM_STEPS, Sensor


@dataclass(frozen=True, kw_only=True, slots=True)
class BeamSize:
    """A network's costs, apart for frames, which windows share, and for windows.

    Attributes:
        window: Of a whole window.
        frames: Of the branch of each sensor, for a frame.
    """

    window: Size
    frames: Mapping[Sensor, Size]

    def forward_flops(self, passes: Passes) -> float:
        """Return the operations of running frames and windows forwards."""
        frames = sum(passes.frames[sensor] * size.macs for sensor, size in self.frames.items())
        after = self.window.macs - NUM_STEPS * sum(size.macs for size in self.frames.values())
        return float(FLOPS_PER_MAC * (frames + passes.windows * after))

    def chunk_bytes(self, frames: int) -> int:
        """Return the outputs of all layers for a chunk of windows over so many frames [B]."""
        frame = sum(size.sample_bytes for size in self.frames.values())
        return frames * frame + CHUNK * (self.window.sample_bytes - NUM_STEPS * frame)


@lru_cache(maxsize=256)
def beam_size(model: BeamModel, width: float, image_size: int) -> BeamSize:
    """Return what a network costs."""
    network = initialised(0, "size", lambda: model.build(image_size=image_size, width=width))
    shapes = model.window_shapes(image_size=image_size)
    return BeamSize(
        window=size_of(network, *shapes),
        frames={
            sensor: size_of(network.branches[sensor], shape[1:])
            for sensor, shape in zip(model.sensors, shapes, strict=True)
        },
    )


def student_size(settings: BeamSettings) -> BeamSize:
    """Return what the student costs."""
    return beam_size(settings.student_model, settings.width, settings.image_size)


def teacher_size(settings: BeamSettings) -> BeamSize:
    """Return what the teacher costs."""
    return beam_size(settings.teacher_model, settings.teacher_width, settings.image_size)


def training_work(
    settings: BeamSettings, passes: Passes, core_seconds: float, *, batches: int = 1
) -> Work:
    """Return what a student's training has cost; a projection of features is not in it.

    Args:
        settings: The student.
        passes: What went through it forwards; backwards counts twice as much.
        core_seconds: CPU time of its epochs [s].
        batches: Batches that are held at once.
    """
    return Work(
        flops=3.0 * student_size(settings).forward_flops(passes),
        core_seconds=core_seconds,
        peak_bytes=float(peak_bytes(settings, batches=batches)),
    )


def effort_of(
    settings: BeamSettings, trained: Trained[BeamNetwork], passes: Passes
) -> dict[str, float]:
    """Return the effort of a student's training; samples are windows, not chunks of them."""
    flops = training_work(settings, passes, trained.core_seconds).flops
    return {**trained.effort(flops), "train_samples": float(passes.windows)}


def peak_bytes(settings: BeamSettings, *, batches: int = 1) -> int:
    """Return the memory that training a student takes at its peak [B].

    A chunk of windows in a row has most of its frames in common. Windows and a teacher's
    outputs are data and not counted; nor is a projection of features.

    Args:
        settings: The student; its ``batch_chunks`` make a batch.
        batches: Batches that are held at once.
    """
    size = student_size(settings)
    frames = NUM_PAST + (CHUNK - 1) * min(settings.window_stride, NUM_PAST)
    return size.window.held_bytes + batches * settings.batch_chunks * size.chunk_bytes(frames)


def edge_bytes(settings: BeamSettings) -> int:
    """Return the memory that an edge's training will take at its peak [B].

    Args:
        settings: The edge's own: its family may differ from the others'.
    """
    if settings.topology == "centralized":
        return 0
    if settings.edge_samples:
        settings = settings.with_batch_up_to(settings.edge_samples)
    if settings.topology == "decentralized":
        teacher = teacher_size(settings).window.state_bytes if settings.has_teacher else 0
        return peak_bytes(settings) + teacher
    # With both terms, a batch of labelled windows and one of guiding windows are held at once.
    together = 2 if settings.anchored and settings.anchor_weight < 1.0 else 1
    return peak_bytes(settings, batches=together)


def check_memory(settings: BeamSettings, families: Sequence[BeamSettings]) -> None:
    """Refuse a deployment whose training does not fit into ``edge_memory_mb``.

    Args:
        settings: The deployment.
        families: The settings of every family of edges, in their turn.

    Raises:
        ConfigError: Naming what training takes and what to lower.
    """
    teacher = settings.topology == "decentralized" and settings.has_teacher
    check_edge_memory(
        settings,
        map(edge_bytes, families),
        f"lower batch_chunks={settings.batch_chunks} or width={settings.width:g}",
        ", the teacher included" if teacher else "",
    )


@lru_cache(maxsize=256)
def model_cost(model: BeamModel, width: float, image_size: int) -> dict[str, float]:
    """Return what a network costs by itself; not to be written to.

    ``params``, ``macs`` of a window, ``thop_operations`` as counted in Table II, ``model_bytes``.
    """
    network = model.build(image_size=image_size, width=width)
    paper = model.window_shapes(image_size=image_size, steps=PAPER_STEPS)
    operations = float(thop_count(network, *paper).operations)
    return {**beam_size(model, width, image_size).window.metrics, "thop_operations": operations}


def student_cost(settings: BeamSettings) -> dict[str, float]:
    """Return `model_cost` of a trial's student, and ``energy_uj``, see `energy_uj`."""
    costs = model_cost(settings.student_model, settings.width, settings.image_size)
    return {**costs, "energy_uj": energy_uj(costs["macs"], settings.pj_per_mac)}


def student_latency_ms(settings: BeamSettings, network: BeamNetwork) -> float:
    """Return the median wall time of one window on this CPU, one thread [ms]."""
    shapes = settings.student_model.window_shapes(image_size=settings.image_size)
    return batch1_latency_ms(network, *shapes)
