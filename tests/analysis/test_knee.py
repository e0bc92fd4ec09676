"""The knee of a front, and the costs that it counts once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis.knee import SAME, find_echoes, knee
from search_spaces.objectives import Objective


def objective(scale="linear", direction="minimize", metric="m", tolerance=0.0):
    return Objective(
        metric=metric,
        direction=direction,
        unit="",
        reference=1e9,
        label=metric,
        scale=scale,
        tolerance=tolerance,
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


def test_an_objective_that_differs_within_its_tolerance_does_not_move_the_knee():
    front = [[-9.0, 5.0, 1.02], [-2.0, 2.0, 1.01], [-1.0, 1.0, 1.0]]
    goals = [objective(metric=name) for name in "abc"]
    assert knee(front, goals) == 2
    goals[2] = objective(metric="c", tolerance=0.05)
    assert knee(front, goals) == 1 == knee([row[:2] for row in front], goals[:2])


def wanted(*scales, directions=None):
    ways = directions or ["minimize"] * len(scales)
    return [
        objective(scale, way, metric=f"m{k}")
        for k, (scale, way) in enumerate(zip(scales, ways, strict=True))
    ]


def ignored(values, goals, costs):
    return [(e.ignored.metric, e.kept.metric) for e in find_echoes(values, goals, costs)]


def test_a_cost_that_rises_with_an_earlier_one_is_left_out_and_moves_the_knee():
    flops = np.array([1.0, 5.0, 9.0, 13.0, 17.0])
    quality = np.array([0.0, -3.0, -6.0, -8.0, -10.0])
    noise = np.array([1.01, 0.99, 1.0, 1.01, 0.99])
    values = np.stack([quality, flops, 3.0 * flops * noise, 0.5 * flops], axis=1)
    goals, costs = wanted(*["linear"] * 4), [False, True, True, True]
    found = find_echoes(values, goals, costs)
    assert [(e.ignored.metric, e.kept.metric) for e in found] == [("m2", "m1"), ("m3", "m1")]
    assert all(SAME < e.correlation <= 1.0 and e.points == 5 for e in found)
    # three times the same cost draws the knee to the cheap end; once does not
    assert knee(values, goals) == 1
    assert knee(values, goals, found) == knee(values[:, :2], goals[:2]) == 2


def test_a_trade_off_and_a_quality_are_never_left_out():
    line = np.arange(5.0)
    goals = wanted("linear", "linear")
    assert ignored(np.stack([line, -line], axis=1), goals, [True, True]) == []
    assert ignored(np.stack([line, line], axis=1), goals, [False, True]) == []
    assert ignored(np.stack([line, line], axis=1), goals, [True, True]) == [("m1", "m0")]
    up = wanted("linear", "linear", directions=["minimize", "maximize"])
    assert ignored(np.stack([line, line], axis=1), up, [True, True]) == []
    assert ignored(np.stack([line, -line], axis=1), up, [True, True]) == [("m1", "m0")]


def test_correlation_is_measured_on_the_scale_of_the_objective():
    decades = np.array([1e4, 1e5, 1e6, 1e7, 1e8])
    values = np.stack([np.arange(5.0), decades], axis=1)
    assert ignored(values, wanted("linear", "linear"), [True, True]) == []
    assert ignored(values, wanted("linear", "log"), [True, True]) == [("m1", "m0")]


@pytest.mark.parametrize(
    "values",
    [
        np.empty((0, 2)),
        [[1.0, 1.0]],
        [[1.0, 1.0], [2.0, 2.0]],
        [[1.0, 1.0], [2.0, 2.0], [2.0, 2.0]],
        [[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]],
    ],
    ids=["none", "one", "two", "two different", "constant"],
)
def test_where_nothing_is_known_nothing_is_left_out(values):
    assert find_echoes(values, wanted("linear", "linear"), [True, True]) == []


def test_noise_within_tolerance_has_no_correlation():
    goals = [objective(metric="a"), objective(metric="b", tolerance=0.1)]
    values = [[1.0, 1.0], [2.0, 1.02], [3.0, 1.03]]
    assert find_echoes(values, goals, [True, True]) == []


@given(
    arrays(np.float64, st.tuples(st.integers(0, 8), st.integers(1, 4)), elements=st.integers(1, 6)),
    st.floats(0.5, 4.0),
    st.randoms(use_true_random=False),
)
def test_neither_units_nor_rows_decide_what_is_left_out_and_what_stands_for_it_stays(
    values, factor, random
):
    goals, costs = wanted(*["linear"] * values.shape[1]), [True] * values.shape[1]
    found = ignored(values, goals, costs)
    rows = np.array(random.sample(range(len(values)), len(values)), dtype=int)
    assert ignored(values[rows] * factor, goals, costs) == found
    assert not {out for out, _ in found} & {kept for _, kept in found}
