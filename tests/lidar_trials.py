"""Trials of LiDAR beam tracking that take a tenth of a second, and how to train them."""

import numpy as np
from csi_examples import drained

from kdtasks.contract.deployment import NETWORK_METRICS, POISONING_METRICS
from kdtasks.contract.privacy import PRIVACY_METRICS
from kdtasks.lidar_beam.task import LidarBeam
from kdtasks.sensing.window_task import DEPLOYMENT_METRICS

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

ON_DATA = ("ordinary", "feature", "relation")
WITHOUT_DATA = ("datafree", "untrained", "prior", "gaussian")
DISTILLING = (*ON_DATA, *WITHOUT_DATA)
METHODS = ("vanilla", *DISTILLING)


def tiny(**changes):
    return {**TINY, **changes}


def trained_teacher(data, /, **changes):
    return drained(TASK.train_teacher(tiny(**changes), data.train, data.val))[1]


def trained_student(data, artifact=None, /, **changes):
    """Return the reports and the outcome of one student."""
    return drained(TASK.train_student(tiny(**changes), data.train, data.val, artifact))


NETWORK = {"train_passages": 12, "val_passages": 2, "num_edges": 2, "partition_skew": 0.0}
"""What a deployment has beside that: the server and each edge have passages of their own."""

OF_NETWORKS = (
    NETWORK_METRICS.keys()
    | POISONING_METRICS.keys()
    | PRIVACY_METRICS.keys()
    | DEPLOYMENT_METRICS.keys()
)
OF_NETWORKS -= {"teacher_forward_samples", "train_gflop", "train_capped"}
"""Metrics that only a deployment has."""


def networked(topology="decentralized", **changes):
    """Return the completed parameters of a deployment."""
    return TASK.complete(tiny(**{**NETWORK, "topology": topology, **changes}))


def network_teacher(data, params):
    return drained(TASK.train_teacher(params, data.train, data.val))[1]


def learnt(params, samples, teacher=None, *, stream_name=""):
    """Train a student at a node."""
    return drained(TASK.learn(params, samples, teacher, server_part=True, stream_name=stream_name))[
        1
    ]


def assert_same(one, other):
    """Assert that arrays are bit-equal."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
