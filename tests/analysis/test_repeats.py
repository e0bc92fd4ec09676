"""Repetitions as points: which count, what seeds attain together, and chances from them."""

from dataclasses import replace
from itertools import product

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from synthetic_frames import make_frames, without_references
from tried import times

from analysis.attainment import attainment_difference, attainment_surfaces, led_volumes
from analysis.front_rows import front_rows, near_rows
from analysis.fronts import front_trials
from analysis.pareto import front_mask, hypervolume
from analysis.plots.front import front_figure, repeated_points
from analysis.plots.stairs import pairs
from analysis.repeats import Repeats, bootstrap_chances, front_chances, repeats, seed_sets
from search_spaces.objectives import Objective

DOWN = ("minimize", "minimize")
small = st.integers(0, 4).map(float)
set_lists = st.lists(
    st.integers(1, 4).flatmap(lambda size: arrays(np.float64, (size, 2), elements=small)),
    min_size=1,
    max_size=5,
)


def trial(number, *points):
    return Repeats(number, {seed: np.array(point, float) for seed, point in enumerate(points)})


def without(frames, keep):
    return replace(frames, confirmations=frames.confirmations[keep].reset_index(drop=True))


def test_repeated_trials_have_test_values_and_their_own_costs():
    frames = make_frames(near=2)
    runs = frames.confirmations
    found = repeats(frames)
    assert [one.number for one in found] == sorted(set(runs["number"]))
    for one in found:
        rows = runs[runs["number"] == one.number]
        flops = frames.trials.loc[frames.trials["number"] == one.number, "ue_flops"].item()
        for seed, point in one.by_seed.items():
            value = rows.loc[rows["param.seed"] == seed, "test_nmse_db"].item()
            assert point.tolist() == [value, flops]


def test_a_cost_that_was_measured_again_is_the_repetitions():
    frames = make_frames()
    runs = frames.confirmations.assign(ue_flops=np.arange(1.0, len(frames.confirmations) + 1.0))
    found = repeats(replace(frames, confirmations=runs))
    costs = sorted(float(point[1]) for one in found for point in one.by_seed.values())
    assert costs == sorted(runs["ue_flops"])


def test_one_seed_is_no_repetition_and_a_failed_run_counts_for_nothing():
    frames = make_frames()
    single = without(frames, frames.confirmations["param.seed"] == 101)
    assert repeats(single) == []
    assert front_chances(single) == {}
    assert seed_sets(single) == {}
    assert all(row["front_chance"] is None for row in front_rows(single))
    failed = frames.confirmations["test_nmse_db"].where(frames.confirmations["param.seed"] != 102)
    found = repeats(replace(frames, confirmations=frames.confirmations.assign(test_nmse_db=failed)))
    assert {frozenset(one.by_seed) for one in found} == {frozenset({101, 103})}


def test_a_seed_that_a_member_lacks_is_no_set_and_an_outsider_that_lacks_one_takes_no_part():
    frames = make_frames(near=2)
    member = front_trials(frames)["number"].iloc[0]
    outsider = near_rows(frames)[0]["trial"]
    runs = frames.confirmations
    assert set(seed_sets(frames)) == {101, 102, 103}
    assert {len(points) for points in seed_sets(frames).values()} == {len(repeats(frames))}
    fewer = seed_sets(without(frames, (runs["number"] != member) | (runs["param.seed"] != 102)))
    assert set(fewer) == {101, 103}
    assert {len(points) for points in fewer.values()} == {len(repeats(frames))}
    alone = seed_sets(without(frames, (runs["number"] != outsider) | (runs["param.seed"] != 102)))
    assert set(alone) == {101, 102, 103}
    assert {len(points) for points in alone.values()} == {len(repeats(frames)) - 1}


@settings(max_examples=times(40))
@given(set_lists, st.sampled_from([25, 50, 75, 100]), st.randoms(use_true_random=False))
def test_surfaces_reach_what_enough_sets_reach(sets, level, random):
    """Second implementation: count the sets at every point of the grid."""
    ways = [random.choice(["minimize", "maximize"]) for _ in range(2)]
    signs = np.array([1.0 if way == "minimize" else -1.0 for way in ways])
    (surface,) = attainment_surfaces([points * signs for points in sets], ways, [level])
    assert surface.count == int(np.ceil(len(sets) * level / 100))
    assert surface.total == len(sets)
    for place in product(range(6), repeat=2):
        count = sum(bool((points <= place).all(1).any()) for points in sets)
        reached = bool((surface.points * signs <= place).all(1).any())
        assert reached == (count >= surface.count)


def test_few_sets_share_surfaces_between_levels():
    one = np.zeros((1, 2))
    found = [(s.count, s.levels) for s in attainment_surfaces([one, one], DOWN)]
    assert found == [(1, (25, 50)), (2, (75,))]
    assert [s.count for s in attainment_surfaces([one] * 3, DOWN)] == [1, 2, 3]
    assert [s.count for s in attainment_surfaces([one] * 10, DOWN)] == [3, 5, 8]


@settings(max_examples=times(30))
@given(set_lists, set_lists, st.randoms(use_true_random=False))
def test_differences_are_those_of_shares_and_patches_do_not_overlap(first, second, random):
    """Second implementation: count the sets of both groups in the middle of every cell."""
    ways = [random.choice(["minimize", "maximize"]) for _ in range(2)]
    signs = np.array([1.0 if way == "minimize" else -1.0 for way in ways])
    turned = [[points * signs for points in sets] for sets in (first, second)]
    patches = attainment_difference(*turned, ways) * np.array([*signs, *signs, 1.0])
    for place in product(np.arange(0.5, 6.0), repeat=2):
        shares = [
            np.mean([(points <= place).all(1).any() for points in sets]) for sets in (first, second)
        ]
        inside = patches[(patches[:, :2] <= place).all(1) & (place < patches[:, 2:4]).all(1)]
        assert len(inside) <= 1
        assert inside[:, 4].sum() == pytest.approx(shares[0] - shares[1])


@given(set_lists, st.randoms(use_true_random=False))
def test_differences_agree_with_moocore(first, random):
    """Third implementation, for groups of one size; it fails where there is no difference."""
    second = [points[::-1] + random.choice([0.0, 1.0]) for points in first]
    ours = attainment_difference(first, second, DOWN)
    stacked = [
        np.column_stack(
            [np.concatenate(sets), np.repeat(np.arange(len(sets)), [len(s) for s in sets])]
        )
        for sets in (first, second)
    ]
    if len(ours):
        theirs = moocore.eafdiff(*stacked, rectangles=True)
        theirs[:, 4] /= len(first)
        expected = led_volumes(theirs, DOWN, [9.0, 9.0])
        assert led_volumes(ours, DOWN, [9.0, 9.0]) == pytest.approx(expected)


@given(set_lists, set_lists)
def test_leads_are_apart_by_the_mean_hypervolumes(first, second):
    leads = led_volumes(attainment_difference(first, second, DOWN), DOWN, [4.5, 4.5])
    means = [
        np.mean([hypervolume(points, DOWN, [4.5, 4.5]) for points in sets])
        for sets in (first, second)
    ]
    assert min(leads) >= 0.0
    assert leads[0] - leads[1] == pytest.approx(means[0] - means[1])
    back = led_volumes(attainment_difference(second, first, DOWN), DOWN, [4.5, 4.5])
    assert back == pytest.approx(leads[::-1])


def wanted(ways, tolerance=0.0):
    return [
        Objective(metric=f"m{k}", direction=way, unit="", reference=9.0, tolerance=tolerance)
        for k, way in enumerate(ways)
    ]


def exact_chances(found, ways):
    """Second implementation: every resample of every trial, each as likely as any other."""
    means = [
        [np.mean(drawn, axis=0) for drawn in product(one.values, repeat=len(one.values))]
        for one in found
    ]
    on = [front_mask(np.stack(points), ways) for points in product(*means)]
    return dict(zip([one.number for one in found], np.mean(on, axis=0), strict=True))


@pytest.mark.parametrize("ways", [DOWN, ("minimize", "maximize")])
def test_chances_are_those_of_all_resamples(ways):
    found = [
        trial(3, (1.0, 2.0), (2.0, 2.0), (4.0, 2.0)),
        trial(5, (2.0, 2.0), (3.0, 2.5)),
        trial(8, (0.5, 3.0), (2.5, 1.0)),
    ]
    assert bootstrap_chances(found, wanted(ways)) == pytest.approx(
        exact_chances(found, ways), abs=0.05
    )


def test_chances_of_what_cannot_change_are_certain():
    same = [trial(0, *[(0.1, 3.0)] * 3), trial(1, *[(0.1, 3.0)] * 2), trial(2, *[(0.1, 3.1)] * 3)]
    assert bootstrap_chances(same, wanted(DOWN)) == {0: 1.0, 1: 1.0, 2: 0.0}
    assert bootstrap_chances([], wanted(DOWN)) == {}
    near = [trial(0, *[(0.0, 3.0)] * 2), trial(1, *[(1.0, 2.9)] * 2)]
    assert bootstrap_chances(near, wanted(DOWN)) == {0: 1.0, 1: 1.0}
    assert bootstrap_chances(near, wanted(DOWN, tolerance=0.2)) == {0: 1.0, 1: 0.0}


@settings(max_examples=times(8))
@given(st.integers(0, 9), st.integers(1, 4))
def test_some_trial_is_always_on_the_front_and_draws_are_a_trials_own(seed, goals):
    rng = np.random.default_rng(seed)
    found = [trial(number, *rng.normal(size=(3, goals))) for number in range(4)]
    ways = wanted(["minimize"] * goals, tolerance=0.1)
    chances = bootstrap_chances(found, ways)
    assert sum(chances.values()) >= 1.0 - 1e-9
    assert chances == bootstrap_chances(found[::-1], ways)
    far = bootstrap_chances([*found, trial(9, *rng.normal(size=(2, goals)) + 99.0)], ways)
    assert far == {**chances, 9: 0.0}


def test_rows_near_the_front_show_their_distance():
    frames = make_frames(trials=60, near=3)
    found = near_rows(frames)
    behind = [row["behind"] for row in found]
    assert len(found) == 3
    assert behind == sorted(behind)
    assert behind[0] > 0.0
    on = {row["trial"] for row in front_rows(frames)}
    assert on.isdisjoint(row["trial"] for row in found)
    assert all(0.0 <= row["front_chance"] <= 1.0 for row in [*found, *front_rows(frames)])
    assert near_rows(make_frames(trials=60)) == near_rows(without_references(frames)) == []


@pytest.mark.parametrize(("objectives", "lines"), [(2, 3), (3, 0)])
def test_the_figure_has_surfaces_for_two_objectives_only(objectives, lines):
    frames = make_frames(objectives=objectives, near=2)
    pair = pairs(frames.study.objectives)[0]
    names = [trace.name or "" for trace in front_figure(frames, pair).data]
    assert sum(name.startswith("attained by") for name in names) == lines
    assert "off the front, on test" in names
    points = repeated_points(frames, pair)
    assert sum(not point.on_front for point in points) == 2


def test_seeds_that_share_a_teacher_are_drawn_as_one():
    goals = make_frames(trials=1).study.objectives
    near, far = ([-8.0, 1e3], [-7.0, 1e3]), ([-7.6, 1e3], [-7.2, 1e3])
    alone = bootstrap_chances([trial(0, *near), trial(1, *far)], goals)
    five = [trial(n, *[a] * 3, *[b] * 2) for n, (a, b) in enumerate((near, far))]
    shared = [replace(one, clusters=[[0, 1, 2], [3, 4]]) for one in five]
    assert bootstrap_chances(shared, goals) == alone
    assert bootstrap_chances(five, goals) != alone
