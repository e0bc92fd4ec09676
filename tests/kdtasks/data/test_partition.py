import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kdtasks.contract.errors import ConfigError
from kdtasks.csi_feedback.data.angular_delay import Scaling, strongest_beam
from kdtasks.data.partition import (
    by_area,
    by_dirichlet,
    by_modality,
    covered,
    label_shares,
    server_mask,
)

MANY = 4000
EDGES = st.integers(1, 12)
SHARES = st.floats(0.0, 1.0)
SEEDS = st.integers(0, 2**40)
METRES = st.floats(-200.0, 200.0, width=32)
POSITIONS = arrays.arrays(np.float32, st.tuples(st.integers(0, 60), st.just(2)), elements=METRES)
LABELS = arrays.arrays(np.int64, st.integers(0, 60), elements=st.integers(-3, 12))


def fan(count, seed=0):
    """Positions whose directions are uniform over the half plane."""
    rng = np.random.default_rng(seed)
    angle, distance = rng.uniform(-np.pi / 2, np.pi / 2, count), rng.uniform(10.0, 100.0, count)
    return np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=-1)


def labels(count, kinds=8, seed=0):
    return np.random.default_rng(seed).integers(0, kinds, count)


def angle_deg(position):
    return math.degrees(math.atan2(float(position[1]), float(position[0])))


def assert_uniform(owners, num_edges):
    """Each edge's count is binomial; five standard deviations."""
    counts = np.bincount(owners, minlength=num_edges)
    share = 1.0 / num_edges
    spread = math.sqrt(len(owners) * share * (1.0 - share))
    assert np.abs(counts - len(owners) * share).max() < 5.0 * spread


@given(st.integers(0, 200), SHARES, SHARES, SEEDS)
def test_a_larger_server_keeps_what_it_has(count, one, other, seed):
    low, high = sorted((one, other))
    few, more = server_mask(count, low, seed=seed), server_mask(count, high, seed=seed)
    assert few.shape == (count,)
    assert not (few & ~more).any()


def test_the_servers_share_is_met_and_its_ends_are_exact():
    assert server_mask(MANY, 0.3, seed=1).mean() == pytest.approx(0.3, abs=0.037)
    assert server_mask(MANY, 1.0, seed=1).all()
    assert not server_mask(MANY, 0.0, seed=1).any()
    assert (server_mask(MANY, 0.5, seed=1) != server_mask(MANY, 0.5, seed=2)).any()


def test_being_the_servers_states_nothing_about_the_edge():
    # Streams that were one would give the server's neighbours in the draw to the same edge.
    mask, owners = server_mask(MANY, 0.5, seed=3), by_area(fan(MANY), 4, 0.0, seed=3)
    assert_uniform(owners[mask], 4)
    assert_uniform(by_dirichlet(labels(MANY), 4, 0.0, seed=3)[mask], 4)


@given(POSITIONS, SHARES, SHARES)
def test_a_larger_coverage_contains_a_smaller_one(positions, one, other):
    low, high = sorted((one, other))
    assert not (covered(positions, low) & ~covered(positions, high)).any()
    assert covered(positions, 1.0).all()
    assert not covered(positions, 0.0).any()


def test_coverage_is_the_sector_that_it_states():
    positions = fan(500)
    seen = covered(positions, 0.35)
    for position, is_seen in zip(positions, seen, strict=True):
        assert is_seen == (angle_deg(position) < -90.0 + 180.0 * 0.35)
    assert seen.mean() == pytest.approx(0.35, abs=0.11)


def test_what_lies_behind_counts_to_its_side():
    behind = np.array([[-1.0, 5.0], [-1.0, -5.0], [-1e-9, 5.0], [-1e-9, -5.0]])
    assert covered(behind, 0.5).tolist() == [False, True, False, True]
    assert by_area(behind, 3, 1.0, seed=0).tolist() == [2, 0, 2, 0]


@given(POSITIONS, EDGES, SHARES, SEEDS)
def test_every_sample_has_one_edge(positions, num_edges, skew, seed):
    owners = by_area(positions, num_edges, skew, seed=seed)
    assert owners.shape == (len(positions),)
    assert owners.dtype == np.int64
    assert ((owners >= 0) & (owners < num_edges)).all()


@given(LABELS, EDGES, SHARES, SEEDS)
def test_every_labelled_sample_has_one_edge(labels_N, num_edges, skew, seed):
    owners = by_dirichlet(labels_N, num_edges, skew, seed=seed)
    assert owners.shape == labels_N.shape
    assert owners.dtype == np.int64
    assert ((owners >= 0) & (owners < num_edges)).all()


@given(POSITIONS, EDGES, SEEDS)
def test_full_skew_by_area_is_the_sector_alone(positions, num_edges, seed):
    order = np.random.default_rng(seed).permutation(len(positions))
    owners = by_area(positions, num_edges, 1.0, seed=seed)
    np.testing.assert_array_equal(by_area(positions, num_edges, 1.0, seed=seed + 1), owners)
    np.testing.assert_array_equal(
        by_area(positions[order], num_edges, 1.0, seed=seed), owners[order]
    )


def test_sectors_are_those_of_a_slow_scalar_rule():
    positions = fan(500)
    for position, owner in zip(positions, by_area(positions, 5, 1.0, seed=0), strict=True):
        assert -90.0 + 36.0 * owner <= angle_deg(position) < -90.0 + 36.0 * (owner + 1)


@given(SHARES, SHARES, SEEDS)
def test_more_skew_only_moves_samples_to_their_own_sector(one, other, seed):
    positions = fan(100)
    low, high = (by_area(positions, 4, skew, seed=seed) for skew in sorted((one, other)))
    home = by_area(positions, 4, 1.0, seed=seed)
    assert (high == np.where(high == home, home, low)).all()
    assert not ((low == home) & (high != home)).any()


def test_skew_by_area_is_the_probability_to_stay():
    positions = fan(MANY)
    home = by_area(positions, 4, 1.0, seed=0)
    for skew in (0.0, 0.4, 0.8):
        stays = np.mean(by_area(positions, 4, skew, seed=0) == home)
        # A uniform draw also hits home, once in four.
        assert stays == pytest.approx(skew + (1.0 - skew) / 4.0, abs=0.04)


def test_without_skew_edges_get_the_same():
    area = by_area(fan(MANY), 5, 0.0, seed=0)
    dirichlet = by_dirichlet(labels(MANY), 5, 0.0, seed=0)
    home = by_area(fan(MANY), 5, 1.0, seed=0)
    for part in range(5):
        assert_uniform(area[home == part], 5)
    for label in range(8):
        assert_uniform(dirichlet[labels(MANY) == label], 5)


@given(LABELS, EDGES, SEEDS)
def test_full_skew_by_label_gives_a_label_to_one_edge(labels_N, num_edges, seed):
    owners = by_dirichlet(labels_N, num_edges, 1.0, seed=seed)
    for label in set(labels_N.tolist()):
        assert len(set(owners[labels_N == label].tolist())) == 1


@given(st.integers(-5, 99), EDGES, SHARES, SEEDS)
def test_shares_are_a_distribution_at_any_skew(label, num_edges, skew, seed):
    shares = label_shares(label, num_edges, skew, seed=seed)
    assert shares.shape == (num_edges,)
    assert (shares >= 0.0).all()
    assert shares.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("skew", [0.1, 0.5, 0.9])
def test_shares_have_the_moments_of_their_dirichlet_distribution(skew):
    # Symmetric over E edges with concentration c: mean 1/E, variance (1/E)(1 - 1/E) / (E c + 1).
    num_edges, concentration = 4, (1.0 - skew) / skew
    drawn = np.array([label_shares(label, num_edges, skew, seed=0) for label in range(2000)])
    variance = 0.25 * 0.75 / (num_edges * concentration + 1.0)
    assert np.abs(drawn.mean(axis=0) - 0.25).max() < 5.0 * math.sqrt(variance / 2000)
    assert drawn.var() == pytest.approx(variance, rel=0.1)


def test_samples_of_a_label_are_drawn_by_its_shares():
    labels_N = np.full(MANY, 5)
    counts = np.bincount(by_dirichlet(labels_N, 4, 0.4, seed=7), minlength=4)
    shares = label_shares(5, 4, 0.4, seed=7)
    assert np.abs(counts / MANY - shares).max() < 5.0 * math.sqrt(0.25 / MANY)


def test_each_split_follows_the_same_shares():
    # Two splits with other samples, other sizes and other labels beside the shared ones.
    train, val = labels(6000, kinds=8, seed=1), labels(3000, kinds=5, seed=2)
    for label in range(5):
        one, other = (
            np.bincount(by_dirichlet(split, 4, 0.6, seed=9)[split == label], minlength=4)
            / np.sum(split == label)
            for split in (train, val)
        )
        assert np.abs(one - other).max() < 5.0 * math.sqrt(0.25 / 600 + 0.25 / 750)


@given(POSITIONS, LABELS, SHARES, SEEDS, st.data())
def test_more_samples_do_not_change_the_owners_of_those_before(
    positions, labels_N, skew, seed, data
):
    few = data.draw(st.integers(0, len(positions)))
    np.testing.assert_array_equal(
        by_area(positions[:few], 3, skew, seed=seed), by_area(positions, 3, skew, seed=seed)[:few]
    )
    few = data.draw(st.integers(0, len(labels_N)))
    np.testing.assert_array_equal(
        by_dirichlet(labels_N[:few], 3, skew, seed=seed),
        by_dirichlet(labels_N, 3, skew, seed=seed)[:few],
    )
    np.testing.assert_array_equal(
        server_mask(few, skew, seed=seed), server_mask(60, skew, seed=seed)[:few]
    )


@given(st.lists(st.text(max_size=3), min_size=1, max_size=9, unique=True), EDGES)
def test_inputs_are_dealt_out(modalities, num_edges):
    hands = by_modality(modalities, num_edges)
    dealt = Counter(name for hand in hands for name in hand)
    assert len(hands) == num_edges
    assert all(hand and len(set(hand)) == len(hand) for hand in hands)
    assert set(dealt) == set(modalities)
    assert max(dealt.values()) - min(dealt.values()) <= 1
    assert max(map(len, hands)) - min(map(len, hands)) <= 1


def test_inputs_are_dealt_in_turn():
    assert by_modality(("lidar", "camera", "gps"), 2) == (("lidar", "gps"), ("camera",))
    assert by_modality(("lidar", "camera"), 3) == (("lidar",), ("camera",), ("lidar",))


@given(
    arrays.arrays(
        np.complex64,
        st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 4)),
        elements=st.complex_numbers(max_magnitude=10.0, width=64),
    ).filter(lambda matrix: (np.linalg.norm(matrix, axis=(1, 2)) > 1e-3).all())
)
def test_the_strongest_beam_holds_the_most_power(matrix_NAC):
    beams = strongest_beam(Scaling(span=0.7).to_picture(matrix_NAC))
    for beam, matrix in zip(beams, matrix_NAC, strict=True):
        power = (np.abs(matrix.astype(complex)) ** 2).sum(axis=1)
        # Pictures are single precision around 0.5; bins as close as that are both right.
        assert power[beam] >= power.max() * (1.0 - 1e-4) - 1e-9


def test_a_plane_wave_has_its_beam():
    for beam in range(8):
        tones = np.exp(-2j * np.pi * beam * np.arange(8) / 8)[None, :, None] * np.ones((1, 8, 4))
        angular = np.fft.fft(tones, axis=1)
        assert strongest_beam(Scaling(span=1.0).to_picture(angular)).tolist() == [(8 - beam) % 8]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: server_mask(5, 1.5, seed=0), r"share=1\.5"),
        (lambda: server_mask(5, math.nan, seed=0), r"share=nan"),
        (lambda: server_mask(-1, 0.5, seed=0), r"count=-1"),
        (lambda: covered(fan(3), -0.1), r"coverage=-0\.1"),
        (lambda: covered(np.ones(4), 0.5), r"shape \(4,\): expected \[N, 2\]"),
        (lambda: covered(np.full((2, 2), np.nan), 0.5), "NaN or infinity"),
        (lambda: by_area(fan(3), 0, 0.5, seed=0), "num_edges=0"),
        (lambda: by_area(fan(3), 2, 2.0, seed=0), r"skew=2\.0"),
        (lambda: by_dirichlet(labels(3), -2, 0.5, seed=0), "num_edges=-2"),
        (lambda: by_dirichlet(labels(3), 2, -1.0, seed=0), r"skew=-1\.0"),
        (lambda: by_dirichlet(np.ones(3), 2, 0.5, seed=0), "type float64"),
        (lambda: by_dirichlet(np.ones((3, 1), int), 2, 0.5, seed=0), r"shape \(3, 1\)"),
        (lambda: by_modality((), 2), r"modalities=\[\]"),
        (lambda: by_modality(("gps", "gps"), 2), r"modalities=\['gps', 'gps'\]"),
        (lambda: by_modality(("gps",), 0), "num_edges=0"),
    ],
)
def test_impossible_values_are_named(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
