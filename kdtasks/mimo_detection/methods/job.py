"""The one training of MIMO detectors, in steps, judged on the way.

An epoch is `STEPS` steps, whatever the samples are: streams have no end, and few local samples are
gone through again and again.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from kdtasks.contract.task import Report
from kdtasks.learning.custom_loss import Loss, own_loss
from kdtasks.learning.training import Objective, Schedule, Terms, fit
from kdtasks.mimo_detection.link.bit_errors import BitErrors
from kdtasks.mimo_detection.methods.losses import bit_cross_entropy, layered, soft_bit_kl
from kdtasks.mimo_detection.methods.samples import Batch, EvaluationSamples, Samples
from kdtasks.mimo_detection.models.family import DetectorNet, run

STEPS = 50
"""Steps of an epoch."""

CURVE = (0, 50, 100, 200, 400, 1000)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSchedule:
    """How long and how fast to train.

    Attributes:
        steps: A multiple of `STEPS`.
        batch_size: Channel uses per step.
        learning_rate: Peak rate of Adam.
        cosine: Whether it rises over 50 steps and falls by a half cosine to 1e-6; else it is
            constant.
    """

    steps: int
    batch_size: int
    learning_rate: float
    cosine: bool

    @property
    def schedule(self) -> Schedule:
        """The same for `fit`."""
        return Schedule(
            epochs=self.steps // STEPS,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup_steps=50 if self.cosine else 0,
            final_share=min(1.0, FINAL_RATE / self.learning_rate) if self.cosine else 1.0,
            clip_norm=CLIP_NORM,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One detector to train.

    Attributes:
        network: What is trained.
        objective: Terms of the loss from the indices of samples.
        pace: Steps, rates, sizes.
        order: Where the order of samples is drawn from.
        judged: What it is judged on, without consequence for what is learnt.
        parts: Groups of the network's parameters; those of none of them stay as they are.
        rate_shares: Share of the rate for each group.
    """

    network: DetectorNet
    objective: Objective
    pace: TrainingSchedule
    order: torch.Generator
    judged: EvaluationSamples
    parts: Sequence[nn.Module]
    rate_shares: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A finished training.

    Attributes:
        network: The network, after the last step.
        curve: Errors on the validation split after each multiple of `STEPS` steps, 0 included.
        core_seconds: CPU time of the training, without validation [s].
        samples: Channel uses that it was trained on, repetitions included.
    """

    network: DetectorNet
    curve: dict[int, BitErrors]
    core_seconds: float
    samples: int


def train(job: Job) -> Generator[Report, None, Trained]:
    """Train a detector; yields a report every `STEPS` steps, with its BER by then."""
    curve, spent, samples = {0: job.judged.errors(job.network)}, 0.0, 0
    for epoch in fit(
        job.parts,
        job.objective,
        num_samples=STEPS * job.pace.batch_size,
        schedule=job.pace.schedule,
        generator=job.order,
        rate_shares=job.rate_shares,
    ):
        spent, samples = epoch.core_seconds, epoch.samples
        curve[STEPS * epoch.number] = errors = job.judged.errors(job.network)
        losses = {f"train_{name}_loss": term for name, term in epoch.terms.items()}
        yield Report(
            epoch=epoch.number,
            epochs=job.pace.steps // STEPS,
            metrics={**losses, "val_ber": errors.ratio},
        )
    return Trained(network=job.network, curve=curve, core_seconds=spent, samples=samples)


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
        teacher: Looks at channel uses as the student does; it is run on every batch.
        soft: Loss towards what it says.
        alpha: Weight of that term.
    """

    def loss(logits_KBNM: Tensor, batch: Batch) -> Terms:
        task = bit_cross_entropy(logits_KBNM, batch.bits_BNM)
        bits = batch.bits_BNM.shape[-1]
        with torch.no_grad():
            said_BNM = run(teacher, batch.inputs)[-1][..., :bits]
        distill = soft(logits_KBNM[..., :bits], said_BNM)
        return {
            "total": (1.0 - alpha) * task + alpha * distill,
            "task": task,
            "distill": distill,
        }

    return loss


def penalised(loss: LossOfBatch, penalty: Callable[[], Tensor], weight: float) -> LossOfBatch:
    """Return a loss with a penalty on what has been learnt added."""

    def with_penalty(logits_KBNM: Tensor, batch: Batch) -> Terms:
        terms, anchor = loss(logits_KBNM, batch), penalty()
        return {**terms, "total": terms["total"] + weight * anchor, "anchor": anchor}

    return with_penalty
