"""Autoencoder KD, Cui et al., section III: the whole student learns the teacher's soft outputs."""

from collections.abc import Callable, Generator
from functools import partial

import torch
from torch import Tensor

from kdtasks.contract.task import Report
from kdtasks.csi_feedback.methods.job import (
    Job,
    Trained,
    reconstruction_terms,
    soft_picture_loss,
    train_end_to_end,
)
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.learning.losses import blended_terms
from kdtasks.learning.metrics import relative_errors
from kdtasks.learning.training import Terms

OutputLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Takes what student and teacher reconstruct of pictures, and these; returns a scalar."""


def train(job: Job) -> Generator[Report, None, Trained]:
    """Train from scratch on ``(1 - alpha) task + alpha distill``, eq. (10) with alpha = 1 - a."""
    return train_towards(job, partial(soft_picture_loss, plan=job.plan))


def train_towards(job: Job, loss: OutputLoss) -> Generator[Report, None, Trained]:
    """Train from scratch on the task's loss and on one towards the teacher's outputs."""
    model = Autoencoder(job.encoder, job.decoder)
    plan = job.plan
    teacher = job.the_teacher()
    if plan.alpha > 0.0:
        teacher.outputs(job.train_N2AC, torch.arange(0))  # so that no epoch's time has it

    def objective(index: Tensor) -> Terms:
        pictures = job.train_N2AC[index]
        if plan.alpha == 0.0:
            return reconstruction_terms(model, pictures)
        output = model(pictures)
        task = relative_errors(pictures, output).mean()
        target = teacher.outputs(job.train_N2AC, index)
        distill = loss(output, target, pictures)
        return blended_terms(task, distill, alpha=plan.alpha)

    return train_end_to_end(job, model, objective)
