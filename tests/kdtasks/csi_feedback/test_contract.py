"""Every method and topology of CSI feedback keeps the laws of a task."""

from csi_examples import METHODS, tiny
from csi_network_examples import networked

from sweeps.plan.contract import TaskContract


class TestContract(TaskContract):
    task = "csi-feedback"
    tolerance = 0.0
    trials = (
        *(tiny(method=method) for method in METHODS[:4]),
        tiny(method="sequential", encoder="crnet"),
    )


class TestDeployments(TaskContract):
    task = "csi-feedback"
    tolerance = 0.0
    trials = (
        networked("semi-centralized", method="encoder-kd", anchor_weight=0.5),
        networked("decentralized", method="ip-encoder-kd"),
        networked("mutual", rounds=2, anchor_weight=0.5),
    )
