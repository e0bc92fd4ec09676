"""What every method of CSI feedback is given, and what it hands back.

Shape suffixes in this file: B = samples, A = antennas, C = subcarriers, M = codeword length.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdtasks.losses import soft_target_kl
from kdtasks.metrics import PICTURE_ZERO, nmse, relative_errors
from kdtasks.models.autoencoder import Autoencoder
from kdtasks.task import Report
from kdtasks.training import Epoch, Objective, Schedule, Terms, fit, run_frozen


class Teacher:
    """A frozen autoencoder and its outputs on the training split, which were computed once.

    It counts the samples that it is run on, so that a result can show that there were none.

    Args:
        autoencoder: The trained network; copied by whoever wants to train on.
        codewords_NM: Its codewords of the training split.
        outputs_N2AC: Its reconstructions of the training split.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        codewords_NM: Tensor | None = None,
        outputs_N2AC: Tensor | None = None,
    ) -> None:
        self.autoencoder = autoencoder.eval().requires_grad_(False)
        self._codewords_NM = codewords_NM
        self._outputs_N2AC = outputs_N2AC
        self.forward_samples = 0

    def codewords(self, pictures_N2AC: Tensor, index_B: Tensor) -> Tensor:
        """Return the codewords of some training samples, shape [B, M]."""
        if self._codewords_NM is not None:
            return self._codewords_NM[index_B]
        self.forward_samples += len(index_B)
        return run_frozen(self.autoencoder.encoder, pictures_N2AC[index_B])

    def outputs(self, pictures_N2AC: Tensor, index_B: Tensor) -> Tensor:
        """Return the reconstructions of some training samples, shape [B, 2, A, C]."""
        if self._outputs_N2AC is not None:
            return self._outputs_N2AC[index_B]
        self.forward_samples += len(index_B)
        return run_frozen(self.autoencoder, pictures_N2AC[index_B])


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The numbers that methods train by; each uses those that concern it.

    Attributes:
        epochs: End-to-end epochs.
        encoder_epochs: Epochs of an encoder that learns codewords.
        finetune_epochs: Epochs after that, with the decoder.
        batch_size: Samples per step.
        learning_rate: Peak rate of Adam.
        finetune_rate: Peak rate of the fine-tune.
        alpha: Weight of the distillation term, in [0, 1]. The paper's alpha is 1 - ours.
        temperature: Softening temperature.
        paper_scale: Weigh cross-entropy against MSE as printed in eq. (10), without T^2.
        pair_bits: Bits per number of exchanged pairs; 0 sends 32-bit floats.
    """

    epochs: int
    encoder_epochs: int
    finetune_epochs: int
    batch_size: int
    learning_rate: float
    finetune_rate: float
    alpha: float
    temperature: float
    paper_scale: bool
    pair_bits: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One student to train.

    Attributes:
        train_N2AC: Training pictures.
        val_N2AC: Validation pictures.
        encoder: The student's encoder, freshly initialised.
        decoder: A freshly initialised decoder.
        teacher: The teacher, for methods that have one.
        plan: Epochs, rates, weights.
        generator: Source of the order of samples.
    """

    train_N2AC: Tensor
    val_N2AC: Tensor
    encoder: nn.Module
    decoder: nn.Module
    teacher: Teacher | None
    plan: Plan
    generator: torch.Generator

    def the_teacher(self) -> Teacher:
        """Return the teacher of a method that cannot do without."""
        assert self.teacher is not None, "the task gives a teacher to every method that needs one"
        return self.teacher


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A finished student.

    Attributes:
        autoencoder: The student's encoder and the decoder that reads it.
        metrics: Costs of the training, by name.
    """

    autoencoder: Autoencoder
    metrics: dict[str, float]


Method = Callable[[Job], Generator[Report, None, Trained]]
"""Trains a student; yields a report after each epoch."""


def report_end_to_end(job: Job, epoch: Epoch, model: Autoencoder, *, done: int, of: int) -> Report:
    """Report an epoch in which the whole autoencoder can be judged."""
    score = nmse(job.val_N2AC, run_frozen(model, job.val_N2AC))
    return Report(
        epoch=done + epoch.number,
        epochs=of,
        metrics={"val_nmse_db": score.decibel, "train_loss": epoch.terms["total"]},
    )


def train_end_to_end(
    job: Job, model: Autoencoder, objective: Objective
) -> Generator[Report, None, Trained]:
    """Train a whole autoencoder from scratch for ``plan.epochs`` epochs."""
    plan = job.plan
    spent = 0.0
    for epoch in fit(
        [model],
        objective,
        num_samples=len(job.train_N2AC),
        schedule=Schedule(
            epochs=plan.epochs, batch_size=plan.batch_size, learning_rate=plan.learning_rate
        ),
        generator=job.generator,
    ):
        spent = epoch.core_seconds
        yield report_end_to_end(job, epoch, model, done=0, of=plan.epochs)
    return Trained(autoencoder=model, metrics={"distill_core_seconds": spent})


def report_encoder(epoch: Epoch, *, done: int, of: int) -> Report:
    """Report an epoch of an encoder alone; running the decoder would cost more than the epoch."""
    return Report(
        epoch=done + epoch.number,
        epochs=of,
        metrics={"train_codeword_loss": epoch.terms["total"]},
    )


def reconstruction_terms(model: nn.Module, pictures_B2AC: Tensor) -> Terms:
    """Return the task's loss: the mean of per-sample NMSE, eq. (12)."""
    task = relative_errors(pictures_B2AC, model(pictures_B2AC)).mean()
    return {"total": task, "task": task}


def soft_picture_loss(
    output_B2AC: Tensor, teacher_B2AC: Tensor, picture_B2AC: Tensor, plan: Plan
) -> Tensor:
    r"""Softened KL over all output entries, in units of NMSE; a scalar.

    With K entries, ``2 K / \|H\|^2`` times `soft_target_kl`. For large temperatures this tends to
    the centred NMSE towards the teacher's output. ``paper_scale`` divides by ``2 T^2``, which is
    the weight that eq. (10) gives to cross-entropy beside the MSE.
    """
    entries = picture_B2AC[0].numel()
    power_B = (picture_B2AC - PICTURE_ZERO).square().flatten(1).sum(-1)
    kl_B = soft_target_kl(
        output_B2AC.flatten(1), teacher_B2AC.flatten(1), temperature=plan.temperature
    )
    soft = (2.0 * entries * kl_B / power_B).mean()
    return soft / (2.0 * plan.temperature**2) if plan.paper_scale else soft
