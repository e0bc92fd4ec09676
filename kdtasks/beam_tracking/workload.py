"""What training of a beam-tracking student costs a node: operations and memory.

What a beam-tracking network takes of the node that runs it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kdtasks.beam_tracking.methods.batches import CHUNK, Passes
from kdtasks.beam_tracking.models.family import BeamModel
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.beam_tracking.settings import BeamSettings
from kdtasks.beam_tracking.thop_count import PAPER_STEPS, thop_count
from kdtasks.contract.collaboration import TensorSpec, Work
from kdtasks.contract.deployment import edge_short_of_memory
from kdtasks.contract.errors import ConfigError
from kdtasks.learning.complexity import (
    batch1_latency_ms,
    count,
    energy_uj,
    held_bytes,
    kept_bytes,
    state_bytes,
)
from kdtasks.learning.jobs import Trained
from kdtasks.learning.random import initialised
from kdtasks.learning.tensors import state_specs
from kdtasks.sensing.beams.format import NUM_PAST, NUM_STEPS, Sensor

FLOPS_PER_MAC = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """A network's costs, apart for frames, which windows share, and for windows.

    Attributes:
        frame_macs: Multiply-accumulates of a frame of each sensor.
        window_macs: Of everything after that, for one window.
        frame_bytes: Outputs of all layers for a frame of each sensor [B].
        window_bytes: Outputs of all layers after that, for one window [B].
        held_bytes: What training holds whatever the batch [B].
        state_bytes: Parameters and buffers [B].
    """

    frame_macs: Mapping[Sensor, int]
    window_macs: int
    frame_bytes: Mapping[Sensor, int]
    window_bytes: int
    held_bytes: int
    state_bytes: int

    def forward_flops(self, passes: Passes) -> float:
        """Return the operations of running frames and windows forwards."""
        frames = sum(passes.frames[sensor] * macs for sensor, macs in self.frame_macs.items())
        return float(FLOPS_PER_MAC * (frames + passes.windows * self.window_macs))


@lru_cache(maxsize=256)
def size_of(model: BeamModel, width: float, image_size: int) -> Size:
    """Return what a network costs."""
    network = _sample(model, width, image_size)
    shapes = model.window_shapes(image_size=image_size)
    frames: dict[Sensor, tuple[int, ...]] = {
        sensor: shape[1:] for sensor, shape in zip(model.sensors, shapes, strict=True)
    }
    branch_macs = {s: count(network.branches[s], shape).macs for s, shape in frames.items()}
    branch_bytes = {s: kept_bytes(network.branches[s], shape) for s, shape in frames.items()}
    return Size(
        frame_macs=branch_macs,
        window_macs=count(network, *shapes).macs - NUM_STEPS * sum(branch_macs.values()),
        frame_bytes=branch_bytes,
        window_bytes=kept_bytes(network, *shapes) - NUM_STEPS * sum(branch_bytes.values()),
        held_bytes=held_bytes(network),
        state_bytes=state_bytes(network),
    )


@lru_cache(maxsize=256)
def specs_of(model: BeamModel, width: float, image_size: int) -> dict[str, TensorSpec]:
    """Return the tensors of a network."""
    return state_specs(_sample(model, width, image_size))


def _sample(model: BeamModel, width: float, image_size: int) -> BeamNetwork:
    """Build a network to be measured; whatever its weights are."""
    return initialised(0, "size", lambda: model.build(image_size=image_size, width=width))


def student_size(settings: BeamSettings) -> Size:
    """Return what the student costs."""
    return size_of(settings.student_model, settings.width, settings.image_size)


def teacher_size(settings: BeamSettings) -> Size:
    """Return what the teacher costs."""
    return size_of(settings.teacher_model, settings.teacher_width, settings.image_size)


def fitted(settings: BeamSettings, num_windows: int) -> BeamSettings:
    """Return settings whose batch is no larger than the windows at hand."""
    chunks = min(settings.batch_chunks, -(-num_windows // CHUNK))
    return settings.model_copy(update={"batch_chunks": chunks})


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

    A chunk of windows in a row has most of its frames in common. Windows, and what a teacher says
    of them, are data and not counted; nor is a projection of features.

    Args:
        settings: The student; its ``batch_chunks`` make a batch.
        batches: Batches that are held at once.
    """
    size = student_size(settings)
    frames = NUM_PAST + (CHUNK - 1) * min(settings.window_stride, NUM_PAST)
    chunk = frames * sum(size.frame_bytes.values()) + CHUNK * size.window_bytes
    return size.held_bytes + batches * settings.batch_chunks * chunk


def edge_bytes(settings: BeamSettings) -> int:
    """Return the memory that an edge's training will take at its peak [B].

    Args:
        settings: The edge's own: its family may differ from the others'.
    """
    if settings.topology == "centralized":
        return 0
    if settings.edge_samples:
        settings = fitted(settings, settings.edge_samples)
    if settings.topology == "decentralized":
        teacher = teacher_size(settings).state_bytes if settings.has_teacher else 0
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
    lacking = edge_short_of_memory(settings, (edge_bytes(own) / 1e6 for own in families))
    if lacking is None:
        return
    edge, has_mb, needs_mb = lacking
    held = settings.topology == "decentralized" and settings.has_teacher
    raise ConfigError(
        f"edge_memory_mb={settings.edge_memory_mb:g}: edge {edge} has {has_mb:g} MB, and training "
        f"there takes {needs_mb:.3g} MB with topology {settings.topology}"
        f"{', the teacher included' if held else ''}: lower batch_chunks={settings.batch_chunks} "
        f"or width={settings.width:g}, or take topology centralized"
    )


LATENCY_REPEATS = 30
"""Forward passes whose median is the latency."""


@lru_cache(maxsize=256)
def model_cost(model: BeamModel, width: float, image_size: int) -> dict[str, float]:
    """Return what a network costs by itself; not to be written to.

    ``params``, ``macs`` of a window, ``thop_operations`` as counted in Table II, ``model_bytes``.
    """
    network = model.build(image_size=image_size, width=width)
    counted = count(network, *model.window_shapes(image_size=image_size))
    paper = model.window_shapes(image_size=image_size, steps=PAPER_STEPS)
    return {
        "params": float(counted.params),
        "macs": float(counted.macs),
        "thop_operations": float(thop_count(network, *paper).operations),
        "model_bytes": float(state_bytes(network)),
    }


def student_cost(settings: BeamSettings) -> dict[str, float]:
    """Return `model_cost` of a trial's student, and ``energy_uj``, see `energy_uj`."""
    costs = model_cost(settings.student_model, settings.width, settings.image_size)
    return {**costs, "energy_uj": energy_uj(costs["macs"], settings.pj_per_mac)}


def student_latency_ms(settings: BeamSettings, network: BeamNetwork) -> float:
    """Return the median wall time of one window on this CPU, one thread [ms]."""
    shapes = settings.student_model.window_shapes(image_size=settings.image_size)
    return batch1_latency_ms(network, *shapes, repeats=LATENCY_REPEATS)
