"""No distillation: the whole autoencoder is trained on the task's loss. Every table's baseline."""

from collections.abc import Generator

from kdtasks.methods.csi_job import Job, Trained, reconstruction_terms, report_end_to_end
from kdtasks.models.autoencoder import Autoencoder
from kdtasks.task import Report
from kdtasks.training import Schedule, fit


def train(job: Job) -> Generator[Report, None, Trained]:
    """Train encoder and decoder from scratch."""
    model = Autoencoder(job.encoder, job.decoder)
    plan = job.plan
    spent = 0.0
    for epoch in fit(
        [model],
        lambda index: reconstruction_terms(model, job.train_N2AC[index]),
        num_samples=len(job.train_N2AC),
        schedule=Schedule(
            epochs=plan.epochs, batch_size=plan.batch_size, learning_rate=plan.learning_rate
        ),
        generator=job.generator,
    ):
        spent = epoch.core_seconds
        yield report_end_to_end(job, epoch, model, done=0, of=plan.epochs)
    return Trained(autoencoder=model, metrics={"distill_core_seconds": spent})
