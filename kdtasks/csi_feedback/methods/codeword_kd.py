"""Feature and relational distillation of codewords, while the whole student is trained.

Encoder KD (`encoder_kd`) makes the student's code that of its teacher, whose decoder then reads it.
Here the student has a decoder of its own, so its codewords may have another length than the
teacher's. Feature distillation maps them to these by one matrix ("FitNets", Romero et al., 2015),
relational distillation compares the distances and angles among the codewords of a batch (Park et
al., 2019): no length occurs in it.
"""

from collections.abc import Generator

import torch
from torch import Tensor

from kdtasks.contract.task import Report
from kdtasks.csi_feedback.methods.job import Job, Trained, train_end_to_end
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.learning.distillation import KdSettings, Outputs, distilled, response
from kdtasks.learning.losses import logit_mse
from kdtasks.learning.metrics import relative_errors
from kdtasks.learning.training import Terms


def train(job: Job, settings: KdSettings) -> Generator[Report, None, Trained]:
    """Train from scratch on ``(1 - alpha) task + alpha distill``.

    Codewords are taken in units of the standard deviation of the teacher's, so that a constant code
    has a feature loss of 1, as a constant reconstruction has an NMSE of 1.

    Args:
        job: The student; its teacher's codewords are needed if alpha is above 0.
        settings: Method and weights, see `distilled`.
    """
    model, pictures_N2AC, unit = Autoencoder(job.encoder, job.decoder), job.train_N2AC, 1.0
    teacher = None
    if settings.alpha > 0.0:
        codewords_NM = job.the_teacher().codewords(pictures_N2AC, torch.arange(len(pictures_N2AC)))
        unit = float(codewords_NM.var(dim=0).mean().clamp_min(1e-12).sqrt())
        teacher = Outputs(outputs=pictures_N2AC, features=codewords_NM / unit)
    goal = distilled(
        response(lambda found, pictures: relative_errors(pictures, found).mean(), pictures_N2AC),
        teacher,
        settings,
        logit_mse,
        (job.codeword_length,),
    )

    def objective(index_B: Tensor) -> Terms:
        codewords_BM = model.encoder(pictures_N2AC[index_B])
        found = Outputs(outputs=model.decoder(codewords_BM), features=codewords_BM / unit)
        return goal.terms(found, index_B)

    return train_end_to_end(job, model, objective, goal.modules)
