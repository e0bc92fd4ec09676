"""Encoder KD, Cui et al., section IV-B: learn the teacher's codewords, then fine-tune both ends."""

import copy
from collections.abc import Generator

from kdtasks.contract.task import Report
from kdtasks.csi_feedback.methods.codewords import fit_encoder
from kdtasks.csi_feedback.methods.job import (
    Job,
    Trained,
    TrainingStage,
    reconstruction_terms,
    report_distilling,
    report_end_to_end,
)
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.learning.training import Schedule, fit


def train(job: Job) -> Generator[Report, None, Trained]:
    """Train the encoder on the teacher's codewords; then the encoder and a copy of its decoder.

    Without ``server_part`` that copy is frozen, its batch-norm statistics included, and the second
    stage fits the encoder to it.
    """
    plan = job.plan
    teacher = job.the_teacher()
    of = plan.encoder_epochs + plan.finetune_epochs
    distilling = finetuning = 0.0
    distilled = finetuned = 0
    for epoch in fit_encoder(
        job.encoder,
        job.train_N2AC,
        lambda index: teacher.codewords(job.train_N2AC, index),
        loss=plan.codeword_loss,
        schedule=Schedule(
            epochs=plan.encoder_epochs,
            batch_size=plan.batch_size,
            learning_rate=plan.learning_rate,
        ),
        generator=job.generator,
    ):
        distilling, distilled = epoch.core_seconds, epoch.samples
        yield report_distilling(job, epoch, of=of)
    decoder = copy.deepcopy(teacher.autoencoder.decoder)
    model = Autoencoder(job.encoder, decoder.requires_grad_(job.server_part))
    for epoch in fit(
        [model if job.server_part else job.encoder],
        lambda index: reconstruction_terms(model, job.train_N2AC[index]),
        num_samples=len(job.train_N2AC),
        schedule=Schedule(
            epochs=plan.finetune_epochs,
            batch_size=plan.batch_size,
            learning_rate=plan.finetune_rate,
        ),
        generator=job.generator,
    ):
        finetuning, finetuned = epoch.core_seconds, epoch.samples
        yield report_end_to_end(job, epoch, model, done=plan.encoder_epochs, of=of)
    return Trained(
        autoencoder=model,
        metrics={"distill_core_seconds": distilling, "finetune_core_seconds": finetuning},
        training_stages=(
            TrainingStage(samples=distilled, encoder=3, decoder=0, epochs=plan.encoder_epochs),
            TrainingStage(
                samples=finetuned,
                encoder=3,
                decoder=3 if job.server_part else 2,
                epochs=plan.finetune_epochs,
            ),
        ),
    )
