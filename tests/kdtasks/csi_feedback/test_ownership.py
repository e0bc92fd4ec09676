"""Who owns which samples: nobody's are used twice, none is lost, every split has one rule."""

import math

import numpy as np
import pytest
from csi_examples import TASK
from csi_network_examples import networked
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import ConfigError
from kdtasks.csi_feedback.data.angular_delay import strongest_beam


def split_of(count=300, seed=0, stale=False):
    """Pictures that hold their own index, users all over the half plane."""
    rng = np.random.default_rng(seed)
    pictures = rng.uniform(0.4, 0.6, (count, 2, 8, 8)).astype(np.float32)
    pictures[:, 0, 0, 0] = 0.5 + 1e-4 * np.arange(count)
    angle = rng.uniform(-math.pi / 2, math.pi / 2, count)
    positions = 50.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    split = {"pictures": pictures, "positions": positions.astype(np.float32)}
    return {**split, "stale_pictures": pictures + 0.1} if stale else split


SPLIT = split_of()


def indices(share):
    return np.rint(1e4 * (share["pictures"][:, 0, 0, 0] - 0.5)).astype(int).tolist()


def owned(name="train", split=SPLIT, **changes):
    shares = TASK.share_out(networked(**changes), split, name)
    return indices(shares.server), [indices(edge) for edge in shares.edges]


@given(
    st.floats(0.05, 0.9),
    st.floats(0.0, 0.9),
    st.sampled_from(["area", "dirichlet"]),
    st.integers(1, 4),
    st.integers(0, 50),
)
def test_shares_are_disjoint_and_cover(share, skew, partition, num_edges, seed):
    try:
        server, edges = owned(
            server_share=share,
            partition=partition,
            partition_skew=skew,
            num_edges=num_edges,
            data_seed=seed,
        )
    except ConfigError:
        return  # somebody would have had nothing
    everybody = sorted(sum(edges, server))
    assert everybody == list(range(300))
    assert len(edges) == num_edges


def test_shares_are_what_nodes_and_messages_take():
    shares = TASK.share_out(networked(), SPLIT, "train")
    for share in (shares.server, *shares.edges):
        assert share.keys() == {"pictures"}
        assert share["pictures"].dtype == np.float32
        assert share["pictures"].flags.c_contiguous


def test_edges_know_their_own_sector():
    shares = TASK.share_out(networked(server_share=0.1), SPLIT, "val")
    for number, edge in enumerate(shares.edges):
        x, y = SPLIT["positions"][indices(edge)].T
        sector = np.floor((np.arctan2(y, x) / math.pi + 0.5) * 3)
        assert set(sector) == {number}


def test_dirichlet_goes_by_the_strongest_beam():
    _, edges = owned(partition="dirichlet", partition_skew=0.99, num_edges=2, server_share=0.1)
    beams = [set(strongest_beam(SPLIT["pictures"][edge])) for edge in edges]
    _, mixed = owned(partition="dirichlet", partition_skew=0.0, num_edges=2, server_share=0.1)
    shared = [set(strongest_beam(SPLIT["pictures"][edge])) for edge in mixed]
    assert len(beams[0] & beams[1]) < len(shared[0] & shared[1])


def test_only_the_training_split_is_cut():
    _, whole = owned("train")
    _, cut = owned("train", edge_samples=7)
    assert cut == [edge[:7] for edge in whole]
    for name in ("val", "test"):
        assert owned(name, edge_samples=7) == owned(name)


def test_nodes_are_judged_on_all_that_they_could_meet():
    server, edges = owned("val", server_coverage=0.5)
    assert sorted(index for edge in edges for index in edge) == list(range(300))
    assert set(server) == set(np.flatnonzero(SPLIT["positions"][:, 1] <= 0.0))


def test_what_is_cut_is_no_piece_of_a_track():
    _, cut = owned("train", edge_samples=20, num_edges=1)
    assert cut[0] != sorted(cut[0])
    assert max(cut[0]) > 150


def test_what_the_server_has_does_not_depend_on_the_edges():
    server, _ = owned()
    for changes in ({"num_edges": 5}, {"partition": "dirichlet"}, {"edge_samples": 5}):
        assert owned(**changes)[0] == server


def test_a_server_that_covers_less_takes_nothing_from_the_edges():
    server, edges = owned()
    seen, same = owned(server_coverage=0.5)
    assert same == edges
    assert set(seen) < set(server)
    assert (SPLIT["positions"][seen][:, 1] <= 0.0).all()


def test_old_data_are_the_servers_alone():
    shares = TASK.share_out(networked(server_age=0.5), split_of(stale=True), "train")
    assert min(indices(shares.server)) >= 1000
    assert max(max(indices(edge)) for edge in shares.edges) < 1000


def test_a_server_without_samples_to_be_judged_on_is_no_error():
    unseen = np.flatnonzero(SPLIT["positions"][:, 1] > 1.0)[:40]
    few = {name: array[unseen] for name, array in SPLIT.items()}
    changes = {"server_coverage": 0.5, "num_edges": 1}
    assert owned("val", few, **changes)[0] == []
    with pytest.raises(ConfigError, match=r"the server has 0 training samples: raise server_share"):
        owned("train", few, **changes)


def test_an_edge_with_too_few_samples_to_train_on_is_refused():
    changes = {"num_edges": 2, "server_share": 0.5}
    _, edges = owned(**changes)
    lonely = {key: array.copy() for key, array in SPLIT.items()}
    lonely["positions"][:] = (1.0, -50.0)  # all move to the other edge, but for one
    lonely["positions"][edges[1][0]] = SPLIT["positions"][edges[1][0]]
    with pytest.raises(ConfigError, match=r"edge 1 has 1 training samples: lower num_edges=2"):
        owned("train", lonely, **changes)
    assert owned("val", lonely, **changes)[1][1] == edges[1][:1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "partition='area' needs to know where users are.*take partition dirichlet"),
        (
            {"partition": "dirichlet", "server_coverage": 0.5},
            r"server_coverage=0.5 needs to know where users are.*leave it at 1",
        ),
    ],
)
def test_data_without_positions_are_refused(changes, message):
    nowhere = {"pictures": SPLIT["pictures"]}
    with pytest.raises(ConfigError, match=message):
        owned("train", nowhere, **changes)
    owned("train", nowhere, partition="dirichlet", partition_skew=0.0)
