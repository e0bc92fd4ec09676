"""Trials of beam tracking that take a tenth of a second, and how to train them."""

from csi_examples import drained

from kdtasks.beam_tracking.task import BeamTracking
from kdtasks.contract.deployment import NETWORK_METRICS, POISONING_METRICS
from kdtasks.contract.poisoning import BACKDOOR_METRICS
from kdtasks.contract.privacy import PRIVACY_METRICS

TASK = BeamTracking()

TINY = {
    "image_size": 32,
    "train_passages": 6,
    "val_passages": 3,
    "test_passages": 3,
    "window_stride": 2,
    "epochs": 2,
    "teacher_epochs": 2,
    "batch_chunks": 4,
}
"""Parameters of a trial; the other ones are the preset's."""

METHODS = ("vanilla", "response", "feature", "relation", "self")
DISTILLING = METHODS[1:]

DEPLOYED = ("worst_edge_top2", "server_top2", "received_top2", "forgetting_top2", "judged_edges")
OF_NETWORKS = (
    {f"val_{name}" for name in DEPLOYED}
    | NETWORK_METRICS.keys()
    | POISONING_METRICS.keys()
    | BACKDOOR_METRICS.keys()
    | PRIVACY_METRICS.keys()
)
OF_NETWORKS -= {"teacher_forward_samples", "train_gflop", "train_capped"}
"""Metrics that only a deployment has."""


def tiny(**changes):
    return {**TINY, **changes}


def trained_teacher(data, /, **changes):
    return drained(TASK.train_teacher(tiny(**changes), data.train, data.val))[1]


def trained_student(data, artifact=None, /, **changes):
    """Return the reports and the outcome of one student."""
    return drained(TASK.train_student(tiny(**changes), data.train, data.val, artifact))


def without_times(metrics):
    return {name: v for name, v in metrics.items() if not name.endswith(("seconds", "latency_ms"))}
