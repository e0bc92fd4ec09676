"""The objective of training at an edge: its own windows, and soft labels of others.

It serves the fine-tuning of a received student and the rounds of mutual and self-distillation.

Shape suffixes in this file: W = windows, B = windows of a batch, K = chunks, T = predicted slots,
C = beams.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kdtasks.beam_tracking.methods.batches import Chunks, Windows
from kdtasks.beam_tracking.methods.job import Runner, Streams
from kdtasks.learning.device import on_host
from kdtasks.learning.distillation import Term
from kdtasks.learning.training import Objective, Terms


@dataclass(frozen=True, kw_only=True, slots=True)
class Guide:
    """Windows, and soft labels to imitate on them.

    Attributes:
        windows: The windows.
        loss: Loss towards the soft labels.
        weight: Weight of this term, in (0, 1].
        streams: Order and cuts of these windows; not those of the labelled ones, whose order a
            guide must not change.
    """

    windows: Windows
    loss: Term
    weight: float
    streams: Streams


def guided_objective(
    runner: Runner,
    train: Windows,
    task: Term,
    guide: Guide | None,
    chunks: Chunks,
    *,
    batch_chunks: int,
) -> Objective:
    """Return the objective ``(1 - w) task(labelled) + w distill(guide)`` of chunks of windows.

    A step takes a batch of each; the guide's windows go round as often as an epoch over the
    labelled ones needs. At w = 1 labelled windows are not even run: batch norm would remember them.

    Args:
        runner: The student.
        train: Labelled windows.
        task: Loss towards labels.
        guide: None trains on the labels alone.
        chunks: Cuts the labelled windows.
        batch_chunks: Chunks of the guide's windows per step.
    """
    weight = 0.0 if guide is None else guide.weight
    guided = iter(()) if guide is None else _rounds(guide, batch_chunks)

    def objective(chunk_K: Tensor) -> Terms:
        terms: Terms = {}
        chosen_B = chunks.windows(chunk_K)
        if weight < 1.0:
            terms["task"] = task(runner.run(train, chosen_B), chosen_B)
        if guide is not None:
            picked_B = next(guided)
            terms["distill"] = guide.loss(runner.run(guide.windows, picked_B), picked_B)
        share = {"task": 1.0 - weight, "distill": weight}
        return {"total": torch.stack([share[n] * t for n, t in terms.items()]).sum(), **terms}

    return objective


def _rounds(guide: Guide, batch_chunks: int) -> Iterator[Tensor]:
    """Yield batches of the guide's windows for ever, each round in a new order."""
    chunks = Chunks(len(guide.windows), guide.streams.cuts)
    size = min(batch_chunks, len(chunks))
    while True:
        with on_host():
            order_K = torch.randperm(len(chunks), generator=guide.streams.order)
        for step in range(len(chunks) // size):
            yield chunks.windows(order_K[step * size : (step + 1) * size])
