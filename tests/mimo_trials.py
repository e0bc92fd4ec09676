"""Trials of MIMO detection that take a tenth of a second, and how to train them."""

from csi_examples import drained

from kdtasks.mimo_detection.task import MimoDetection

TASK = MimoDetection()

TINY = {
    "target": "2x2 qpsk kronecker-0.6",
    "target_snr_db": 10.0,
    "val_uses": 300,
    "test_uses": 200,
    "stream": "2x2 qpsk rayleigh, 2x3 qpsk kronecker-0.3",
    "collective_width": 8,
    "collective_depth": 3,
    "stream_steps": 50,
    "stream_batch": 16,
    "width": 8,
    "depth": 2,
    "head_width": 10,
    "head_layers": 2,
    "steps": 50,
    "batch_size": 16,
}
"""Parameters of a trial; the other ones are the preset's."""

METHODS = ("vanilla", "learngene", "finetune", "kd", "learngene-kd")
TAUGHT = METHODS[1:]


def tiny(**changes):
    return {**TINY, **changes}


def trained_teacher(data, /, **changes):
    params = tiny(method="finetune", **changes)
    return drained(TASK.train_teacher(params, data.train, data.val))[1]


def trained_student(data, artifact=None, /, **changes):
    """Return the reports and the outcome of one individual."""
    return drained(TASK.train_student(tiny(**changes), data.train, data.val, artifact))
