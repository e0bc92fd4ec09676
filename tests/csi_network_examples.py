"""Deployments of CSI feedback that take a fraction of a second."""

from dataclasses import replace

import numpy as np
from csi_examples import TASK, drained, tiny

from kdtasks.contract.collaboration import Stage

NETWORK = {"num_train": 480, "num_val": 160, "num_edges": 3, "edge_epochs": 1}

TOPOLOGIES = {
    "centralized": {},
    "decentralized": {"method": "encoder-kd"},
    "semi-centralized": {"method": "encoder-kd"},
    "mutual": {"rounds": 2},
    "self": {"rounds": 2},
}
"""Every topology, with what it needs."""


def networked(topology="centralized", **changes):
    """Return the completed parameters of a deployment."""
    return TASK.complete(tiny(**{"topology": topology, **NETWORK, **changes}))


STAGE = Stage(
    epochs=2, rate=5e-3, guidance_weight=0.0, server_part=True, stream_name="edge-0 round 1"
)


def learnt(params, data, teacher=None, *, server_part=True, stream_name=""):
    """Train a student at a node."""
    return drained(
        TASK.learn(params, data, teacher, server_part=server_part, stream_name=stream_name)
    )[1]


def trained_on(weights, data, guidance=None, **changes):
    """Train a student on, at an edge."""
    stage = replace(STAGE, **changes)
    params = networked("semi-centralized")
    return drained(TASK.train_on(params, weights, data, guidance, stage))[1]


def assert_same(one, other):
    """Assert that arrays are bit-equal."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
