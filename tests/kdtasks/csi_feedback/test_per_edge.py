"""CSI feedback of edges with topologies of their own: parameters, memory, the server's policy."""

import pytest
from csi_examples import TASK
from csi_network_examples import networked
from hypothesis import given, settings
from hypothesis import strategies as st
from tried import times

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.policy import EDGE_TOPOLOGIES
from kdtasks.csi_feedback.families import edge_settings
from kdtasks.csi_feedback.ownership import shares
from kdtasks.csi_feedback.policy import demand
from kdtasks.csi_feedback.settings import resolve
from kdtasks.csi_feedback.workload import edge_bytes, samples_of

MIXED = "centralized decentralized semi-centralized"
AGED = {"server_age": 0.5, "method": "encoder-kd", "partition": "dirichlet"}


def per_edge(listed=MIXED, **changes):
    return networked("per-edge", edge_topologies=listed, **{"method": "encoder-kd", **changes})


def chosen(**changes):
    return networked("per-edge", policy="thresholds", **AGED, **changes)["edge_topologies"].split()


def demand_mb(topology, **changes):
    given_ = resolve(networked(topology, **{"method": "encoder-kd", **changes}))
    return edge_bytes(given_) / 1e6


@given(
    method=st.sampled_from(["vanilla", "autoencoder-kd", "encoder-kd", "relation"]),
    topology=st.sampled_from(EDGE_TOPOLOGIES),
    families=st.sampled_from(["same", "mixed"]),
    part=st.booleans(),
)
@settings(max_examples=times(25), deadline=None)
def test_an_edge_has_the_parameters_of_its_topology_alone(method, topology, families, part):
    """Also where the whole deployment has parameters that this topology would refuse."""
    common = {"method": method, "edge_families": families, "edge_part_only": part}
    mixed = per_edge(**common, uploads=1, rehearsal_share=0.5)
    own = {"centralized": {"uploads": 1}, "semi-centralized": {"rehearsal_share": 0.5}}
    alone = networked(topology, **common, **own.get(topology, {}))
    assert TASK.in_topology(mixed, topology) == alone
    assert TASK.complete(mixed) == mixed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"edge_topologies": ""}, ["edge_topologies", "num_edges=3", "policy"]),
        ({"edge_topologies": "centralized"}, ["edge_topologies", "1 entries", "num_edges=3"]),
        (
            {"edge_topologies": "centralized mutual self"},
            ["edge_topologies", "'mutual'", "decentralized"],
        ),
        ({"edge_topologies": MIXED, "policy": "thresholds"}, ["edge_topologies", "leave one"]),
        ({"edge_topologies": MIXED, "policy_samples": 3}, ["policy_samples", "a policy"]),
        ({"edge_topologies": MIXED, "edge_link_shares": "1 0 2"}, ["edge_link_shares", "above 0"]),
        ({"edge_topologies": MIXED, "edge_speed_shares": "1 2"}, ["edge_speed_shares", "2 entr"]),
        ({"edge_topologies": MIXED, "edge_memory_shares": "1 x 2"}, ["edge_memory_shares", "x"]),
        ({"edge_topologies": MIXED, "rounds": 3}, ["rounds", "mutual and self"]),
        ({"edge_topologies": MIXED, "method": "ip-encoder-kd"}, ["method", "per-edge"]),
        ({"edge_topologies": MIXED, "effort": "gflop"}, ["effort", "per-edge", "plateau"]),
        (
            {"edge_topologies": "centralized centralized centralized", "rehearsal_share": 0.5},
            ["rehearsal_share", "semi-centralized"],
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    with pytest.raises(ConfigError) as raised:
        networked("per-edge", **changes)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("name", ["edge_topologies", "policy"])
def test_topologies_of_single_edges_belong_to_per_edge(name):
    value = {"edge_topologies": MIXED, "policy": "thresholds"}[name]
    with pytest.raises(ConfigError, match=f"{name}=.* belongs to topology per-edge"):
        networked("centralized", **{name: value})


def test_lists_have_one_spelling():
    assert per_edge(f"  {MIXED.replace(' ', '   ')} ") == per_edge()


def test_each_edge_needs_the_memory_of_its_own_topology():
    need_mb = demand_mb("decentralized")
    assert need_mb > demand_mb("semi-centralized")
    fits = {"edge_memory_mb": need_mb, "edge_memory_shares": "0.001 1 0.999"}
    per_edge(**fits)
    with pytest.raises(ConfigError, match=r"edge 1 .* with topology decentralized .*centralized"):
        per_edge(**{**fits, "edge_memory_shares": "1 0.99 1"})
    per_edge("decentralized centralized centralized", **fits | {"edge_memory_shares": "1 0.1 0.1"})


def test_the_policy_gives_each_edge_what_it_affords():
    assert chosen() == ["decentralized"] * 3
    assert chosen(policy_stale=0.9) == ["semi-centralized"] * 3
    assert chosen(policy_fresh=0.5) == ["centralized"] * 3
    assert chosen(policy_samples=10_000) == ["centralized"] * 3
    need_mb = demand_mb("decentralized")
    shares_ = {"edge_memory_mb": need_mb, "edge_memory_shares": "1 0.999 0.1"}
    assert chosen(**shares_) == ["decentralized", "semi-centralized", "centralized"]


@pytest.mark.parametrize("name", ["edge_link_shares", "edge_speed_shares"])
def test_the_policy_spares_an_edge_that_would_be_late(name):
    slow = {name: "1 1 0.0001", "edge_gflops": 0.1, "policy_deadline_s": 60.0}
    assert chosen(**slow) == ["decentralized", "decentralized", "centralized"]


def test_what_the_policy_chose_stays_chosen():
    """Repetitions complete the parameters of a trial once more, with another seed."""
    config = networked("per-edge", policy="thresholds", **AGED, policy_deadline_s=60.0)
    assert TASK.complete(config) == config
    repeated = TASK.complete({**config, "seed": 7})
    assert repeated == {**config, "seed": 7}


@given(deadline_s=st.sampled_from([0.0, 1.0, 20.0, 60.0, 200.0]), epochs=st.integers(1, 300))
@settings(max_examples=times(25), deadline=None)
def test_what_decided_the_choice_stays_among_the_parameters(deadline_s, epochs):
    """Also what only a topology that was not chosen has, such as epochs of fine-tuning."""
    params = {"topology": "per-edge", "policy": "thresholds", "method": "encoder-kd"}
    params |= {"num_edges": 3, "edge_gflops": 0.5, "server_age": 0.5, "policy_stale": 0.9}
    params |= {"policy_deadline_s": deadline_s, "edge_epochs": epochs}
    completed = TASK.complete(params)
    assert TASK.complete(completed) == completed
    assert completed["edge_epochs"] == epochs
    assert TASK.settings.resolve(completed) == TASK.settings.resolve(params)


def test_edges_have_the_samples_that_the_policy_counts(network_data):
    params = per_edge(edge_samples=40, edge_sample_shares="1 0.5 0.05")
    own = resolve(params)
    local = shares(own, network_data.train, "train").edges
    counted = [samples_of(own, edge) for edge in range(3)]
    assert [len(share["pictures"]) for share in local] == counted == [40, 20, 2]
    every = shares(own, network_data.val, "val").edges
    uncut = shares(resolve(per_edge()), network_data.val, "val").edges
    assert [len(one["pictures"]) for one in every] == [len(one["pictures"]) for one in uncut]


@pytest.mark.parametrize("topology", ["decentralized", "semi-centralized"])
def test_more_samples_take_more_work_and_not_more_memory(topology):
    own = edge_settings(resolve(per_edge()), topology, 0)
    few, many = demand(own, 40), demand(own, 400)
    assert many.flop == pytest.approx(10 * few.flop)
    assert many.peak_bytes == few.peak_bytes
    assert many.sent_bytes == few.sent_bytes > 0
