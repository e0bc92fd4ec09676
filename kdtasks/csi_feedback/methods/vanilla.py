"""No distillation: the whole autoencoder is trained on the task's loss. Every table's baseline."""

from collections.abc import Generator

from kdtasks.contract.task import Report
from kdtasks.csi_feedback.methods.job import Job, Trained, reconstruction_terms, train_end_to_end
from kdtasks.csi_feedback.models.autoencoder import Autoencoder


def train(job: Job) -> Generator[Report, None, Trained]:
    """Train encoder and decoder from scratch."""
    model = Autoencoder(job.encoder, job.decoder)
    return train_end_to_end(
        job, model, lambda index: reconstruction_terms(model, job.train_N2AC[index])
    )
