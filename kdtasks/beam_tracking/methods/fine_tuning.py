"""Train a student on: at an edge on its own windows, held to what somebody else says of windows.

It serves the fine-tune of a received student as well as the rounds of mutual and self distillation.
Whose windows and logits guide the student is the caller's business.

Shape suffixes in this file: W = windows, B = windows of a batch, K = chunks, T = predicted slots,
C = beams.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kdtasks.beam_tracking.methods.batches import Chunks, Windows
from kdtasks.beam_tracking.methods.job import DistilLoss, Plan, Runner, Streams, TaskLoss, Trained
from kdtasks.beam_tracking.models.network import BeamNetwork
from kdtasks.contract.task import Report
from kdtasks.learning.training import Terms, fit


@dataclass(frozen=True, kw_only=True, slots=True)
class Guide:
    """Windows, and what is to be imitated on them.

    Attributes:
        windows: The windows.
        loss: Loss towards what somebody else says of them.
        weight: Weight of this term, in (0, 1].
        streams: Order and cuts of these windows; not those of the labelled ones, whose order a
            guide must not change.
    """

    windows: Windows
    loss: DistilLoss
    weight: float
    streams: Streams


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How one student is trained on.

    Attributes:
        network: The student; trained in place.
        train: Labelled windows.
        task_loss: Loss towards labels.
        guide: None trains on the labels alone.
        plan: Epochs, rates, sizes.
        streams: Where labelled windows and dropout are drawn from.
    """

    network: BeamNetwork
    train: Windows
    task_loss: TaskLoss
    guide: Guide | None
    plan: Plan
    streams: Streams


def train_on(course: Course) -> Generator[Report, None, Trained]:
    """Minimise ``(1 - w) task(labelled) + w distill(guide)``.

    A step takes a batch of each; an epoch is a pass over the labelled windows, and the guide's go
    round as often as that needs. At w = 1 labelled windows are not even run, for batch norm would
    remember them.
    """
    guide, plan = course.guide, course.plan
    weight = 0.0 if guide is None else guide.weight
    runner = Runner(course.network, course.streams.dropout)
    chunks = Chunks(len(course.train), course.streams.cuts)
    guided = iter(()) if guide is None else _rounds(guide, plan.batch_chunks)

    def objective(chunk_K: Tensor) -> Terms:
        terms: Terms = {}
        chosen_B = chunks.windows(chunk_K)
        if weight < 1.0:
            outputs = runner.run(course.train, chosen_B)
            terms["task"] = course.task_loss(outputs.logits, course.train.label_WT[chosen_B])
        if guide is not None:
            picked_B = next(guided)
            terms["distill"] = guide.loss(runner.run(guide.windows, picked_B), picked_B)
        share = {"task": 1.0 - weight, "distill": weight}
        return {"total": sum((share[n] * t for n, t in terms.items()), torch.zeros(())), **terms}

    spent = 0.0
    for epoch in fit(
        [course.network],
        objective,
        num_samples=len(chunks),
        schedule=plan.schedule,
        generator=course.streams.order,
    ):
        spent = epoch.core_seconds
        losses = {f"train_{name}_loss": term for name, term in epoch.terms.items()}
        yield Report(epoch=epoch.number, epochs=plan.epochs, metrics=losses)
    return Trained(network=course.network, scores={}, core_seconds=spent, passes=runner.passes)


def _rounds(guide: Guide, batch_chunks: int) -> Iterator[Tensor]:
    """Yield batches of the guide's windows for ever, each round in a new order."""
    chunks = Chunks(len(guide.windows), guide.streams.cuts)
    size = min(batch_chunks, len(chunks))
    while True:
        order_K = torch.randperm(len(chunks), generator=guide.streams.order)
        for step in range(len(chunks) // size):
            yield chunks.windows(order_K[step * size : (step + 1) * size])
