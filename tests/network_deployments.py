"""Deployments of the toy network, and what of their numbers is not measured on clocks."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from kdtasks.contract.task import Arrays
from sweeps.nodes.node import Node
from sweeps.nodes.transport import InProcessTransport
from sweeps.nodes.wire.messages import CONDUCTOR

DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "none": {"topology": "none"},
    "centralized": {"topology": "centralized", "uploads": 2, "link_loss": 0.3},
    "decentralized": {
        "topology": "decentralized",
        "edge_families": "mixed",
        "num_edges": 5,
        "num_teachers": 2,
    },
    "pairs": {"topology": "decentralized", "method": "pairs", "exchange_bits": 4},
    "semi-centralized": {
        "topology": "semi-centralized",
        "rehearsal_share": 0.5,
        "anchor_weight": 0.3,
    },
    "synthetic": {
        "topology": "semi-centralized",
        "rehearsal_share": 1.0,
        "rehearsal_source": "synthetic",
    },
    "mutual": {
        "topology": "mutual",
        "rounds": 3,
        "num_edges": 3,
        "link_loss": 0.1,
        "sign_messages": True,
    },
    "self": {"topology": "self", "rounds": 2, "anchor_weight": 0.5},
}

MIXED: dict[str, dict[str, Any]] = {
    "per edge": {
        "topology": "per-edge",
        "num_edges": 5,
        "edge_topologies": "semi-centralized decentralized centralized decentralized centralized",
        "edge_families": "mixed",
        "link_loss": 0.2,
        "edge_link_shares": "1 0.1 1 0.5 1",
    },
    "per edge with uploads": {
        "topology": "per-edge",
        "num_edges": 3,
        "edge_topologies": "centralized semi-centralized decentralized",
        "uploads": 2,
        "rehearsal_share": 0.5,
        "anchor_weight": 0.3,
        "exchange_bits": 8,
        "sign_messages": True,
    },
    "per edge, locally": {
        "topology": "per-edge",
        "num_edges": 3,
        "edge_topologies": "decentralized centralized decentralized",
        "method": "vanilla",
    },
}
"""Deployments of edges with topologies of their own, so that their number is not free."""

POISONED: dict[str, dict[str, Any]] = {
    "liars": {
        "topology": "mutual",
        "rounds": 3,
        "num_edges": 6,
        "poisoned_edges": 1,
        "attack": "random",
        "defence": "krum",
        "anchor_weight": 0.5,
    },
    "poisoned teachers": {
        "topology": "decentralized",
        "num_edges": 3,
        "poisoned_edges": 1,
        "attack": "scaled",
        "defence": "probe",
    },
    "teacher of wrong labels": {
        "topology": "decentralized",
        "num_edges": 3,
        "poisoned_edges": 2,
        "attack": "flipped-labels",
        "num_teachers": 2,
    },
    "backdoor": {
        "topology": "decentralized",
        "num_edges": 3,
        "poisoned_edges": 1,
        "attack": "backdoor",
    },
}
"""Deployments whose number of edges is not free: defences need some."""

WATCHED: dict[str, dict[str, Any]] = {
    f"leaks, {name}": {"privacy_share": 0.2, "shadow_models": 2, **DEPLOYMENTS[name], **changes}
    for name, changes in {
        "centralized": {"uploads": 0},
        "decentralized": {"edge_families": "same"},
        "synthetic": {},
        "mutual": {"anchor_weight": 0.5},
    }.items()
}
WATCHED |= {
    "noisy outputs": {**WATCHED["leaks, mutual"], "dp_epsilon": 8.0, "dp_clip": 2.0},
    "noisy statistics": {**DEPLOYMENTS["synthetic"], "dp_sigma": 0.5},
}
"""Deployments whose leaks are measured, or that send noise."""


def measured(name: str) -> bool:
    """Say whether a metric is a time on this machine's clocks."""
    return "core_seconds" in name or name.rpartition("/")[2] in (
        "trial_wall_s",
        "trial_cpu_s",
        "ue_latency_ms",
        "latency_ms",
    )


def numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not measured(name)}


def assert_same_arrays(ours: Arrays, theirs: Arrays) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype
        assert np.array_equal(array, theirs[name])


def received_in(transport: InProcessTransport) -> Counter[str]:
    """Count the bytes that each node will be given by others, at its end of the link."""
    received: Counter[str] = Counter()

    def listen(node: Node) -> None:
        handle = node.handle

        def counted(sender: str, payload: bytes, seal: bytes = b"") -> Any:
            received[node.name] += (len(payload) + len(seal)) * (sender != CONDUCTOR)
            return handle(sender, payload, seal)

        node.handle = counted  # type: ignore[method-assign]

    for node in transport._host._nodes.values():
        listen(node)
    return received
