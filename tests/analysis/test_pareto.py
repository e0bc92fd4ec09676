"""Laws of dominance, ranks and hypervolume."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis.pareto import (
    behind_front,
    directions_of,
    front_mask,
    hypervolume,
    ranks,
    sweep_front,
    sweep_hypervolume,
    sweep_hypervolume_series,
    sweep_ranks,
    transformed,
)
from search_spaces.objectives import Objective

shapes = st.tuples(st.integers(0, 12), st.integers(1, 5))
# few distinct values, so that ties and duplicates are common
points = arrays(np.float64, shapes, elements=st.integers(0, 3).map(float))
orders = st.randoms(use_true_random=False)


def directions(values, random):
    return [random.choice(["minimize", "maximize"]) for _ in range(values.shape[1])]


def dominates(one, other, ways):
    """Second implementation, by the definition: nowhere worse and somewhere better."""
    signs = [1.0 if way == "minimize" else -1.0 for way in ways]
    pairs = [(s * a, s * b) for s, a, b in zip(signs, one, other, strict=True)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


@given(points, orders)
def test_front_is_what_nothing_dominates(values, random):
    ways = directions(values, random)
    expected = [not any(dominates(q, p, ways) for q in values) for p in values]
    assert front_mask(values, ways).tolist() == expected


@given(points, orders)
def test_ranks_peel_front_after_front(values, random):
    ways = directions(values, random)
    rank = ranks(values, ways)
    left = np.ones(len(values), dtype=bool)
    for level in range(len(values)):
        on = np.flatnonzero(left)[front_mask(values[left], ways)]
        assert set(on) == set(np.flatnonzero(rank == level))
        left[on] = False
    assert not left.any()


@given(points, orders)
def test_front_does_not_depend_on_order(values, random):
    ways = directions(values, random)
    order = np.array(random.sample(range(len(values)), len(values)), dtype=int)
    assert (front_mask(values, ways)[order] == front_mask(values[order], ways)).all()
    assert (ranks(values, ways)[order] == ranks(values[order], ways)).all()


@given(points, orders)
def test_front_of_the_front_is_itself(values, random):
    ways = directions(values, random)
    assert front_mask(values[front_mask(values, ways)], ways).all()


@given(points, orders)
def test_every_dominated_point_has_a_dominator_on_the_front(values, random):
    ways = directions(values, random)
    on = front_mask(values, ways)
    for point in values[~on]:
        assert any(dominates(other, point, ways) for other in values[on])


@given(points, orders)
def test_turning_every_objective_round_changes_nothing(values, random):
    ways = directions(values, random)
    turned = ["minimize" if way == "maximize" else "maximize" for way in ways]
    assert (front_mask(values, ways) == front_mask(-values, turned)).all()
    corner = [4.0 if way == "minimize" else -1.0 for way in ways]
    volume = hypervolume(values, ways, corner)
    assert volume == pytest.approx(hypervolume(-values, turned, [-c for c in corner]))


@pytest.mark.parametrize("steps", [1, 2, 5, 40])
def test_hypervolume_of_a_staircase(steps):
    """The points (k, n - 1 - k) dominate n (n + 1) / 2 unit squares below (n, n)."""
    values = [(k, steps - 1 - k) for k in range(steps)]
    volume = hypervolume(values, ["minimize", "minimize"], [steps, steps])
    assert volume == pytest.approx(steps * (steps + 1) / 2)


@given(points, orders)
def test_hypervolume_counts_unit_cells(values, random):
    """Second implementation: on an integer grid the volume is the number of dominated cells."""
    ways = ["minimize"] * values.shape[1]
    cells = np.indices((4,) * values.shape[1]).reshape(values.shape[1], -1).T
    covered = (values[:, None, :] <= cells[None]).all(-1).any(0).sum() if len(values) else 0
    assert hypervolume(values, ways, [4.0] * values.shape[1]) == pytest.approx(covered)


@given(points, orders)
def test_only_the_front_carries_volume_and_the_series_never_falls(values, random):
    ways = directions(values, random)
    corner = [4.0 if way == "minimize" else -1.0 for way in ways]
    goals = [
        Objective(metric=f"goal_{i}", direction=way, unit="", reference=end, label=way)
        for i, (way, end) in enumerate(zip(ways, corner, strict=True))
    ]
    series = sweep_hypervolume_series(values, goals)
    assert len(series) == len(values)
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(series))
    for count, volume in enumerate(series, start=1):
        assert volume == pytest.approx(hypervolume(values[:count], ways, corner))


def test_points_beyond_the_reference_add_nothing():
    ways = ["minimize", "maximize"]
    inside = hypervolume([(1.0, 2.0)], ways, (3.0, 0.0))
    assert inside == pytest.approx(4.0)
    beyond = [(1.0, 2.0), (5.0, 9.0), (3.0, 3.0), (0.0, -1.0)]
    assert hypervolume(beyond, ways, (3.0, 0.0)) == pytest.approx(inside)


def test_no_points():
    assert front_mask([], ["minimize"] * 3).tolist() == []
    assert ranks([], ["minimize"]).tolist() == []
    assert hypervolume([], ["minimize"] * 2, (1.0, 1.0)) == 0.0
    assert sweep_hypervolume_series([], objectives()) == []


def test_all_duplicates_of_a_front_point_are_kept():
    values = [(0.0, 1.0), (0.0, 1.0), (1.0, 1.0)]
    assert front_mask(values, ["minimize"] * 2).tolist() == [True, True, False]
    assert ranks(values, ["minimize"] * 2).tolist() == [0, 0, 1]


@pytest.mark.parametrize("function", [front_mask, ranks])
def test_nan_and_wrong_shapes_are_refused(function):
    with pytest.raises(ValueError, match="NaN"):
        function([(0.0, float("nan"))], ["minimize"] * 2)
    with pytest.raises(ValueError, match="shape"):
        function([(0.0, 1.0)], ["minimize"] * 3)


def test_nan_reference_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        hypervolume([(0.0, 1.0)], ["minimize"] * 2, (float("nan"), 2.0))


def objectives():
    error = Objective(
        metric="val_nmse_db", direction="minimize", unit="dB", reference=0.0, label="NMSE"
    )
    flops = Objective(
        metric="ue_flops",
        direction="minimize",
        unit="FLOPs",
        reference=1e6,
        label="FLOPs",
        scale="log",
    )
    return [error, flops]


def test_log_objectives_are_measured_in_decades():
    values = [(-5.0, 1e4), (-2.0, 1e3)]
    np.testing.assert_allclose(transformed(values, objectives()), [(-5.0, 4.0), (-2.0, 3.0)])
    # 5 dB x 2 decades, and 2 dB x 1 decade more
    assert sweep_hypervolume(values, objectives()) == pytest.approx(12.0)
    np.testing.assert_allclose(sweep_hypervolume_series(values, objectives()), [10.0, 12.0])
    with pytest.raises(ValueError, match="ue_flops"):
        transformed([(-5.0, -1.0)], objectives())


def objective(scale="linear", direction="minimize"):
    return Objective(
        metric="m", direction=direction, unit="", reference=1e9, label="m", scale=scale
    )


def goals_of(values, random, scale="linear"):
    return [
        Objective(metric=f"m{k}", direction=way, unit="", reference=9.0, scale=scale)
        for k, way in enumerate(directions(values, random))
    ]


tolerated = st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=5, max_size=5)


def tolerant(values, random, tolerances):
    pairs = zip(goals_of(values, random), tolerances, strict=False)
    return [replace(goal, tolerance=tolerance) for goal, tolerance in pairs]


@given(points, orders, tolerated)
def test_nothing_on_the_front_is_behind_it_and_all_else_is(values, random, tolerances):
    goals = tolerant(values, random, tolerances)
    found = behind_front(values, goals)
    assert ((found == 0.0) == sweep_front(values, goals)).all()
    assert (found >= 0.0).all()


@given(points, orders)
def test_moved_by_its_distance_a_point_is_nowhere_worse_than_a_member(values, random):
    """Second implementation, by the definition; a little less does not do."""
    goals = goals_of(values, random)
    on = front_mask(values, directions_of(goals))
    front = values[on]
    for point, distance in zip(values[~on], behind_front(values, goals)[~on], strict=True):
        reached = []
        for step in (distance * (1 + 1e-9), distance * (1 - 1e-6)):
            widths = [np.ptp(front[:, k]) or np.ptp(values[:, k]) for k in range(len(goals))]
            signs = [1.0 if goal.direction == "minimize" else -1.0 for goal in goals]
            moved = [s * p - step * w for s, p, w in zip(signs, point, widths, strict=True)]
            reached.append(
                any(
                    all(m <= s * f + 1e-12 for m, s, f in zip(moved, signs, member, strict=True))
                    for member in front
                )
            )
        assert reached == [True, False]


@given(points, orders, st.floats(0.1, 50.0), st.floats(-5.0, 5.0))
def test_units_do_not_decide_what_is_near(values, random, factor, offset):
    goals = goals_of(values, random)
    moved = behind_front(values * factor + offset, goals)
    assert moved == pytest.approx(behind_front(values, goals), abs=1e-9)


def test_a_log_scale_is_measured_in_decades():
    goal = Objective(metric="error", direction="minimize", unit="", reference=9.0)
    log = [goal, replace(goal, metric="flops", scale="log")]
    values = [(0.0, 1e6), (4.0, 1e2), (4.0, 1e3)]
    assert behind_front(values, log) == pytest.approx([0.0, 0.0, 0.25])
    assert behind_front(np.empty((0, 2)), log).tolist() == []


def better(one, other, goals):
    """Second implementation of what pushes a point off the front, by the definition."""
    ways = [goal.direction for goal in goals]
    if dominates(one, other, ways):
        return True
    signs = [1.0 if way == "minimize" else -1.0 for way in ways]
    gains = [s * (b - a) for s, a, b in zip(signs, one, other, strict=True)]
    limits = [goal.tolerance for goal in goals]
    if any(g < -t for g, t in zip(gains, limits, strict=True)):
        return False
    if not any(g > t for g, t in zip(gains, limits, strict=True)):
        return False
    exact = any(g > 0.0 for g, t in zip(gains, limits, strict=True) if t == 0.0)
    return exact or sum(g / t for g, t in zip(gains, limits, strict=True) if t) > 0.0


@given(points, orders, tolerated)
def test_the_front_is_the_one_set_without_better_members_that_is_better_than_the_rest(
    values, random, tolerances
):
    goals = tolerant(values, random, tolerances)
    on = sweep_front(values, goals)
    for point in values[on]:
        assert not any(better(other, point, goals) for other in values[on])
    for point in values[~on]:
        assert any(better(other, point, goals) for other in values[on])
    assert on.any() == bool(len(values))


@given(points, orders, tolerated)
def test_a_tolerance_takes_from_the_front_and_adds_nothing(values, random, tolerances):
    goals = tolerant(values, random, tolerances)
    plain = front_mask(values, directions_of(goals))
    on = sweep_front(values, goals)
    assert not (on & ~plain).any()
    none = [replace(goal, tolerance=0.0) for goal in goals]
    assert (sweep_front(values, none) == plain).all()
    assert (sweep_ranks(values, none) == ranks(values, directions_of(goals))).all()
    assert (sweep_front(values[plain], goals) == on[plain]).all()
    if not len(values):
        return
    costs = values * [1.0 if goal.direction == "minimize" else -1.0 for goal in goals]
    for column, goal in zip(costs.T, goals, strict=True):
        assert column[on].min() <= column.min() + goal.tolerance


@given(points, orders, tolerated)
def test_neither_the_order_of_rows_nor_of_objectives_decides_on_tolerant_ranks(
    values, random, tolerances
):
    goals = tolerant(values, random, tolerances)
    rank = sweep_ranks(values, goals)
    assert ((rank == 0) == sweep_front(values, goals)).all()
    assert (rank >= ranks(values, directions_of(goals))).all()
    rows = np.array(random.sample(range(len(values)), len(values)), dtype=int)
    assert (sweep_ranks(values[rows], goals) == rank[rows]).all()
    turned = random.sample(range(len(goals)), len(goals))
    assert (sweep_ranks(values[:, turned], [goals[k] for k in turned]) == rank).all()


def test_three_points_that_push_each_other_off_the_front_stay_on_it():
    """Additive epsilon-dominance alone runs in a circle here and would leave nobody."""
    goals = [replace(objective(), metric=f"m{k}", tolerance=1.0) for k in range(3)]
    circle = [(0.0, 0.75, 1.5), (0.75, 1.5, 0.0), (1.5, 0.0, 0.75)]
    assert sweep_front(circle, goals).tolist() == [True] * 3
    # gains outweigh losses: 1.5 against 0.5 and 0.5
    assert sweep_front([(0.0, 0.5, 0.5), (1.5, 0.0, 0.0)], goals).tolist() == [True, False]


def test_noise_in_a_latency_leaves_the_front():
    error, flops = objectives()
    latency = replace(error, metric="latency_ms", unit="ms", reference=9.0, tolerance=0.1)
    values = [(-9.0, 1e4, 1.03), (-8.0, 1e4, 0.98), (-7.0, 1e4, 1.0), (-6.0, 1e3, 1.01)]
    goals = [error, flops, latency]
    assert front_mask(values, directions_of(goals)).tolist() == [True, True, False, True]
    assert sweep_front(values, goals).tolist() == [True, False, False, True]
    assert sweep_ranks(values, goals).tolist() == [0, 1, 2, 0]
    # what is worth more than the tolerance counts as ever
    assert sweep_front([*values, (-5.0, 1e4, 0.87)], goals).tolist() == [
        True,
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(("latency", "on"), [(1.05, [True, False]), (1.0501, [True, True])])
def test_on_a_log_scale_a_tolerance_is_a_share(latency, on):
    goals = [objective(), replace(objective("log"), metric="ms", tolerance=0.05)]
    for unit in (1.0, 1e-6, 1e6):
        assert sweep_front([(-9.0, latency * unit), (-8.0, unit)], goals).tolist() == on


@pytest.mark.parametrize("shift", [0.0, 1.0, 100.1, -0.3, 1e4])
def test_a_difference_of_just_the_tolerance_is_equal_whatever_rounding_makes_of_it(shift):
    goals = [objective(), replace(objective(), metric="ms", tolerance=0.05)]
    assert sweep_front([(-9.0, shift + 0.05), (-8.0, shift)], goals).tolist() == [True, False]
