"""What training of a CSI student costs a node: operations and memory."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Literal

from torch import nn

from kdtasks.contract.collaboration import TensorSpec, Work
from kdtasks.contract.edges import check_edge_memory
from kdtasks.csi_feedback.methods.job import Plan, Teacher, TrainingStage
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.csi_feedback.settings import CsiSettings, resolve
from kdtasks.csi_feedback.students import make_decoder, make_encoder
from kdtasks.learning.complexity import Cost, count, state_bytes, training_bytes
from kdtasks.learning.random import initialised
from kdtasks.learning.tensors import state_specs
from kdtasks.learning.training import at_effort

Part = Literal["encoder", "decoder", "teacher encoder", "teacher decoder"]

TEACHER: tuple[Part, ...] = ("teacher encoder", "teacher decoder")

_DECIDING = CsiSettings.deciding("networks")
_PLAIN = resolve({})


def _architecture(settings: CsiSettings) -> CsiSettings:
    """Return settings that differ only where networks do, so that results can be kept by them."""
    return _PLAIN.model_copy(update={name: getattr(settings, name) for name in _DECIDING})


def _sample(settings: CsiSettings, part: Part) -> nn.Module:
    """Build a network to be measured; whatever its weights are."""
    if part.startswith("teacher"):
        settings = settings.of_teacher
    if part.endswith("decoder"):
        return initialised(0, part, partial(make_decoder, settings))
    name = settings.encoder if part == "encoder" else settings.teacher_encoder
    return initialised(0, part, partial(make_encoder, settings, name))


@lru_cache(maxsize=512)
def _cost(architecture: CsiSettings, part: Part) -> Cost:
    shape = (architecture.codeword_length,) if part == "decoder" else architecture.picture_shape
    return count(_sample(architecture, part), shape)


def network_cost(settings: CsiSettings, part: Part) -> Cost:
    """Return the complexity of a network, counted once for each architecture."""
    return _cost(_architecture(settings), part)


def forward_flops(settings: CsiSettings, part: Part) -> int:
    """Return the operations of one forward pass of one sample, see `learning.complexity.Cost`."""
    return network_cost(settings, part).flops


@lru_cache(maxsize=512)
def _specs(architecture: CsiSettings, *, teacher: bool) -> dict[str, TensorSpec]:
    parts: tuple[Part, Part] = ("encoder", "decoder")
    if teacher:
        parts = ("teacher encoder", "teacher decoder")
    return state_specs(Autoencoder(*(_sample(architecture, part) for part in parts)))


def tensor_specs(settings: CsiSettings, *, teacher: bool = False) -> dict[str, TensorSpec]:
    """Return the tensors of a student, or of the teacher."""
    return dict(_specs(_architecture(settings), teacher=teacher))


@lru_cache(maxsize=512)
def _stage_bytes(architecture: CsiSettings, training_stage: TrainingStage, batch_size: int) -> int:
    encoder, decoder = _sample(architecture, "encoder"), _sample(architecture, "decoder")
    decoder.requires_grad_(training_stage.decoder == 3)
    batch = batch_size * training_stage.together
    if training_stage.decoder == 0:
        return training_bytes(encoder, architecture.picture_shape, batch)
    if training_stage.encoder == 0:
        return training_bytes(decoder, (architecture.codeword_length,), batch)
    return training_bytes(Autoencoder(encoder, decoder), architecture.picture_shape, batch)


@lru_cache(maxsize=512)
def _state_bytes(architecture: CsiSettings, part: Part) -> int:
    return state_bytes(_sample(architecture, part))


def weights_bytes(settings: CsiSettings, *parts: Part) -> int:
    """Return the size of the weights of some networks [B]."""
    architecture = _architecture(settings)
    return sum(_state_bytes(architecture, part) for part in parts)


def peak_bytes(
    settings: CsiSettings,
    training_stages: Iterable[TrainingStage],
    batch_size: int,
    *,
    teacher: bool,
) -> int:
    """Return the memory of the stage that takes most, the weights of a held teacher included [B].

    Samples and a teacher's outputs are data and not counted.
    """
    architecture = _architecture(settings)
    training = [
        replace(training_stage, samples=0)
        for training_stage in training_stages
        if 3 in (training_stage.encoder, training_stage.decoder)
    ]
    peak = max(
        (_stage_bytes(architecture, training_stage, batch_size) for training_stage in training),
        default=0,
    )
    held = weights_bytes(settings, *TEACHER) if teacher and training else 0
    return peak + held


def training_flops(
    settings: CsiSettings, training_stages: Iterable[TrainingStage], part: Part = "encoder"
) -> int:
    """Return the operations of a training with one of the encoders, without those of a teacher."""
    encoder, decoder = forward_flops(settings, part), forward_flops(settings, "decoder")
    return sum(s.samples * (s.encoder * encoder + s.decoder * decoder) for s in training_stages)


def planned_stages(
    settings: CsiSettings, plan: Plan, samples: int, answered: int
) -> list[TrainingStage]:
    """Return the stages that a student will be trained in, on so many samples.

    Args:
        settings: The trial.
        plan: Its epochs.
        samples: Training samples.
        answered: Samples of the pairs that a user equipment answers, of methods with pairs.
    """
    if not settings.learns_codewords:
        used = samples - samples % plan.step_samples
        return [TrainingStage(samples=used * plan.epochs, encoder=3, decoder=3)]
    used = samples - samples % plan.batch_size
    stages = [TrainingStage(samples=used * plan.encoder_epochs, encoder=3, decoder=0)]
    if settings.method == "encoder-kd":
        tuned = used * plan.finetune_epochs
        at_edge = settings.topology == "decentralized" and settings.edge_part_only
        stages += [TrainingStage(samples=tuned, encoder=3, decoder=2 if at_edge else 3)]
    elif settings.method == "ip-encoder-kd":
        tuned = (answered - answered % plan.batch_size) * plan.finetune_epochs
        stages += [TrainingStage(samples=answered, encoder=1, decoder=0)]
        stages += [TrainingStage(samples=tuned, encoder=0, decoder=3)]
    return stages


def tuning_flops(settings: CsiSettings, samples: float) -> int:
    """Return the operations of training that the server leaves to an edge of so many samples."""
    if settings.topology != "semi-centralized":
        return 0
    samples *= settings.edge_epochs * (1 + settings.rehearsal_share)
    decoder = 2 if settings.edge_part_only else 3
    return training_flops(
        settings, [TrainingStage(samples=round(samples), encoder=3, decoder=decoder)]
    )


def server_samples(settings: CsiSettings) -> int:
    """Return how many training samples the server has, if users are as dense everywhere."""
    given = settings.num_train * (1 - settings.privacy_share)
    return round(given * settings.server_share * settings.server_coverage)


def edge_samples(settings: CsiSettings) -> int:
    """Return how many training samples the mean edge has."""
    edges = [samples_of(settings, edge) for edge in range(settings.num_edges)]
    return round(sum(edges) / len(edges))


def samples_of(settings: CsiSettings, edge: int) -> int:
    """Return how many training samples an edge has, if all areas are as full."""
    given = settings.num_train * (1 - settings.privacy_share)
    share = round(given * (1 - settings.server_share) / settings.num_edges)
    limit = settings.sample_limit(edge)
    return share if limit is None else min(share, limit)


def planned_epochs(settings: CsiSettings, plan: Plan) -> int:
    """Return the epochs of a student's training from scratch in a network, about.

    With effort gflop a node finds them from the samples that it has; here they are those of a
    server or edge of the usual size.
    """
    at_edge = settings.topology == "decentralized" and not settings.sends_pairs
    samples = (edge_samples if at_edge else server_samples)(settings)
    return total_epochs(settings, plan_at_effort(settings, plan, samples, edge_samples(settings)))


def total_epochs(settings: CsiSettings, plan: Plan) -> int:
    """Return the epochs of all stages of a plan."""
    if settings.server_training == "none":
        return 0
    if not settings.learns_codewords:
        return plan.epochs
    if settings.method == "sequential":
        return plan.encoder_epochs
    return plan.encoder_epochs + plan.finetune_epochs


def plan_at_effort(
    settings: CsiSettings, plan: Plan, samples: int, answered: int | None = None
) -> Plan:
    """Return the plan of a student at the effort of its trial.

    Of equal computation, fine-tuning has the epochs that it is set to, at the edge of a
    semi-centralized deployment, too, and what comes before it has the rest. A server that trains
    again after every upload divides it. To a plateau, each stage is trained to one of its own.

    Args:
        settings: The trial.
        plan: Its plan with the epochs that it sets.
        samples: Training samples.
        answered: Samples of the pairs that a user equipment answers, if not these.

    Raises:
        ConfigError: If not even one epoch fits into ``effort_gflop``.
    """

    def with_epochs(epochs: int) -> Plan:
        if settings.learns_codewords:
            return replace(plan, encoder_epochs=epochs)
        return replace(plan, epochs=epochs)

    at_edge = edge_samples(settings)

    def flop_of(epochs: int) -> float:
        stages = planned_stages(settings, with_epochs(epochs), samples, answered or samples)
        trainings = (1 + settings.uploads) * training_flops(settings, stages)
        return float(trainings + tuning_flops(settings, at_edge))

    first = plan.encoder_epochs if settings.learns_codewords else plan.epochs
    schedule = at_effort(plan.schedule(first), settings, flop_of)
    if schedule.plateau is None:
        return with_epochs(schedule.epochs)
    return replace(
        plan,
        epochs=schedule.epochs,
        encoder_epochs=schedule.epochs,
        finetune_epochs=schedule.epochs,
        plateau=schedule.plateau,
    )


def teacher_flops(settings: CsiSettings, teacher: Teacher) -> int:
    """Return the operations of a teacher that was run on samples whose outputs were not known."""
    encoded = teacher.forward_samples * forward_flops(settings, "teacher encoder")
    return encoded + teacher.decoded_samples * forward_flops(settings, "decoder")


def work_of(
    settings: CsiSettings,
    training_stages: Iterable[TrainingStage],
    core_seconds: float,
    batch_size: int,
    teacher: Teacher | None = None,
) -> Work:
    """Return what a training has cost.

    Args:
        settings: The student.
        training_stages: The stages of the training.
        core_seconds: CPU time of its epochs [s]; that of the teacher is added.
        batch_size: Samples per step.
        teacher: A teacher that was held in memory, and perhaps run.
    """
    training_stages = tuple(training_stages)
    flops = training_flops(settings, training_stages)
    if teacher is not None:
        flops += teacher_flops(settings, teacher)
        core_seconds += teacher.core_seconds
    return Work(
        flops=float(flops),
        core_seconds=core_seconds,
        peak_bytes=float(
            peak_bytes(settings, training_stages, batch_size, teacher=teacher is not None)
        ),
        teacher_samples=0 if teacher is None else teacher.forward_samples,
    )


_ENCODER = TrainingStage(samples=0, encoder=3, decoder=0)
_THROUGH = TrainingStage(samples=0, encoder=3, decoder=2)
_BOTH = TrainingStage(samples=0, encoder=3, decoder=3)


def edge_bytes(settings: CsiSettings) -> int:
    """Return the memory that an edge's training will take at its peak [B].

    Args:
        settings: The edge's own: its family may differ from the others'.
    """
    batch = min(settings.batch_size, settings.edge_samples or settings.batch_size)
    if settings.stepwise:
        batch = max(samples_of(settings, edge) for edge in range(settings.num_edges))
    whole = _THROUGH if settings.edge_part_only else _BOTH
    if settings.topology == "centralized":
        return 0
    if settings.topology == "decentralized":
        if settings.sends_pairs:
            return peak_bytes(settings, [_ENCODER], batch, teacher=False)
        training_stages = [_ENCODER, whole] if settings.method == "encoder-kd" else [_BOTH]
        return peak_bytes(settings, training_stages, batch, teacher=settings.has_teacher)
    last = _BOTH if settings.in_rounds else whole
    # With both terms, a batch of labelled samples and one of guiding samples are held at once.
    together = 2 if settings.anchored and settings.anchor_weight < 1.0 else 1
    return peak_bytes(settings, [replace(last, together=together)], batch, teacher=False)


def check_memory(settings: CsiSettings, edges: Iterable[CsiSettings]) -> None:
    """Refuse a deployment whose training does not fit into ``edge_memory_mb``.

    Args:
        settings: The deployment.
        edges: The settings of every family of edges.

    Raises:
        ConfigError: Naming what training takes and what to lower.
    """
    sent = settings.has_teacher and not settings.sends_pairs
    teacher = settings.topology == "decentralized" and sent
    check_edge_memory(
        settings,
        map(edge_bytes, edges),
        f"lower batch_size={settings.batch_size}, decoder_width or encoder_width",
        f" and method {settings.method}{', the teacher included' if teacher else ''}",
    )
