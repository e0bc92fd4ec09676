"""Who owns which passages, and what a share carries: its own windows' frames and no other."""

import numpy as np
import pytest
import torch
from beam_network_examples import DATA, assert_same, networked, street
from beam_trials import TASK
from hypothesis import given, settings
from hypothesis import strategies as st
from tried import times

from kdtasks.beam_tracking.methods.batches import windows_of
from kdtasks.contract.errors import ConfigError
from kdtasks.sensing.beams.format import SCENE_STEP
from kdtasks.sensing.ownership import (
    pointing_nowhere,
    sensors_in,
    taken,
    windows_between,
    windows_together,
    with_sensors,
)

TRAIN = DATA.train
SENSORS = ("image", "radar", "gps")
COUNT = len(TRAIN["label"])
SUBSETS = st.lists(st.integers(0, COUNT - 1), unique=True, max_size=12)


def whole(samples, sensor):
    """Return what a sensor has seen of every window, frame by frame, as networks are given it."""
    windows = windows_of(samples, (sensor,))
    frames, index = windows.gathered(torch.arange(len(windows)))
    return frames[sensor][index[sensor]].numpy()


def passages_of(share):
    return set(share["passage"].tolist())


@settings(max_examples=times(25))
@given(SUBSETS, st.sets(st.sampled_from(["radar", "gps", "image"]), min_size=1))
def test_a_share_shows_the_windows_that_were_taken_and_no_frame_of_another(chosen, sensors):
    chosen = np.array(chosen, np.int64)
    share = taken(TRAIN, chosen, [sensor for sensor in SENSORS if sensor in sensors])
    assert {*sensors_in(share)} == sensors
    np.testing.assert_array_equal(share["label"], TRAIN["label"][chosen])
    np.testing.assert_array_equal(share["passage"], TRAIN["passage"][chosen])
    pointed = np.unique(TRAIN["window"][chosen])
    assert len(share["condition"]) == len(pointed)
    if "gps" in sensors:
        np.testing.assert_array_equal(share["gps"], TRAIN["gps"][pointed])
    if "image" in sensors:
        assert len(share["mask"]) == len(np.unique(TRAIN["mask_index"][chosen]))
    for sensor in sensors if len(chosen) else ():
        np.testing.assert_array_equal(whole(share, sensor), whole(TRAIN, sensor)[chosen])
    np.testing.assert_array_equal(
        windows_of(share, ()).condition_W, windows_of(TRAIN, ()).condition_W[chosen]
    )


@given(SUBSETS, st.integers(0, 14), st.integers(0, 14))
def test_a_slice_of_a_share_is_the_share_of_a_slice(chosen, start, length):
    chosen = np.array(chosen, np.int64)
    share = taken(TRAIN, chosen, SENSORS)
    assert_same(
        windows_between(share, start, start + length),
        taken(TRAIN, chosen[start : start + length], SENSORS),
    )


@settings(max_examples=times(25))
@given(SUBSETS, st.lists(st.integers(0, 9), unique=True, max_size=5))
def test_two_shares_together_show_the_windows_of_both_in_turn(one, other):
    foreign = street(6, 2, 100)
    parts = [
        taken(split, np.array(chosen, np.int64), SENSORS)
        for split, chosen in ((TRAIN, one), (foreign, other))
    ]
    both = windows_together(*parts)
    assert both.keys() == parts[0].keys()
    for name, array in both.items():
        assert array.dtype == parts[0][name].dtype
    for sensor in SENSORS if one and other else ():
        expected = np.concatenate([whole(part, sensor) for part in parts])
        np.testing.assert_array_equal(whole(both, sensor), expected)
    again = windows_between(both, len(one), len(one) + len(other))
    assert_same(again, taken(both, np.arange(len(one), len(one) + len(other)), SENSORS))
    np.testing.assert_array_equal(again["gps"], parts[1]["gps"])


def test_what_is_left_of_fewer_sensors_is_what_would_have_been_taken_for_them():
    share = taken(TRAIN, np.arange(9), SENSORS)
    for sensors in (("image",), ("radar",), ("image", "gps")):
        assert_same(with_sensors(share, sensors), taken(TRAIN, np.arange(9), sensors))


@pytest.mark.parametrize("value", [-1, 10**6])
@pytest.mark.parametrize("name", ["window", "mask_index"])
def test_a_window_over_frames_that_are_not_there_is_found(name, value):
    share = taken(TRAIN, np.arange(9), SENSORS)
    assert TASK.sample_misfit(share) == ""
    share[name][4, 2] = value
    assert name in pointing_nowhere(share)


@given(
    st.floats(0.1, 0.9),
    st.floats(0.0, 0.9),
    st.sampled_from(["area", "beam", "condition"]),
    st.integers(1, 4),
    st.integers(0, 50),
)
def test_every_passage_is_on_one_node(share, skew, partition, num_edges, seed):
    by = {"partition": "area"}
    if partition != "area":
        by = {"partition": "dirichlet", "partition_label": partition}
    params = networked(
        server_share=share, partition_skew=skew, num_edges=num_edges, data_seed=seed, **by
    )
    try:
        shares = TASK.share_out(params, TRAIN, "train")
    except ConfigError:
        return  # somebody would have had nothing
    nodes = [shares.server, *shares.edges]
    owned = [passages_of(node) for node in nodes]
    assert len(shares.edges) == num_edges
    assert sum(len(one) for one in owned) == len(set().union(*owned)) == 16
    assert sum(len(node["label"]) for node in nodes) == COUNT


@pytest.mark.parametrize("families", ["same", "mixed"])
@pytest.mark.parametrize("topology", ["decentralized", "semi-centralized"])
def test_shares_are_what_nodes_and_messages_take(families, topology):
    params = networked(topology, edge_families=families, method="response")
    shares = TASK.share_out(params, TRAIN, "train")
    held = []
    for edge, share in enumerate(shares.edges):
        specs = TASK.sample_tensors(TASK.edge_params(params, edge), {})
        assert share.keys() == specs.keys()
        assert not [name for name, spec in specs.items() if spec.misfit(share[name])]
        held.append(sensors_in(share))
    both = ["image", "radar"]
    students = [["image"], ["radar"], both] if families == "mixed" else [["image"]] * 3
    # A teacher that is sent to an edge is to see there what it has learnt to see.
    assert held == (students if topology == "semi-centralized" else [both] * 3)
    assert sensors_in(shares.server) == both


def test_only_the_training_split_is_cut_and_passages_come_in_random_order():
    whole_shares = TASK.share_out(networked(), TRAIN, "train")
    cut = TASK.share_out(networked(edge_samples=7), TRAIN, "train")
    for one, other in zip(whole_shares.edges, cut.edges, strict=True):
        assert_same(other, windows_between(one, 0, 7))
    order = list(dict.fromkeys(whole_shares.server["passage"].tolist()))
    assert len(order) > 4
    assert order != sorted(order)
    one, other = (
        TASK.share_out(networked(edge_samples=samples), DATA.val, "val") for samples in (0, 7)
    )
    for ours, theirs in zip(one.edges, other.edges, strict=True):
        assert_same(ours, theirs)


def test_nodes_are_judged_on_all_that_they_could_meet():
    shares = TASK.share_out(networked(), DATA.val, "val")
    assert passages_of(shares.server) == set(range(100, 106))
    assert set().union(*map(passages_of, shares.edges)) == set(range(100, 106))


def test_what_the_server_has_does_not_depend_on_the_edges():
    server = TASK.share_out(networked(), TRAIN, "train").server
    for changes in ({"num_edges": 2}, {"partition": "dirichlet"}, {"edge_samples": 5}):
        assert_same(TASK.share_out(networked(**changes), TRAIN, "train").server, server)


def test_areas_are_those_of_the_middle_beam():
    split = street(60, 7)
    params = networked(partition_skew=1.0, num_edges=2, server_share=0.05)
    left, right = (
        [share["label"][share["passage"] == p].mean() for p in passages_of(share)]
        for share in TASK.share_out(params, split, "val").edges
    )
    assert max(left) < 32.0 <= min(right)


def test_with_full_skew_a_condition_is_on_one_node():
    params = networked(
        partition="dirichlet", partition_label="condition", partition_skew=1.0, num_edges=3
    )
    edges = TASK.share_out(params, street(60, 7), "val").edges
    seen = [set(share["condition"].tolist()) for share in edges]
    assert sum(len(one) for one in seen) == len(set().union(*seen)) == 3


def test_errors_name_what_to_change():
    lonely = {"partition_skew": 1.0, "num_edges": 16}
    with pytest.raises(
        ConfigError, match=r"edge \d+ has no passage to train on: lower num_edges=16"
    ):
        TASK.share_out(networked(**lonely), TRAIN, "train")
    TASK.share_out(networked(**lonely), TRAIN, "val")
    with pytest.raises(ConfigError, match=r"the server has no passage .* server_share=0.001"):
        TASK.share_out(networked(server_share=0.001), TRAIN, "train")
    blind = {**TRAIN, "condition": np.full_like(TRAIN["condition"], -1)}
    by = {"partition": "dirichlet", "partition_label": "condition"}
    with pytest.raises(ConfigError, match="partition_label='condition': the data know no"):
        TASK.share_out(networked(**by), blind, "train")


def test_each_edge_has_a_scenario_where_there_are_several():
    scene = np.arange(len(TRAIN["passage"])) % 2
    split = {**TRAIN, "passage": TRAIN["passage"] + (scene * SCENE_STEP).astype(np.int32)}
    by_area = {"partition": "area", "partition_skew": 1.0}
    shares = TASK.share_out(networked(num_edges=2, **by_area), split, "train")
    for edge, share in enumerate(shares.edges):
        assert {passage // SCENE_STEP for passage in passages_of(share)} == {edge}
    assert {passage // SCENE_STEP for passage in passages_of(shares.server)} == {0, 1}
    with pytest.raises(ConfigError, match=r"num_edges=3.* 2 scenarios.*set num_edges to 2"):
        TASK.share_out(networked(num_edges=3, **by_area), split, "train")
