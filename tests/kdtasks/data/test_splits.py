import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tried import times

from kdtasks.contract.errors import DataError
from kdtasks.data.splits import SPLITS, SplitPlan, manifest, share_within, split_by_position


def positions(seed, count=400, side=60.0):
    return np.random.default_rng(seed).uniform(-side, side, (count, 2))


def squares(points, cell_m):
    return {tuple(square) for square in np.floor(points / cell_m).astype(int)}


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**40),
    st.tuples(st.integers(1, 200), st.integers(1, 60), st.integers(1, 60)),
    st.floats(2.0, 15.0),
)
def test_counts_are_exact_and_no_square_is_in_two_splits(seed, split_seed, counts, cell_m):
    points = positions(seed)
    plan = SplitPlan(cell_m=cell_m, counts=counts, seed=split_seed)
    try:
        chosen = split_by_position(points, plan)
    except DataError:
        assume(False)
    assert tuple(len(chosen[name]) for name in SPLITS) == counts
    seen = {name: squares(points[index], cell_m) for name, index in chosen.items()}
    assert not (seen["train"] & seen["val"])
    assert not (seen["train"] & seen["test"])
    assert not (seen["val"] & seen["test"])
    everything = np.concatenate(list(chosen.values()))
    assert len(np.unique(everything)) == plan.total


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 5.0), st.floats(2.0, 15.0))
@settings(max_examples=times(30))
def test_the_guard_keeps_val_and_test_away_from_train(seed, guard_m, cell_m):
    plan = SplitPlan(cell_m=cell_m, counts=(100, 30, 30), seed=seed, guard_m=guard_m)
    points = positions(seed, plan.to_draw)
    try:
        chosen = split_by_position(points, plan)
    except DataError:
        assume(False)
    assert tuple(len(chosen[name]) for name in SPLITS) == plan.counts
    for name in ("val", "test"):
        apart = points[chosen[name]][:, None] - points[chosen["train"]]
        assert np.linalg.norm(apart, axis=-1).min() > guard_m
        assert share_within(guard_m, points[chosen[name]], points[chosen["train"]]) == 0.0


@given(st.integers(0, 99), st.floats(0.1, 50.0))
@settings(max_examples=times(20))
def test_the_share_within_a_distance_is_that_of_all_pairs(seed, distance_m):
    some, others = positions(seed, 30), positions(seed + 100, 20)
    apart = np.linalg.norm(some[:, None] - others, axis=-1)
    expected = (apart <= distance_m).any(axis=1).mean()
    assert share_within(distance_m, some, others) == pytest.approx(expected)


def test_it_follows_from_the_seed():
    plan = SplitPlan(cell_m=10.0, counts=(200, 50, 50), seed=3)
    one, same = (split_by_position(positions(1), plan) for _ in range(2))
    other = split_by_position(positions(1), SplitPlan(cell_m=10.0, counts=plan.counts, seed=4))
    for name in SPLITS:
        np.testing.assert_array_equal(one[name], same[name])
    assert not np.array_equal(one["test"], other["test"])


def test_splits_cover_the_whole_site_and_not_one_corner_each():
    plan = SplitPlan(cell_m=5.0, counts=(2000, 500, 500), seed=0)
    points = positions(0, 4000)
    for index in split_by_position(points, plan).values():
        assert np.abs(points[index].mean(axis=0)).max() < 10.0
        assert points[index].std(axis=0).min() > 30.0


def test_more_samples_than_positions_are_refused_with_their_number():
    plan = SplitPlan(cell_m=5.0, counts=(400, 50, 50), seed=0)
    with pytest.raises(DataError, match=r"only \d+ of 400 train samples .*cell_m"):
        split_by_position(positions(0), plan)


@pytest.mark.parametrize("name", ["val", "test"])
def test_a_held_out_split_that_takes_everything_is_refused(name):
    counts = tuple(400 if name == other else 1 for other in SPLITS)
    with pytest.raises(DataError, match="draw more positions"):
        split_by_position(positions(0), SplitPlan(cell_m=5.0, counts=counts, seed=0))


@pytest.mark.parametrize("cell_m", [100.0, 1e6])
def test_too_few_squares_are_refused(cell_m):
    points = positions(0, side=50.0) + np.array([50.0, 0.0])
    with pytest.raises(DataError, match=r"squares of .* at least 3"):
        split_by_position(points, SplitPlan(cell_m=cell_m, counts=(1, 1, 1), seed=0))


def test_the_manifest_is_json_and_tells_which_squares():
    points = positions(2)
    plan = SplitPlan(cell_m=10.0, counts=(200, 50, 50), seed=3)
    chosen = split_by_position(points, plan)
    record = json.loads(json.dumps(manifest(points, plan, chosen)))
    assert record["samples"] == {"train": 200, "val": 50, "test": 50}
    assert (record["by"], record["cell_m"], record["seed"]) == ("position", 10.0, 3)
    for name in SPLITS:
        assert {tuple(s) for s in record["squares"][name]} == squares(points[chosen[name]], 10.0)
