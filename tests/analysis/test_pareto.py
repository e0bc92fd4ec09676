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
    hypervolume_series,
    knee,
    ranks,
    sweep_hypervolume,
    sweep_hypervolume_series,
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
    series = hypervolume_series(values, ways, corner)
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
    assert hypervolume_series([], ["minimize"] * 2, (1.0, 1.0)) == []


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
        transformed([(-5.0, 0.0)], objectives())


def objective(scale="linear", direction="minimize"):
    return Objective(
        metric="m", direction=direction, unit="", reference=1e9, label="m", scale=scale
    )


def test_the_knee_is_nearest_to_the_best_of_both():
    goals = [objective(), objective("log")]
    assert knee([[-9.0, 1e7], [-8.0, 1e4], [-1.0, 1e3]], goals) == 1
    assert knee([[-9.0, 1e4], [-5.0, 8e3], [-1.0, 1e3]], goals) == 0
    assert knee([[-9.0, 1e7]], goals) == 0
    with pytest.raises(ValueError, match="empty front"):
        knee(np.empty((0, 2)), goals)


@given(
    values=arrays(np.float64, st.tuples(st.integers(1, 9), st.just(3)), elements=st.integers(0, 9)),
    shift=st.integers(-5, 5),
    factor=st.sampled_from([0.5, 2.0, 8.0]),
)
def test_the_knee_does_not_depend_on_units_or_signs(values, shift, factor):
    goals = [objective(), objective(), objective()]
    found = knee(values, goals)
    assert knee(values * factor + shift, goals) == found
    upward = [objective(direction="maximize")] * 3
    assert knee(-values, upward) == found
    # by a loop from the definition
    spread = [max(c) - min(c) or 1.0 for c in values.T]
    far = [
        sum(((v - min(c)) / s) ** 2 for v, c, s in zip(p, values.T, spread, strict=True))
        for p in values
    ]
    assert far[found] == pytest.approx(min(far))


def goals_of(values, random, scale="linear"):
    return [
        Objective(metric=f"m{k}", direction=way, unit="", reference=9.0, label="", scale=scale)
        for k, way in enumerate(directions(values, random))
    ]


@given(points, orders)
def test_nothing_on_the_front_is_behind_it_and_all_else_is(values, random):
    goals = goals_of(values, random)
    found = behind_front(values, goals)
    assert ((found == 0.0) == front_mask(values, directions_of(goals))).all()
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
    goal = Objective(metric="error", direction="minimize", unit="", reference=9.0, label="")
    log = [goal, replace(goal, metric="flops", scale="log")]
    values = [(0.0, 1e6), (4.0, 1e2), (4.0, 1e3)]
    assert behind_front(values, log) == pytest.approx([0.0, 0.0, 0.25])
    assert behind_front(np.empty((0, 2)), log).tolist() == []
