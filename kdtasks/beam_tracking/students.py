"""How one beam-tracking network is built, and what for it is trained."""

from functools import partial

import torch

from kdtasks.beam_tracking.methods.batches import Windows, passes_of_epoch
from kdtasks.beam_tracking.methods.job import Runner, Streams, job_on, schedule
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.beam_tracking.settings import METHOD_NAMES, OUTPUTS_SHAPE, BeamSettings, LossName
from kdtasks.beam_tracking.workload import training_work
from kdtasks.contract.task import Arrays, TeacherArtifact
from kdtasks.learning.custom_loss import own_loss
from kdtasks.learning.distillation import (
    Goal,
    Loss,
    Outputs,
    Term,
    blended,
    distilled,
    labelled,
    response,
)
from kdtasks.learning.jobs import Job
from kdtasks.learning.losses import (
    focal_loss,
    leaning_weights,
    slot_cross_entropy,
    slot_kl,
)
from kdtasks.learning.random import initialised, torch_generator
from kdtasks.learning.tensors import load_state
from kdtasks.learning.training import at_effort
from kdtasks.sensing.beams.format import NUM_SLOTS

TEACHER_GAMMA = 2.0
"""Exponent of a teacher's focal loss, that of Table II."""

ALPHA, TEMPERATURE = 0.5, 3.0
"""Between generations of self-distillation before the student, as in the code of Table II."""


def student_job(
    settings: BeamSettings, train: Windows, val: Windows | None, teacher: TeacherArtifact | None
) -> tuple[Job[BeamNetwork], Runner]:
    """Return the training of a student, and what runs it; a node trains on all that it has."""
    lone = settings.on_street and not settings.networked
    network, streams = new_student(settings), streams_of(settings.seed, "student")
    runner = Runner(network, streams.dropout)
    own = train.first(settings.train_passages) if lone else train
    plan = schedule(
        epochs=settings.epochs,
        batch_size=settings.batch_chunks,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    if settings.effort != "epochs":
        epoch = training_work(settings, passes_of_epoch(own, settings.batch_chunks), 0.0).flops
        plan = at_effort(plan, settings, lambda epochs: epoch * epochs)
    goal = student_goal(settings, network, own, teacher)
    return job_on(runner, own, val, goal, plan, streams), runner


def new_student(settings: BeamSettings) -> BeamNetwork:
    """Return a student that has learnt nothing."""
    return initialised(settings.seed, "student", partial(build, settings, teacher=False))


def teacher_job(
    settings: BeamSettings,
    generation: int,
    train: Windows,
    val: Windows,
    before: Outputs | None,
) -> tuple[Job[BeamNetwork], Runner]:
    """Return the training of a teacher, and what runs it.

    Args:
        settings: The trial's.
        generation: 0, except for later generations of self-distillation.
        train: Windows that it may see.
        val: Windows that it is judged on.
        before: Outputs of the generation before on the training windows.
    """
    stream_name = f"teacher {generation}"
    streams = streams_of(settings.teacher_seed, stream_name)
    make = partial(build, settings, teacher=True)
    network = initialised(settings.teacher_seed, stream_name, make)
    plan = schedule(
        epochs=settings.teacher_epochs,
        batch_size=settings.batch_chunks,
        learning_rate=settings.teacher_rate,
        rate_name="teacher_rate",
        weight_decay=settings.teacher_decay,
    )
    runner = Runner(network, streams.dropout)
    goal = generation_goal(settings, train, before)
    return job_on(runner, train, val, goal, plan, streams), runner


def streams_of(seed: int, stream_name: str) -> Streams:
    """Return the random streams of a training."""
    return Streams(
        order=torch_generator(seed, f"{stream_name} order"),
        cuts=torch_generator(seed, f"{stream_name} cuts"),
        dropout=torch_generator(seed, f"{stream_name} dropout"),
    )


def build(settings: BeamSettings, *, teacher: bool) -> BeamNetwork:
    """Build a student, or its teacher; weights come from torch's global generator."""
    model = settings.teacher_model if teacher else settings.student_model
    width = settings.teacher_width if teacher else settings.width
    return model.build(image_size=settings.image_size, width=width)


def restored(settings: BeamSettings, weights: Arrays, *, teacher: bool) -> BeamNetwork:
    """Build a network and load its weights."""
    with torch.random.fork_rng(devices=[]):
        network = build(settings, teacher=teacher)
    load_state(network, weights)
    return network.eval()


def loss_of(name: LossName, gamma: float) -> Loss:
    """Return a loss towards labels."""
    losses: dict[LossName, Loss] = {
        "focal": partial(focal_loss, gamma=gamma),
        "cross-entropy": slot_cross_entropy,
    }
    return losses[name]


def generation_goal(settings: BeamSettings, train: Windows, before: Outputs | None) -> Goal:
    """Return what a teacher is trained for; with a generation before it, also its logits."""
    task = response(loss_of(settings.teacher_loss, TEACHER_GAMMA), train.label_WT)
    if before is None:
        return labelled(task)
    soft = partial(slot_kl, temperature=TEMPERATURE)
    return Goal(terms=blended(task, response(soft, before.outputs), ALPHA))


def task_of(settings: BeamSettings, train: Windows) -> Term:
    """Return a student's loss towards labels."""
    return response(loss_of(settings.task_loss, settings.focal_gamma), train.label_WT)


def soft_loss(settings: BeamSettings) -> Loss:
    """Return a student's loss towards the logits of a teacher, or of other students."""
    weights = leaning_weights(NUM_SLOTS, settings.slot_lean)
    return partial(slot_kl, temperature=settings.temperature, slot_weights=weights)


def student_goal(
    settings: BeamSettings, network: BeamNetwork, train: Windows, teacher: TeacherArtifact | None
) -> Goal:
    """Return what a student is trained for: labels, and what its method takes from the teacher."""
    loss = soft_loss(settings)
    if settings.method not in METHOD_NAMES:
        loss = own_loss(settings.method, OUTPUTS_SHAPE, METHOD_NAMES)
    outputs = None if teacher is None else Outputs.of(teacher.outputs, "logits")
    features = (NUM_SLOTS, network.num_outputs)
    task = task_of(settings, train)
    return distilled(task, outputs, settings, loss, features, train.passage_W)
