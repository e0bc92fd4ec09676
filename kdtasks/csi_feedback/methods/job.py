"""What every method of CSI feedback is given, and what it hands back.

Shape suffixes in this file: B = samples, A = antennas, C = subcarriers, M = codeword length.
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from kdtasks.contract.errors import UserError
from kdtasks.contract.task import Arrays, Report
from kdtasks.csi_feedback.methods.codewords import CodewordLoss
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.learning.losses import soft_target_kl
from kdtasks.learning.meta import MetaPlan, combined
from kdtasks.learning.metrics import PICTURE_ZERO, nmse, relative_errors
from kdtasks.learning.training import (
    End,
    Epoch,
    Objective,
    Plateau,
    Schedule,
    Terms,
    fit,
    run_frozen,
)

MARKS = 8
"""A training of an encoder alone is judged whenever one of so many equal parts of it is done."""
JUDGED_SAMPLES = 400
"""Validation samples that it is judged on then; with 200 to 1000 trials come out in one order."""


class Teacher:
    """A frozen autoencoder and its outputs on the training split.

    What it has not been asked before it computes once for the whole split, and keeps; it counts
    the samples that it is run on, so that a result can show that there were none.

    Args:
        autoencoder: The trained network; methods that train it further copy it.
        codewords_NM: Its codewords of the training split, or of the first samples of it.
        outputs_N2AC: Its reconstructions of the training split, or of the first samples of it.
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
        """Samples that the encoder was run on."""
        self.decoded_samples = 0
        """Of these, samples that went through the decoder too."""
        self.core_seconds = 0.0
        """CPU time that this took [s]."""

    def codewords(self, pictures_N2AC: Tensor, index_B: Tensor) -> Tensor:
        """Return the codewords of some training samples, shape [B, M]."""
        encoder = self.autoencoder.encoder
        self._codewords_NM = self._completed(self._codewords_NM, encoder, pictures_N2AC)
        return self._codewords_NM[index_B]

    def outputs(self, pictures_N2AC: Tensor, index_B: Tensor) -> Tensor:
        """Return the reconstructions of some training samples, shape [B, 2, A, C]."""
        self._outputs_N2AC = self._completed(self._outputs_N2AC, self.autoencoder, pictures_N2AC)
        return self._outputs_N2AC[index_B]

    def known_outputs(self) -> dict[str, Tensor]:
        """Return all outputs that are known by now: ``codewords``, ``pictures``."""
        known = {"codewords": self._codewords_NM, "pictures": self._outputs_N2AC}
        return {name: tensor for name, tensor in known.items() if tensor is not None}

    def _completed(self, known: Tensor | None, network: nn.Module, pictures_N2AC: Tensor) -> Tensor:
        start = 0 if known is None else len(known)
        missing = len(pictures_N2AC) - start
        if known is not None and missing <= 0:
            return known
        self.forward_samples += missing
        self.decoded_samples += missing if network is self.autoencoder else 0
        begin = time.process_time()
        rest = run_frozen(network, pictures_N2AC[start:])
        self.core_seconds += time.process_time() - begin
        return rest if known is None else torch.cat([known, rest])


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The numbers that methods train by; each uses those that concern it.

    Attributes:
        epochs: End-to-end epochs.
        encoder_epochs: Epochs of an encoder that learns codewords.
        finetune_epochs: Epochs after that, with the decoder.
        batch_size: Samples per step.
        learning_rate: Peak rate of Adam.
        rate_name: The parameter that sets it.
        finetune_rate: Peak rate of the fine-tune.
        alpha: Weight of the distillation term, in [0, 1]. The paper's alpha is 1 - ours.
        temperature: Softening temperature.
        paper_scale: Weigh cross-entropy against MSE as printed in eq. (10), without T^2.
        pair_bits: Bits per number of exchanged pairs; 0 sends 32-bit floats.
        codeword_loss: Of encoders that learn codewords.
        plateau: Ends each stage of the training; epochs are then the most.
        meta: How end-to-end training learns to adapt to areas; None if it does not.
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
    codeword_loss: CodewordLoss
    plateau: Plateau | None = None
    rate_name: str = "learning_rate"
    meta: MetaPlan | None = None

    @property
    def step_samples(self) -> int:
        """Samples that a step of end-to-end training computes gradients of."""
        return self.batch_size * (self.meta.batches if self.meta else 1)

    def schedule(self, epochs: int, rate: float | None = None) -> Schedule:
        """Return how long and how fast a stage is trained, at the plan's or the given rate."""
        return Schedule(
            epochs=epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate if rate is None else rate,
            rate_name=self.rate_name if rate is None else "finetune_rate",
            plateau=self.plateau,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One student to train.

    Attributes:
        train_N2AC: Training pictures.
        val_N2AC: Validation pictures, scored after each epoch; None if the node has none.
        encoder: The student's encoder, freshly initialised.
        decoder: A freshly initialised decoder.
        teacher: The teacher, for methods that have one.
        plan: Epochs, rates, weights.
        generator: Source of the order of samples.
        server_part: Whether a decoder that is taken from the teacher may be trained on.
        areas: Which samples are of which area, where a plan with a meta term needs to know.
    """

    train_N2AC: Tensor
    val_N2AC: Tensor | None
    encoder: nn.Module
    decoder: nn.Module
    teacher: Teacher | None
    plan: Plan
    generator: torch.Generator
    server_part: bool = True
    areas: tuple[Tensor, ...] = ()

    @property
    def codeword_length(self) -> int:
        """Numbers of a codeword of the student."""
        return len(run_frozen(self.encoder, self.train_N2AC[:1])[0])

    def the_teacher(self) -> Teacher:
        """Return the teacher of a method that cannot do without."""
        assert self.teacher is not None, "the task gives a teacher to every method that needs one"
        return self.teacher


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingStage:
    """One stage of a training, as far as its cost goes.

    Passes are counted in forward passes per sample: 3 for a network that is trained (forward,
    backward to the inputs, backward to the weights), 2 for a frozen one that gradients flow
    through, 1 for one that is only run, 0 for one that takes no part.

    Attributes:
        samples: Samples that went through, over all epochs.
        encoder: Passes through the encoder.
        decoder: Passes through the decoder.
        together: Batches that are held at once.
        epochs: Passes over the training split; 0 where nothing is trained.
    """

    samples: int
    encoder: int
    decoder: int
    together: int = 1
    epochs: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A finished student.

    Attributes:
        autoencoder: The student's encoder and the decoder that reads it.
        metrics: Costs of the training, by name.
        training_stages: What was computed, stage by stage.
        underway: Weights after some epochs, by their number, where they were kept.
    """

    autoencoder: Autoencoder
    metrics: dict[str, float]
    training_stages: tuple[TrainingStage, ...]
    underway: Mapping[int, Arrays] = field(default_factory=dict)


Method = Callable[[Job], Generator[Report, None, Trained]]
"""Trains a student; yields a report after each epoch."""


def judged(end: End, report: Report) -> Report:
    """Return a report after ``end`` has seen its NMSE; a node has none, and no plateau either."""
    end.see(report.metrics.get("val_nmse_db", 0.0))
    return report


def report_end_to_end(job: Job, epoch: Epoch, model: Autoencoder, *, done: int, of: int) -> Report:
    """Report an epoch in which the whole autoencoder can be judged."""
    metrics = {"train_loss": epoch.terms["total"]}
    if job.val_N2AC is not None:
        metrics["val_nmse_db"] = nmse(job.val_N2AC, run_frozen(model, job.val_N2AC)).decibel
    return Report(epoch=done + epoch.number, epochs=of, metrics=metrics)


def train_end_to_end(
    job: Job, model: Autoencoder, objective: Objective, modules: Sequence[nn.Module] = ()
) -> Generator[Report, None, Trained]:
    """Train a whole autoencoder from scratch for ``plan.epochs`` epochs.

    Args:
        job: The student.
        model: Its encoder and decoder.
        objective: Terms of the loss.
        modules: What is trained beside it, and dropped afterwards.
    """
    schedule = job.plan.schedule(job.plan.epochs)
    end = schedule.end()
    batches = job.plan.step_samples // schedule.batch_size
    if len(job.train_N2AC) < job.plan.step_samples:
        raise UserError(
            f"a step takes {batches} batches of batch_size={schedule.batch_size}, more than the "
            f"{len(job.train_N2AC)} training samples: lower batch_size or inner_steps"
        )
    if job.plan.meta is not None:
        objective = combined(
            objective,
            [model, *modules],
            job.plan.meta,
            job.areas,
            schedule.batch_size,
            job.generator,
        )

    def trained() -> Trained:
        samples = batches * epoch.samples
        stage = TrainingStage(samples=samples, encoder=3, decoder=3, epochs=epoch.number)
        return Trained(
            autoencoder=model,
            metrics={"distill_core_seconds": epoch.core_seconds, "train_capped": end.capped},
            training_stages=(stage,),
        )

    for epoch in fit(
        [model, *modules],
        objective,
        num_samples=len(job.train_N2AC) // batches,
        schedule=schedule,
        generator=job.generator,
        end=end,
    ):
        report = report_end_to_end(job, epoch, model, done=0, of=schedule.epochs)
        yield replace(judged(end, report), left=trained)
    return trained()


def report_encoder(epoch: Epoch, *, of: int) -> Report:
    """Report an epoch of an encoder alone, whose decoder is elsewhere."""
    return Report(
        epoch=epoch.number, epochs=of, metrics={"train_codeword_loss": epoch.terms["total"]}
    )


def report_distilling(job: Job, epoch: Epoch, *, of: int) -> Report:
    """Report an epoch of an encoder that learns the teacher's codewords.

    Decoding the validation split would cost more than such an epoch. So the encoder is judged with
    the teacher's decoder, on a few samples, whenever an eighth of the whole training is done:
    enough for trials to be compared before their end. A plateau is looked for after every epoch.
    """
    report = report_encoder(epoch, of=of)
    marks = [MARKS * number // of for number in (epoch.number - 1, epoch.number)]
    judged_now = job.plan.plateau is not None or (marks[0] != marks[1] and epoch.number != of)
    if job.val_N2AC is None or not judged_now:
        return report
    pictures_N2AC = job.val_N2AC[:JUDGED_SAMPLES]
    codewords_NM = run_frozen(job.encoder, pictures_N2AC)
    decoded_N2AC = run_frozen(job.the_teacher().autoencoder.decoder, codewords_NM)
    found = {"val_nmse_db": nmse(pictures_N2AC, decoded_N2AC).decibel}
    return replace(report, metrics={**report.metrics, **found})


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
