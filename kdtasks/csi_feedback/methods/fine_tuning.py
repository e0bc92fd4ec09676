"""Train a student further: at an edge on its own samples, and on soft outputs for other samples.

It serves the fine-tuning of a received student and the rounds of mutual and self-distillation.

Shape suffixes in this file: N = samples, A = antennas, C = subcarriers.
"""

from collections.abc import Container, Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kdtasks.contract.task import Arrays, Report
from kdtasks.csi_feedback.methods.job import (
    Plan,
    Trained,
    TrainingStage,
    reconstruction_terms,
    soft_picture_loss,
)
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.learning.losses import blended_terms
from kdtasks.learning.tensors import state_arrays
from kdtasks.learning.training import Schedule, Terms, fit


@dataclass(frozen=True, kw_only=True, slots=True)
class Guide:
    """Samples and soft outputs to imitate on them.

    Attributes:
        pictures_N2AC: Samples.
        outputs_N2AC: Reconstructions of them by another student or the teacher.
        weight: Weight of the distillation term, in (0, 1].
        generator: Source of the order of these samples; not that of the labelled ones, whose order
            a guide must not change.
    """

    pictures_N2AC: Tensor
    outputs_N2AC: Tensor
    weight: float
    generator: torch.Generator


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How one student is trained on.

    Attributes:
        model: The student; trained in place.
        pictures_N2AC: Labelled samples.
        guide: None trains on the task's loss alone.
        plan: Temperature and scale of the distillation term; its epochs and rates are not used.
        schedule: Epochs, batch size, learning rate.
        generator: Source of the order of labelled samples.
        server_part: Whether the decoder is trained too; if not, its batch-norm statistics are kept.
        marks: Epochs after which the student of that moment is kept.
    """

    model: Autoencoder
    pictures_N2AC: Tensor
    guide: Guide | None
    plan: Plan
    schedule: Schedule
    generator: torch.Generator
    server_part: bool
    marks: Container[int] = ()


def train_on(course: Course) -> Generator[Report, None, Trained]:
    """Minimise ``(1 - w) task(labelled) + w distill(guide)``.

    A step takes a batch of each; an epoch is a pass over the labelled samples, and the guide's go
    round as often as that needs. At w = 1 labelled samples are not even run, for batch norm would
    remember them.
    """
    model, guide = course.model, course.guide
    model.decoder.eval().requires_grad_(course.server_part)
    batch = course.schedule.batch_size
    guided = _rounds(guide, batch) if guide else iter(())

    def objective(index: Tensor) -> Terms:
        if guide is None:
            return reconstruction_terms(model, course.pictures_N2AC[index])
        picked = next(guided)
        pictures = guide.pictures_N2AC[picked]
        output, target = model(pictures), guide.outputs_N2AC[picked]
        distill = soft_picture_loss(output, target, pictures, course.plan)
        if guide.weight == 1.0:
            return {"total": distill, "distill": distill}
        task = reconstruction_terms(model, course.pictures_N2AC[index])["task"]
        return blended_terms(task, distill, alpha=guide.weight)

    def trained() -> Trained:
        return Trained(
            autoencoder=model,
            metrics={"finetune_core_seconds": epoch.core_seconds},
            training_stages=_training_stages(course, epoch.samples),
            underway=dict(underway),
        )

    underway: dict[int, Arrays] = {}
    for epoch in fit(
        [model if course.server_part else model.encoder],
        objective,
        num_samples=len(course.pictures_N2AC),
        schedule=course.schedule,
        generator=course.generator,
    ):
        metrics = {"train_loss": epoch.terms["total"]}
        if epoch.number in course.marks:
            underway[epoch.number] = state_arrays(model)
        of = course.schedule.epochs
        yield Report(epoch=epoch.number, epochs=of, metrics=metrics, left=trained)
    return trained()


def _rounds(guide: Guide, batch: int) -> Iterator[Tensor]:
    """Yield batches of the guide's samples for ever, each round in a new order."""
    count = len(guide.pictures_N2AC)
    size = min(batch, count)
    while True:
        order = torch.randperm(count, generator=guide.generator)
        for step in range(count // size):
            yield order[step * size : (step + 1) * size]


def _training_stages(course: Course, samples: int) -> tuple[TrainingStage, ...]:
    decoder = 3 if course.server_part else 2
    if course.guide is None:
        return (TrainingStage(samples=samples, encoder=3, decoder=decoder),)
    batch = course.schedule.batch_size
    size = min(batch, len(course.guide.pictures_N2AC))
    guided = samples // batch * size
    both = course.guide.weight < 1.0
    return (
        TrainingStage(
            samples=guided + samples * both,
            encoder=3,
            decoder=decoder,
            together=1 + both,
        ),
    )
