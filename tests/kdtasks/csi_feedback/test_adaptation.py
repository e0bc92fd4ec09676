"""Areas that only the server knows, and edges that adapt to others step by step."""

import math

import numpy as np
import pytest
from csi_examples import TASK, drained, silent
from csi_network_examples import NETWORK, assert_same, networked

from kdtasks.contract.collaboration import parted
from kdtasks.contract.errors import ConfigError
from kdtasks.csi_feedback.deployment_scores import deployment_scores
from kdtasks.csi_feedback.ownership import shares
from kdtasks.csi_feedback.settings import resolve
from sweeps.nodes.conductor import conduct
from sweeps.nodes.transport import InProcessTransport

AREAS = {"topology": "semi-centralized", "server_areas": 4, "server_share": 0.8}
ADAPTING = {
    **AREAS,
    "batch_size": 12,
    "stepwise": True,
    "edge_epochs": 5,
    "edge_samples": 9,
    "edge_part_only": False,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return TASK.load_scenario(
        networked(**ADAPTING), cache_dir=tmp_path_factory.mktemp("cache"), progress=silent
    )


def deployed(data, teacher=None, **changes):
    params = networked(**ADAPTING | changes)
    transport = InProcessTransport("csi-feedback", (data.train, data.val), teacher, params)
    return drained(conduct(TASK, params, transport))[1]


def sectors(pictures, data, name, count):
    """Return the sectors of samples, found by what they are."""
    split = getattr(data, name)
    x, y = split["positions"].T
    known = np.floor((np.arctan2(y, x) / math.pi + 0.5) * count).clip(0, count - 1)
    place = {picture.tobytes(): int(k) for picture, k in zip(split["pictures"], known, strict=True)}
    return {place[picture.tobytes()] for picture in pictures}


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_edges_are_where_the_server_has_never_been(data, name):
    found = shares(resolve(networked(**ADAPTING)), getattr(data, name), name)
    assert sectors(found.server["pictures"], data, name, 8) <= {0, 2, 4, 6}
    for edge, own in enumerate(found.edges):
        assert sectors(own["pictures"], data, name, 8) <= {(1, 5, 7)[edge]}


def test_the_server_knows_the_area_of_each_sample_and_edges_are_not_sent_it(data):
    params = networked(**ADAPTING, server_training="reptile")
    found = TASK.share_out(params, data.train, "train")
    for area in np.unique(found.server["areas"]):
        pictures = found.server["pictures"][found.server["areas"] == area]
        assert sectors(pictures, data, "train", 8) == {int(area)}
    assert TASK.samples_for(params, found.server).keys() == {"pictures"}
    assert all(own.keys() == {"pictures"} for own in found.edges)


@pytest.mark.slow
def test_no_step_is_the_student_that_was_sent(data):
    outcome = deployed(data, server_training="fomaml", inner_steps=1)
    params = networked(**ADAPTING, server_training="fomaml", inner_steps=1)
    server = TASK.share_out(params, data.train, "train").server
    learnt = drained(TASK.learn(params, server, None, server_part=True, stream_name=""))[1]
    nodes = parted(outcome.weights)
    for edge in range(3):
        assert_same(learnt.weights, nodes[f"received-{edge}"])
        assert_same(nodes[f"after-5-{edge}"], nodes[f"edge-{edge}"])
    found = outcome.metrics
    assert found["val_nmse_after_0_db"] == found["val_received_nmse_db"]
    assert found["val_nmse_after_5_db"] == found["val_nmse_db"]


@pytest.mark.slow
def test_a_step_does_not_depend_on_how_many_follow(data):
    short, long = deployed(data, edge_epochs=2), deployed(data, edge_epochs=5)
    for edge in range(3):
        after = parted(long.weights)[f"after-2-{edge}"]
        assert_same(parted(short.weights)[f"edge-{edge}"], after)


ARMS = {
    "plain": {},
    "reptile": {"server_training": "reptile", "inner_steps": 3, "meta_weight": 0.5},
    "fomaml": {"server_training": "fomaml", "inner_steps": 1},
}


@pytest.mark.slow
def test_all_trainings_of_the_server_cost_the_same_and_repeat(data):
    params = networked(**ADAPTING)
    server = TASK.share_out(params, data.train, "train").server
    count = len(server["pictures"]) // 48 * 48  # whole steps, of up to 4 batches of 12
    works = []
    for arm in ARMS.values():
        params = networked(**ADAPTING | arm)
        own = TASK.share_out(params, data.train, "train").server
        some = {name: array[:count] for name, array in own.items()}
        first, again = (
            drained(TASK.learn(params, some, None, server_part=True, stream_name=""))[1]
            for _ in range(2)
        )
        assert_same(first.weights, again.weights)
        works.append(first)
    assert len({learnt.work.flops for learnt in works}) == 1
    one, other, another = (learnt.weights["decoder.dense.weight"] for learnt in works)
    assert not np.array_equal(one, other)
    assert not np.array_equal(other, another)


@pytest.mark.slow
def test_a_server_that_does_not_train_sends_what_it_began_with(data):
    outcome = deployed(data, server_training="none")
    assert outcome.metrics["server_train_gflop"] == 0.0
    assert outcome.metrics["val_nmse_after_0_db"] == pytest.approx(0.0, abs=0.2)
    assert outcome.metrics["edge_train_gflop"] > 0.0


@pytest.mark.slow
def test_distillation_and_the_meta_term_go_together(data):
    changes = {"method": "autoencoder-kd", "server_training": "reptile", "meta_weight": 0.5}
    params = networked(**ADAPTING, **changes)
    teacher = drained(TASK.train_teacher(params, data.train, data.val))[1]
    plain = TASK.train_teacher(networked(**ADAPTING, method="autoencoder-kd"), data.train, data.val)
    assert_same(teacher.weights, drained(plain)[1].weights)
    found = deployed(data, teacher, **changes)
    other = deployed(data, teacher, **changes, alpha=0.0)
    assert found.metrics["val_nmse_db"] != other.metrics["val_nmse_db"]


def curve(*values):
    """Return the scores of one edge whose students have these NMSEs after 0, 1, 2 steps."""
    names = ("received-0", "after-1-0", "after-2-0")
    nodes = {n: {"w": np.array([v])} for n, v in zip(names, values, strict=True)}
    share = {"pictures": np.zeros(1)}
    every = type("Every", (), {"server": {}, "edges": (share,)})
    nodes["edge-0"] = nodes["after-2-0"]
    return deployment_scores(
        lambda _edge, own, _share: float(own["w"][0]), nodes, every, each_edge=False, level_db=-3.0
    )


def test_a_level_that_is_not_reached_has_no_number_of_steps():
    assert curve(1.0, 0.1, 0.1)["steps_to_level"] == pytest.approx(0.3)
    assert curve(1.0, 0.1, 0.1)["level_reached"] == 1.0
    assert "steps_to_level" not in curve(1.0, 0.9, 0.8)
    assert curve(1.0, 0.9, 0.8)["level_reached"] == 0.0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_edges": 5}, "num_edges"),
        ({"server_training": "reptile", "server_areas": 0}, "server_areas"),
        ({"server_training": "reptile", "method": "encoder-kd"}, "server_training"),
        ({"server_training": "plain", "meta_weight": 0.5}, "meta_weight"),
        ({"topology": "centralized", "server_training": "reptile"}, "server_training"),
        ({"partition_skew": 0.5}, "partition_skew"),
        ({"scenario": "site-umi-nlos-area-1"}, "server_areas"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes, named):
    fields = {k: v for k, v in AREAS.items() if k not in changes}
    with pytest.raises(ConfigError, match=named):
        TASK.complete({**NETWORK, **fields, **changes})


def test_trials_without_it_are_what_they_were():
    assert not {"server_areas", "server_training", "stepwise"} & {*networked("semi-centralized")}
