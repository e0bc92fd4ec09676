"""How one network of LiDAR beam tracking is built, and on what windows it is trained."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from kdtasks.contract.collaboration import Work, leaving
from kdtasks.contract.task import Arrays, Report, TeacherArtifact
from kdtasks.learning.complexity import FLOPS_PER_MAC
from kdtasks.learning.distillation import (
    Goal,
    Outputs,
    complete_outputs,
    distilled,
    labelled,
)
from kdtasks.learning.jobs import Job, Trained, numbered
from kdtasks.learning.jobs import train as run_job
from kdtasks.learning.random import initialised, torch_generator
from kdtasks.learning.tensors import as_tensor, load_state, state_arrays
from kdtasks.learning.training import Objective, at_effort
from kdtasks.lidar_beam.methods import job as lidar_job
from kdtasks.lidar_beam.methods.batches import Scans, scans_of
from kdtasks.lidar_beam.methods.imitation import (
    Lesson,
    Source,
    gaussian,
    generated,
    hand_set,
    soft_loss,
)
from kdtasks.lidar_beam.methods.inversion import Inversion, Weights, invert
from kdtasks.lidar_beam.methods.metadata import opened, sealed_bytes
from kdtasks.lidar_beam.models.family import GENERATORS, LIDAR_TEACHERS
from kdtasks.lidar_beam.models.generator import ScanGenerator
from kdtasks.lidar_beam.models.network import LidarNetwork
from kdtasks.lidar_beam.models.student import LidarStudent
from kdtasks.lidar_beam.settings import LidarSettings
from kdtasks.lidar_beam.workload import planned_flops, teacher_size
from kdtasks.sensing.beams.format import NUM_SLOTS

HELD_OUT = 1000
"""Made-up windows that an epoch is chosen by."""

SENT_GENERATOR = "generator."
"""Of the names under which tensors of a generator lie that was sent with its teacher."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """Where made-up windows come from.

    Attributes:
        source: Draws them.
        terms: Terms of the generator's loss in its last epoch, if it was trained.
        generator: The generator, if there is one.
        core_seconds: CPU time of its training [s].
        queried: Windows that the teacher was run on meanwhile.
        epochs: What was reported meanwhile.
    """

    source: Source
    terms: Mapping[str, float] = field(default_factory=dict)
    generator: ScanGenerator | None = None
    core_seconds: float = 0.0
    queried: int = 0
    epochs: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedStudent:
    """A student that has been trained.

    Attributes:
        trained: The student, and its training.
        teacher: The teacher; its outputs are complete where recorded windows are learnt from.
        teacher_work: Cost of the outputs that it lacked.
        made: Where its windows came from, if they were made up.
        queried: Of these, for how many its teacher was asked.
    """

    trained: Trained[LidarNetwork]
    teacher: TeacherArtifact | None = None
    teacher_work: Work = field(default_factory=Work)
    made: Windows | None = None
    queried: int = 0


def student_of(settings: LidarSettings) -> LidarNetwork:
    """Build a student; weights come from torch's global generator."""
    return LidarStudent(width=settings.width, dropout=settings.dropout)


def restored(settings: LidarSettings, weights: Arrays, *, teacher: bool) -> LidarNetwork:
    """Build a network and load its weights."""
    with torch.random.fork_rng(devices=[]):
        network = LIDAR_TEACHERS[settings.teacher]() if teacher else student_of(settings)
    load_state(network, weights)
    return network.eval()


def teacher_job(settings: LidarSettings, train: Scans, val: Scans) -> Job[LidarNetwork]:
    """Return the training of a teacher: on labels; validation labels choose the epoch."""
    seed = settings.teacher_seed
    network = initialised(seed, "teacher", LIDAR_TEACHERS[settings.teacher])
    dropout = torch_generator(seed, "teacher dropout")
    judge = lidar_job.label_judge(val)
    return Job(
        network=network,
        objective=lidar_job.on_scans(network, train, labelled(lidar_job.task_of(train)), dropout),
        num_samples=len(train),
        schedule=lidar_job.schedule(
            epochs=settings.teacher_epochs,
            batch_size=settings.teacher_batch,
            learning_rate=settings.teacher_rate,
            rate_name="teacher_rate",
            weight_decay=settings.teacher_decay,
        ),
        order=torch_generator(seed, "teacher order"),
        score=partial(lidar_job.score, scans=val),
        merit=lambda network, _: -judge(network),
    )


def teach(
    settings: LidarSettings, train: Arrays, val: Scans | None, teacher: TeacherArtifact | None
) -> Generator[Report, None, TrainedStudent]:
    """Train a student; one of a method without data reads nothing of the training windows.

    Args:
        settings: The trial's, or a node's.
        train: Recorded windows.
        val: Recorded windows, to score the student on; a node of a network has none.
        teacher: The teacher, or all that an edge is sent of it.
    """
    network = initialised(settings.seed, "student", partial(student_of, settings))
    dropout = torch_generator(settings.seed, "dropout")
    job = partial(_job, settings, network, val)
    if settings.on_data:
        scans = scans_of(train)
        work = Work()
        if teacher is not None:
            teacher, work = with_complete_outputs(settings, teacher, scans)
        goal = _goal(settings, network, scans, teacher)
        objective = lidar_job.on_scans(network, scans, goal, dropout)
        training = run_job(replace(job(objective, len(scans)), modules=goal.modules))
        taught = partial(TrainedStudent, teacher=teacher, teacher_work=work)
        return (yield from leaving(training, lambda trained: taught(trained=trained)))
    assert teacher is not None
    expert = restored(settings, teacher.weights, teacher=True)
    made = yield from windows_of(settings, expert, teacher.outputs)
    soft = soft_loss(settings.soft_loss, settings.temperature)
    lesson = Lesson(expert, made.source, soft, settings.taught_steps)
    judged = settings.selection == "synthetic" or settings.effort == "plateau"
    judge = lesson.judge(HELD_OUT) if judged else None
    fixed = 0 if settings.fresh else settings.windows
    objective = lesson.objective(network, dropout, fixed=fixed)
    training = numbered(run_job(job(objective, settings.windows, judge)), before=made.epochs)

    def from_made(trained: Trained[LidarNetwork]) -> TrainedStudent:
        return TrainedStudent(trained=trained, teacher=teacher, made=made, queried=lesson.queried)

    return (yield from leaving(training, from_made))


def _goal(
    settings: LidarSettings, network: LidarNetwork, scans: Scans, teacher: TeacherArtifact | None
) -> Goal:
    """Return what a student is trained for that sees recorded windows."""
    task, outputs = lidar_job.task_of(scans), None
    if teacher is not None:  # of its logits and its features a method takes the one or the other
        taught = as_tensor(teacher.outputs[settings.taught_by])
        outputs = Outputs(outputs=taught, features=taught)
    soft = soft_loss(settings.soft_loss, settings.temperature)
    features = (NUM_SLOTS, network.gru.hidden_size)
    return distilled(task, outputs, settings, soft, features, scans.passage_W)


def with_complete_outputs(
    settings: LidarSettings, teacher: TeacherArtifact, scans: Scans
) -> tuple[TeacherArtifact, Work]:
    """Return a teacher with the outputs that a method needs, see `complete_outputs`."""

    def ask(known: int) -> tuple[Arrays, Work]:
        network = restored(settings, teacher.weights, teacher=True)
        rest = scans.after(known)
        found = lidar_job.outputs_of(lidar_job.run_scans(network, rest)).arrays("logits")
        work = Work(flops=float(FLOPS_PER_MAC * len(rest) * teacher_size(settings).macs))
        return {settings.taught_by: found[settings.taught_by]}, work

    return complete_outputs(teacher, settings.taught_by, len(scans), ask)


def _job(
    settings: LidarSettings,
    network: LidarNetwork,
    val: Scans | None,
    objective: Objective,
    num_samples: int,
    judge: lidar_job.Judge | None = None,
) -> Job[LidarNetwork]:
    """Return the training of a student; ``selection`` real replaces the judge.

    Without made-up windows, recorded ones decide when a plateau is reached.
    """
    if settings.selection == "real" or (settings.effort == "plateau" and settings.on_data):
        assert val is not None, "selection real is refused where there is no validation split"
        judge = lidar_job.label_judge(val)
    plan = lidar_job.schedule(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    used = num_samples - num_samples % settings.batch_size
    plan = at_effort(plan, settings, lambda epochs: planned_flops(settings, used * epochs))
    return Job(
        network=network,
        objective=objective,
        num_samples=num_samples,
        schedule=plan,
        order=torch_generator(settings.seed, "order"),
        score=None if val is None else partial(lidar_job.score, scans=val),
        merit=None if judge is None else lambda network, _: -judge(network),
    )


def windows_of(
    settings: LidarSettings, teacher: LidarNetwork, outputs: Arrays
) -> Generator[Report, None, Windows]:
    """Return where the made-up windows of a method come from; yields reports if that is learnt.

    Args:
        settings: The trial's.
        teacher: In evaluation mode.
        outputs: Of the teacher; nothing but its sealed metadata is looked at, or a generator that
            was sent instead of them.
    """
    draws = torch_generator(settings.seed, "made-up windows")
    if settings.method in ("gaussian", "prior"):
        return Windows(source=(gaussian if settings.method == "gaussian" else hand_set)(draws))
    family = GENERATORS[settings.generator]
    generator = initialised(
        settings.seed,
        "generator",
        lambda: family.build(noise_size=settings.generator_noise, width=settings.generator_width),
    )
    sent = any(name.startswith(SENT_GENERATOR) for name in outputs)
    if sent:
        load_state(generator, outputs, SENT_GENERATOR)
    if sent or settings.method == "untrained":
        return Windows(source=generated(generator, draws), generator=generator)
    spent, terms = 0.0, dict[str, float]()
    for epoch in invert(_inversion(settings, generator, teacher, outputs)):
        spent = epoch.core_seconds
        terms = {f"generator_{name}": value for name, value in epoch.terms.items()}
        of = settings.generator_epochs + settings.epochs
        yield Report(epoch=epoch.number, epochs=of, metrics=terms)
    return Windows(
        source=generated(generator, draws),
        terms=terms,
        generator=generator,
        core_seconds=spent,
        queried=settings.generator_steps * settings.generator_batch,
        epochs=settings.generator_epochs,
    )


def _inversion(
    settings: LidarSettings, generator: ScanGenerator, teacher: LidarNetwork, outputs: Arrays
) -> Inversion:
    return Inversion(
        generator=generator,
        teacher=teacher,
        metadata=opened(outputs, settings.groups),
        weights=Weights(
            metadata=settings.metadata_weight,
            activation=settings.activation_weight,
            entropy=settings.entropy_weight,
        ),
        steps=settings.generator_steps,
        batch_size=settings.generator_batch,
        learning_rate=settings.generator_rate,
        noise=torch_generator(settings.seed, "noise of the generator's training"),
    )


def sent_bytes(
    settings: LidarSettings, train: Arrays, teacher: TeacherArtifact | None, made: Windows | None
) -> int:
    """Return what a server sends so that an edge can train this student [B].

    Scans and labels, where the student learns from them, and the teacher's outputs on them; else
    the teacher, and either its metadata or the generator. A generator that was never trained, and
    objects set by hand, are code and a seed.
    """
    if settings.on_data:
        data = sum(train[name].nbytes for name in ("lidar", "window", "label"))
        return data + (0 if teacher is None else teacher.outputs[settings.taught_by].nbytes)
    assert teacher is not None
    assert made is not None
    model = sum(array.nbytes for array in teacher.weights.values())
    if settings.method != "datafree":
        return model
    if settings.travels == "metadata":
        return model + sealed_bytes(teacher.outputs, settings.groups)
    assert made.generator is not None
    return model + sum(array.nbytes for array in state_arrays(made.generator).values())
