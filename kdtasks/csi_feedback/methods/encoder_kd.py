"""Encoder KD, Cui et al., section IV-B: learn the teacher's codewords, then fine-tune both ends."""

import copy
from collections.abc import Generator
from dataclasses import replace

from kdtasks.contract.task import Report
from kdtasks.csi_feedback.methods.codewords import fit_encoder
from kdtasks.csi_feedback.methods.job import (
    Job,
    Trained,
    TrainingStage,
    judged,
    reconstruction_terms,
    report_distilling,
    report_end_to_end,
)
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.learning.training import fit


def train(job: Job) -> Generator[Report, None, Trained]:
    """Train the encoder on the teacher's codewords; then the encoder and a copy of its decoder.

    Without ``server_part`` that copy is frozen, its batch-norm statistics included, and the second
    stage fits the encoder to it.
    """
    plan = job.plan
    teacher = job.the_teacher()
    of = plan.encoder_epochs + plan.finetune_epochs
    schedules = (
        plan.schedule(plan.encoder_epochs),
        plan.schedule(plan.finetune_epochs, plan.finetune_rate),
    )
    ends = schedules[0].end(), schedules[1].end()
    decoder = copy.deepcopy(teacher.autoencoder.decoder)
    model = Autoencoder(job.encoder, decoder.requires_grad_(job.server_part))
    spent, stages = dict[str, float](), list[TrainingStage]()

    def trained() -> Trained:
        return Trained(
            autoencoder=model,
            metrics={**spent, "train_capped": max(end.capped for end in ends)},
            training_stages=tuple(stages),
        )

    for first in fit_encoder(
        job.encoder,
        job.train_N2AC,
        lambda index: teacher.codewords(job.train_N2AC, index),
        loss=plan.codeword_loss,
        schedule=schedules[0],
        generator=job.generator,
        end=ends[0],
    ):
        spent["distill_core_seconds"] = first.core_seconds
        stages[:] = [
            TrainingStage(samples=first.samples, encoder=3, decoder=0, epochs=first.number)
        ]
        yield replace(judged(ends[0], report_distilling(job, first, of=of)), left=trained)
    for second in fit(
        [model if job.server_part else job.encoder],
        lambda index: reconstruction_terms(model, job.train_N2AC[index]),
        num_samples=len(job.train_N2AC),
        schedule=schedules[1],
        generator=job.generator,
        end=ends[1],
    ):
        spent["finetune_core_seconds"] = second.core_seconds
        passes = 3 if job.server_part else 2
        stages[1:] = [
            TrainingStage(samples=second.samples, encoder=3, decoder=passes, epochs=second.number)
        ]
        report = report_end_to_end(job, second, model, done=first.number, of=of)
        yield replace(judged(ends[1], report), left=trained)
    return trained()
