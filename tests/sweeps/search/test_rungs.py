"""Who goes on at a rung: laws, and a second implementation in exact fractions."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from search_spaces.objectives import Constraint, Objective
from search_spaces.stopping import Stopping
from sweeps.common.records import RungEntry
from sweeps.search.rungs import Rungs, best_of

WAYS = ("minimize", "maximize")
RUNG = 0.125

# Small whole numbers: many trials are equal, dominated, or equally far from others.
POINTS = st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=1, max_size=24)
WORDS = st.tuples(*[st.sampled_from(WAYS)] * 3)


def objectives(ways: tuple[str, ...], scale: str = "linear") -> list[Objective]:
    return [
        Objective(metric=f"m{i}", direction=way, reference=10.0, scale=scale)
        for i, way in enumerate(ways)
    ]


def table(
    points: list[tuple[float, ...]],
    ways: tuple[str, ...] = WAYS + WAYS[:1],
    bounds: tuple[Constraint, ...] = (),
    **stopping: float,
) -> Rungs:
    settings = Stopping(**{"min_share": RUNG, "eta": 3, "min_trials": 1, **stopping})
    rungs = Rungs(settings, objectives(ways), bounds)
    for trial, point in enumerate(points):
        metrics = {f"m{i}": float(value) for i, value in enumerate(point)}
        assert rungs.report(trial, 1, 8, metrics) is not None
    return rungs


def dominates(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def layers(points: dict[int, tuple[int, ...]]) -> list[list[int]]:
    left, found = dict(points), []
    while left:
        layer = [i for i in left if not any(dominates(other, left[i]) for other in left.values())]
        found.append(layer)
        left = {i: point for i, point in left.items() if i not in layer}
    return found


def thinned(points: dict[int, tuple[int, ...]], count: int) -> list[int]:
    columns = list(zip(*points.values(), strict=True))
    lows = [min(column) for column in columns]
    extents = [max(column) - min(column) or 1 for column in columns]
    scaled = {
        i: [Fraction(x - low, e) for x, low, e in zip(point, lows, extents, strict=True)]
        for i, point in points.items()
    }

    def apart(a: int, b: int) -> Fraction:
        return sum((x - y) ** 2 for x, y in zip(scaled[a], scaled[b], strict=True))

    picked = [min(points, key=lambda i: (scaled[i][0], i))]
    while len(picked) < count:
        others = [i for i in points if i not in picked]
        picked.append(max(others, key=lambda i: (min(apart(i, j) for j in picked), -i)))
    return picked


def by_hand(points: list[tuple[int, ...]], ways: tuple[str, ...], eta: int) -> set[int]:
    signs = [1 if way == "minimize" else -1 for way in ways]
    small = {i: tuple(s * x for s, x in zip(signs, p, strict=True)) for i, p in enumerate(points)}
    count, kept = math.ceil(len(points) / eta), []
    for layer in layers(small):
        left = count - len(kept)
        members = {i: small[i] for i in layer}
        kept += layer if len(layer) <= left else thinned(members, left) if left else []
    return set(kept)


@given(POINTS, WORDS, st.integers(2, 5))
def test_best_of_a_rung_agree_with_a_second_implementation(points, ways, eta):
    assert table(points, ways, eta=eta).best(RUNG) == by_hand(points, ways, eta)


@given(POINTS, WORDS, st.integers(2, 5), st.integers(1, 8))
def test_decisions_along_the_way_agree_with_a_second_implementation(points, ways, eta, few):
    rungs = Rungs(Stopping(min_share=RUNG, eta=eta, min_trials=few), objectives(ways))
    for trial, point in enumerate(points):
        entry = rungs.report(trial, 1, 8, {f"m{i}": float(x) for i, x in enumerate(point)})
        assert entry is not None
        expected = trial + 1 < few or trial in by_hand(points[: trial + 1], ways, eta)
        assert rungs.continues(trial, entry.rung) is expected


@given(POINTS, st.integers(2, 5))
def test_no_dominated_trial_goes_on_while_one_that_dominates_it_is_stopped(points, eta):
    ways = ("minimize",) * 3
    best = table(points, ways, eta=eta).best(RUNG)
    for kept in best:
        for stopped in set(range(len(points))) - best:
            assert not dominates(points[stopped], points[kept])


@given(POINTS, WORDS, st.integers(2, 5), st.integers(1, 8))
def test_a_larger_eta_keeps_fewer_of_the_same(points, ways, eta, few):
    many = table(points, ways, eta=eta, min_trials=few).best(RUNG)
    assert table(points, ways, eta=eta + 1, min_trials=few).best(RUNG) <= many
    assert len(many) == (len(points) if len(points) < few else math.ceil(len(points) / eta))


@given(POINTS, WORDS, st.sampled_from([1e-3, 0.3, 7.0, 1e6]), st.integers(-50, 50))
def test_units_and_origins_decide_nothing(points, ways, factor, offset):
    # so that rounding here stays far below the least difference between distances
    moved = [(a, factor * (b + offset), (c - offset) / factor) for a, b, c in points]
    assert table(moved, ways).best(RUNG) == table(points, ways).best(RUNG)


@given(POINTS, st.sampled_from([1e-2, 0.3, 8.0, 1e9]))
def test_on_a_logarithmic_scale_distances_are_ratios(points, factor):
    ways = ("minimize",) * 3
    decades = [tuple(factor * 10.0**x for x in point) for point in points]
    rungs = Rungs(Stopping(min_share=RUNG, min_trials=1), objectives(ways, "log"))
    for trial, point in enumerate(decades):
        rungs.report(trial, 1, 8, {f"m{i}": x for i, x in enumerate(point)})
    assert rungs.best(RUNG) == table(points, ways).best(RUNG)


@given(POINTS, WORDS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(points, ways, random):
    rungs = Rungs(Stopping(min_share=RUNG, min_trials=1), objectives(ways))
    order = list(enumerate(points))
    random.shuffle(order)
    for trial, point in order:
        rungs.report(trial, 1, 8, {f"m{i}": float(x) for i, x in enumerate(point)})
    assert rungs.best(RUNG) == table(points, ways).best(RUNG)


@given(POINTS, st.integers(0, 2))
def test_infeasible_trials_come_after_all_others(points, bound):
    bounds = (Constraint("m2", max=float(bound)),)
    rungs = table(points, bounds=bounds)
    best = rungs.best(RUNG)
    feasible = {i for i, point in enumerate(points) if point[2] <= bound}
    assume(feasible)
    assert best <= feasible or feasible <= best
    missed = sorted(points[i][2] for i in range(len(points)) if i not in feasible)
    kept = sorted(points[i][2] for i in best - feasible)
    assert kept == missed[: len(kept)]


def test_how_well_another_constraint_is_kept_does_not_matter():
    values, violations = np.array([[2.0], [1.0]]), np.array([[1.0, -9.0], [1.0, -1.0]])
    best = best_of(values, violations, objectives(("minimize",)), 1)
    assert best.tolist() == [False, True]


def test_a_constraint_whose_metric_is_not_known_yet_counts_as_kept():
    points = [(0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5)]
    plain, bounded = table(points), table(points, bounds=(Constraint("latency_ms", max=1.0),))
    assert plain.best(RUNG) == bounded.best(RUNG)


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (8, {1: 0.125, 3: 0.375}),
        (10, {2: 0.125, 4: 0.375}),  # the first report at or above the rung
        (2, {1: 0.375}),  # one report passes two rungs and counts for the last
        (1, {1: 0.375}),
    ],
)
def test_rungs_are_shares_of_the_trials_own_epochs(epochs, expected):
    rungs = table([], ways=WAYS[:1])
    found = {}
    for epoch in range(1, epochs + 1):
        entry = rungs.report(0, epoch, epochs, {"m0": -float(epoch)})
        if entry is not None:
            found[epoch] = entry.rung
            assert (entry.epoch, entry.epochs, entry.metrics["m0"]) == (epoch, epochs, -epoch)
    assert found == expected


def test_a_share_that_is_not_exact_in_binary_is_reached_on_time():
    rungs = table([], ways=WAYS[:1], min_share=0.1, eta=3)
    entries = [rungs.report(0, epoch, 10, {"m0": 0.0}) for epoch in range(1, 11)]
    assert [bool(entry) for entry in entries[:9]] == [1, 0, 1, 0, 0, 0, 0, 0, 1]


def test_a_trial_that_begins_anew_does_not_count_twice():
    rungs = table([(5,), (6,), (7,)], ways=WAYS[:1])
    assert rungs.report(0, 3, 8, {"m0": 5.0}).rung == pytest.approx(0.375)
    assert rungs.report(0, 1, 8, {"m0": 9.0}).rung == RUNG  # its process died after epoch 3
    assert rungs.best(RUNG) == {1}  # 6, 7 and 9: three trials, of which one goes on


def test_a_rung_that_was_passed_without_the_numbers_is_not_made_up_for():
    rungs = table([], ways=WAYS[:2])
    assert rungs.report(0, 1, 8, {"m0": 1.0, "train_loss": 2.0}) is None
    assert rungs.report(0, 2, 8, {"m0": 1.0, "m1": 2.0}) is None
    assert rungs.lacking == {"m1"}
    assert rungs.best(RUNG) == set()
    assert rungs.report(0, 3, 8, {"m0": 1.0, "m1": 2.0}) is not None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_cannot_be_compared_are_left_out(value):
    rungs = table([(1,), (2,), (3,)], ways=WAYS[:1])
    assert rungs.report(9, 1, 8, {"m0": value}) is None
    assert rungs.best(RUNG) == {0}


def test_a_trial_that_failed_takes_no_place():
    rungs = table([(1,), (2,), (3,)], ways=WAYS[:1])
    rungs.forget(0)
    assert rungs.best(RUNG) == {1}


@given(POINTS, WORDS)
def test_a_table_comes_back_from_its_entries(points, ways):
    first, again = table(points, ways), table([], ways)
    for trial, point in enumerate(points):
        metrics = {f"m{i}": float(x) for i, x in enumerate(point)}
        again.restore(trial, RungEntry(rung=RUNG, epoch=1, epochs=8, metrics=metrics))
        again.restore(trial, RungEntry(rung=0.77, epoch=1, epochs=8, metrics=metrics))
    assert again.best(RUNG) == first.best(RUNG)


def test_what_differs_within_tolerance_does_not_keep_a_trial_at_a_rung():
    """Who is far worse in one objective and a hair better in another comes last."""
    goals = objectives(("minimize", "minimize"))
    tolerant = [goals[0], replace(goals[1], tolerance=0.1)]
    values = np.array([[0.0, 1.05], [1.5, 1.0], [1.0, 2.0], [2.0, 0.5]])
    none = np.empty((4, 0))
    plain, equal = ([*best_of(values, none, one, 3)] for one in (goals, tolerant))
    assert (plain, equal) == ([True, True, False, True], [True, False, True, True])
    for one in (goals, tolerant):
        assert best_of(values, none, one, 2).tolist() == [True, False, False, True]
