"""Trials of LiDAR beam tracking that take a tenth of a second, and how to train them."""

from csi_examples import drained

from kdtasks.tasks.lidar_beam import LidarBeam

TASK = LidarBeam()

TINY = {
    "train_passages": 4,
    "val_passages": 1,
    "test_passages": 2,
    "generator_steps": 40,
    "generator_batch": 8,
    "windows": 48,
    "epochs": 2,
    "batch_size": 16,
    "teacher_epochs": 1,
    "teacher_batch": 32,
}
"""Parameters of a trial; the other ones are the preset's."""

METHODS = ("vanilla", "ordinary", "datafree", "untrained", "prior", "gaussian")
DISTILLING = METHODS[1:]
WITHOUT_DATA = METHODS[2:]


def tiny(**changes):
    return {**TINY, **changes}


def trained_teacher(data, /, **changes):
    return drained(TASK.train_teacher(tiny(**changes), data.train, data.val))[1]


def trained_student(data, artifact=None, /, **changes):
    """Return the reports and the outcome of one student."""
    return drained(TASK.train_student(tiny(**changes), data.train, data.val, artifact))
