"""Every method and some topologies of beam tracking keep the laws of a task."""

from beam_trials import METHODS, tiny

from sweeps.plan.contract import TaskContract


class TestContract(TaskContract):
    task = "beam-tracking"
    tolerance = 0.0
    trials = tuple(tiny(method=method) for method in METHODS)


class TestDeployments(TaskContract):
    task = "beam-tracking"
    tolerance = 0.0
    trials = tuple(
        tiny(train_passages=16, num_edges=2, partition_skew=0.0, **own)
        for own in (
            {"topology": "semi-centralized", "method": "response", "rehearsal_share": 0.5},
            {"topology": "decentralized", "method": "response"},
            {"topology": "mutual", "rounds": 2, "anchor_weight": 0.5, "proxy_samples": 8},
        )
    )
