"""How the students of a beam deployment are judged."""

import numpy as np
import pytest
from beam_network_examples import (
    DATA,
    networked,
    trained_on,
)
from beam_trials import TASK, tiny

from kdtasks.contract.collaboration import joined


@pytest.fixture(scope="module")
def deployment(beam_student, beam_shares):
    """Students of three edges, as they were received and after a fine-tune."""
    params = networked("semi-centralized")
    tuned = [
        trained_on(params, beam_student, edge, stream_name=f"e{k}", epochs=3)
        for k, edge in enumerate(beam_shares.edges)
    ]
    nodes = {f"edge-{number}": one.weights for number, one in enumerate(tuned)}
    return {**nodes, **{f"received-{number}": beam_student for number in range(3)}}


def test_a_deployment_is_judged_by_its_definitions(deployment):
    params = networked("semi-centralized")
    val = TASK.share_out(params, DATA.val, "val")
    found = TASK.evaluate(params, joined(deployment), DATA.val)
    judged = [k for k, share in enumerate(val.edges) if len(share["label"])]

    def each(node, share_of):
        lone = tiny(sensors="image radar gps")
        scores = [TASK.evaluate(lone, deployment[f"{node}-{k}"], share_of(k)) for k in judged]
        return np.array([one["top2"] for one in scores])

    own = each("edge", lambda k: val.edges[k])
    server, before = (
        np.mean(
            [
                TASK.evaluate(tiny(sensors="image radar gps"), deployment[f"{node}-{k}"], DATA.val)[
                    "top2"
                ]
                for k in range(3)
            ]
        )
        for node in ("edge", "received")
    )
    expected = {
        "top2": own.mean(),
        "worst_edge_top2": own.min(),
        "received_top2": each("received", lambda k: val.edges[k]).mean(),
        "server_top2": server,
        "forgetting_top2": before - server,
        "judged_edges": len(judged),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert {f"val_{name}" for name in found} <= TASK.metrics.keys()


def test_nothing_is_forgotten_if_nothing_was_trained(deployment):
    received = {name: deployment[name] for name in deployment if name.startswith("received")}
    untouched = {name.replace("received", "edge"): weights for name, weights in received.items()}
    params = networked("semi-centralized")
    found = TASK.evaluate(params, joined({**received, **untouched}), DATA.val)
    assert found["forgetting_top2"] == 0.0
    assert found["received_top2"] == found["top2"]
    found = TASK.evaluate(params, joined(untouched), DATA.val)
    assert "received_top2" not in found
