"""The one training of MIMO detectors, in steps, judged on the way.

An epoch is `STEPS` steps, whatever the samples are: streams have no end, and few local samples are
gone through again and again.
"""

from collections.abc import Callable, Collection, Generator
from dataclasses import replace
from functools import partial
from itertools import count

import torch
from torch import Tensor

from kdtasks.contract.task import Report
from kdtasks.learning import device, jobs
from kdtasks.learning.custom_loss import Loss, own_loss
from kdtasks.learning.losses import bit_cross_entropy, blended_terms, layered, soft_bit_kl
from kdtasks.learning.training import Objective, Schedule, Terms
from kdtasks.mimo_detection.link.bit_errors import BitErrors
from kdtasks.mimo_detection.methods.samples import Batch, EvaluationSamples, Samples
from kdtasks.mimo_detection.models.family import DetectorNet, run

STEPS = 50
"""Steps of an epoch."""

EARLY = (1, 2, 5, 10, 20)
"""Steps within the first `STEPS` at which an adaptation curve may be read."""

CURVE = (0, *EARLY, 50, 100, 200, 400, 1000)
"""Steps at which an adaptation curve is read."""

CLIP_NORM = 1.0
FINAL_RATE = 1e-6
"""At the end of a cosine."""

SoftLoss = Callable[[Tensor, Tensor], Tensor]
"""Loss of a student's logits of every layer, [K, B, N, M], against its teacher's, [B, N, M]."""

SOFT_LOSSES = ("kl",)
OUTPUTS_SHAPE = (16, 8, 2)
"""Of a batch of logits, on which a loss of the user's own is tried."""

LossOfBatch = Callable[[Tensor, Batch], Terms]
"""Terms of the loss from logits of every layer and the batch that they are about."""


def schedule(*, steps: int, batch_size: int, learning_rate: float, cosine: bool) -> Schedule:
    """Return how long and how fast to train.

    Args:
        steps: A multiple of `STEPS`.
        batch_size: Channel uses per step.
        learning_rate: Peak rate of Adam.
        cosine: Whether it rises over 50 steps and falls by a half cosine to 1e-6; else it is
            constant.
    """
    return Schedule(
        epochs=steps // STEPS,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=50 if cosine else 0,
        final_share=min(1.0, FINAL_RATE / learning_rate) if cosine else 1.0,
        clip_norm=CLIP_NORM,
    )


Trained = jobs.Trained[DetectorNet]
Curve = dict[int, BitErrors]
"""Errors on validation samples by steps of training: 0, each multiple of `STEPS`, and marks."""


def train(
    job: jobs.Job[DetectorNet], judged: EvaluationSamples, marks: Collection[int] = ()
) -> Generator[Report, None, tuple[Trained, Curve]]:
    """Train a detector; yields a report every `STEPS` steps, with its BER by then.

    Args:
        job: What is trained.
        judged: Validation samples, without consequence for what is learnt.
        marks: Steps within the first epoch after which it is judged, too.
    """
    curve = {0: judged.errors(job.network)}
    steps, epochs = count(), count(1)

    def objective(chosen_B: Tensor) -> Terms:
        if (step := next(steps)) in marks:
            curve[step] = device.in_float32(judged.errors)(job.network)
        return job.objective(chosen_B)

    def score(network: DetectorNet) -> dict[str, float]:
        errors = curve[STEPS * next(epochs)] = judged.errors(network)
        return {"ber": errors.ratio}

    merit = (lambda _, scores: -scores["ber"]) if job.schedule.plateau else None
    trained = yield from jobs.train(replace(job, objective=objective, score=score, merit=merit))
    return trained, curve


def on_samples(network: DetectorNet, samples: Samples, loss: LossOfBatch) -> Objective:
    """Return the objective of a training on samples."""

    def objective(chosen_B: Tensor) -> Terms:
        batch = samples(chosen_B)
        return loss(run(network, batch.inputs), batch)

    return objective


def bits_only(logits_KBNM: Tensor, batch: Batch) -> Terms:
    """Return the loss of a training without a teacher."""
    task = bit_cross_entropy(logits_KBNM, batch.bits_BNM)
    return {"total": task, "task": task}


def soft_loss(name: str, temperature: float) -> SoftLoss:
    """Return a loss towards a teacher's logits; only ``kl`` has a temperature.

    Args:
        name: Of `SOFT_LOSSES`, or that of the user's own, see `own_loss`.
        temperature: Softens the logits of both.

    Raises:
        ConfigError: If there is no such loss, or it cannot be trained by.
    """
    if name == "kl":
        return partial(soft_bit_kl, temperature=temperature)
    return partial(_of_every_layer, own_loss(name, OUTPUTS_SHAPE, SOFT_LOSSES))


def _of_every_layer(loss: Loss, student_KBNM: Tensor, teacher_BNM: Tensor) -> Tensor:
    return layered(
        torch.stack([loss(student_BNM, teacher_BNM)[None] for student_BNM in student_KBNM])
    )


def with_teacher(teacher: DetectorNet, soft: SoftLoss, *, alpha: float) -> LossOfBatch:
    """Return the loss of a training with a teacher: (1 - alpha) task + alpha distill.

    Args:
        teacher: Has the student's inputs; it is run on every batch.
        soft: Loss towards its logits.
        alpha: Weight of that term.
    """

    def loss(logits_KBNM: Tensor, batch: Batch) -> Terms:
        task = bit_cross_entropy(logits_KBNM, batch.bits_BNM)
        bits = batch.bits_BNM.shape[-1]
        with torch.no_grad():
            teacher_BNM = run(teacher, batch.inputs)[-1][..., :bits]
        return blended_terms(task, soft(logits_KBNM[..., :bits], teacher_BNM), alpha=alpha)

    return loss


def penalised(loss: LossOfBatch, penalty: Callable[[], Tensor], weight: float) -> LossOfBatch:
    """Return a loss with a penalty on what has been learnt added."""

    def with_penalty(logits_KBNM: Tensor, batch: Batch) -> Terms:
        terms, anchor = loss(logits_KBNM, batch), penalty()
        return {**terms, "total": terms["total"] + weight * anchor, "anchor": anchor}

    return with_penalty
