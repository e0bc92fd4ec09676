"""Encoder KD, Cui et al., section IV-B: learn the teacher's codewords, then fine-tune both ends."""

import copy
from collections.abc import Generator

from kdtasks.methods.codeword_training import fit_encoder
from kdtasks.methods.csi_job import (
    Job,
    Trained,
    reconstruction_terms,
    report_encoder,
    report_end_to_end,
)
from kdtasks.models.autoencoder import Autoencoder
from kdtasks.task import Report
from kdtasks.training import Schedule, fit


def train(job: Job) -> Generator[Report, None, Trained]:
    """Train the encoder on the teacher's codewords; then the encoder and a copy of its decoder."""
    plan = job.plan
    teacher = job.the_teacher()
    of = plan.encoder_epochs + plan.finetune_epochs
    distilling = finetuning = 0.0
    for epoch in fit_encoder(
        job.encoder,
        job.train_N2AC,
        lambda index: teacher.codewords(job.train_N2AC, index),
        schedule=Schedule(
            epochs=plan.encoder_epochs,
            batch_size=plan.batch_size,
            learning_rate=plan.learning_rate,
        ),
        generator=job.generator,
    ):
        distilling = epoch.core_seconds
        yield report_encoder(epoch, done=0, of=of)
    decoder = copy.deepcopy(teacher.autoencoder.decoder).requires_grad_(True)
    model = Autoencoder(job.encoder, decoder)
    for epoch in fit(
        [model],
        lambda index: reconstruction_terms(model, job.train_N2AC[index]),
        num_samples=len(job.train_N2AC),
        schedule=Schedule(
            epochs=plan.finetune_epochs,
            batch_size=plan.batch_size,
            learning_rate=plan.finetune_rate,
        ),
        generator=job.generator,
    ):
        finetuning = epoch.core_seconds
        yield report_end_to_end(job, epoch, model, done=plan.encoder_epochs, of=of)
    return Trained(
        autoencoder=model,
        metrics={"distill_core_seconds": distilling, "finetune_core_seconds": finetuning},
    )
