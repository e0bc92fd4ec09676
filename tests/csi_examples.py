"""Trials of CSI feedback that take a tenth of a second, and how to run a training to its end."""

from kdtasks.contract.reports import drained
from kdtasks.csi_feedback.task import CsiFeedback

TASK = CsiFeedback()

TINY = {
    "num_antennas": 8,
    "num_subcarriers": 8,
    "num_train": 240,
    "num_val": 60,
    "num_test": 60,
    "compression": 4,
    "batch_size": 40,
    "learning_rate": 1e-2,
    "epochs": 2,
    "encoder_epochs": 2,
    "finetune_epochs": 1,
    "teacher_epochs": 2,
}
"""Parameters of a trial; the other ones are the preset's."""

METHODS = (
    "vanilla",
    "autoencoder-kd",
    "encoder-kd",
    "ip-encoder-kd",
    "sequential",
    "feature",
    "relation",
)
DISTILLING = METHODS[1:]


def tiny(**changes):
    return {**TINY, **changes}


def silent(done, total, unit):
    """A progress that shows nothing."""


def trained_teacher(data, **changes):
    return drained(TASK.train_teacher(tiny(**changes), data.train, data.val))[1]


def trained_student(data, teacher=None, **changes):
    """Return the reports and the outcome of one student."""
    return drained(TASK.train_student(tiny(**changes), data.train, data.val, teacher))
