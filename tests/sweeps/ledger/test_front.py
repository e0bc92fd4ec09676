from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_study import toy_study

from analysis import layout
from search_spaces.study import Study
from sweeps.common.records import TrialRecord, TrialState
from sweeps.ledger.front import pareto_state, undominated
from sweeps.run.confirmation import candidates
from sweeps.tracking.runs import standing_tags


def trial(number: int, error: float, flops: float, *, violation: float = -1.0) -> TrialRecord:
    return TrialRecord(
        number=number,
        state=TrialState.COMPLETE,
        params={},
        metrics={"val_nmse_db": error, "ue_flops": flops},
        violations={"payload_bits": violation},
    )


steps = st.integers(-4, -1).map(float)
powers = st.integers(1, 4).map(lambda exponent: 10.0**exponent)
sweeps = st.lists(st.tuples(steps, powers, st.sampled_from([-1.0, 0.0, 1.0])), max_size=12).map(
    lambda rows: [trial(i, *row[:2], violation=row[2]) for i, row in enumerate(rows)]
)


def dominates(left: TrialRecord, right: TrialRecord) -> bool:
    a = np.array([*left.metrics.values()])
    b = np.array([*right.metrics.values()])
    return bool((a <= b).all() and (a < b).any())


@given(sweeps)
def test_tags_agree_with_the_definition_of_dominance(trials: list[TrialRecord]) -> None:
    tags = standing_tags(trials, toy_study())
    assert len(tags) == len(trials)
    for one in trials:
        feasible = [other for other in trials if other.violations["payload_bits"] <= 0.0]
        on_front = one in feasible and not any(dominates(other, one) for other in feasible)
        assert tags[f"trial/{one.number}"][layout.ON_FRONT] == str(on_front).lower()
        assert (layout.RANK in tags[f"trial/{one.number}"]) == (one in feasible)


@given(sweeps)
def test_the_front_is_sorted_by_its_first_objective(trials: list[TrialRecord]) -> None:
    errors = [row.objectives["val_nmse_db"] for row in pareto_state(trials, toy_study()).rows]
    assert errors == sorted(errors)


def test_failed_trials_have_no_standing() -> None:
    failed = TrialRecord(number=0, state=TrialState.FAIL, params={})
    study = toy_study()
    assert standing_tags([failed], study) == {}
    assert pareto_state([failed], study).rows == []
    assert pareto_state([], study).hypervolume == 0.0


def test_hypervolume_of_one_point_is_its_box() -> None:
    # reference (0 dB, 1e4 FLOPs): 5 dB wide and one decade high
    assert pareto_state([trial(0, -5.0, 1e3)], toy_study()).hypervolume == 5.0


STAIRCASE = [trial(i, -float(i), 10.0**i) for i in range(7)]
"""A front whose knee is its middle."""

DOMINATED = [trial(7, -0.5, 1e3), trial(8, -9.0, 1.0, violation=1.0)]


def numbers(confirm: dict[str, object]) -> list[int]:
    study = toy_study(confirm=confirm)
    return [found.number for found in candidates(study, STAIRCASE + DOMINATED)]


def test_the_front_is_confirmed_from_its_knee_and_from_end_to_end() -> None:
    assert numbers({"select": "front"}) == [3, 6, 5, 4, 2, 1, 0]
    assert numbers({"select": "front", "limit": 3}) == [3, 6, 0]
    assert numbers({"select": "front", "limit": 1}) == [3]
    assert numbers({"select": "front", "limit": 99}) == [3, 6, 5, 4, 2, 1, 0]


@given(st.integers(1, 9))
def test_a_limit_is_kept_without_repeats(limit: int) -> None:
    chosen = numbers({"select": "front", "limit": limit})
    assert len(chosen) == len(set(chosen)) == min(limit, 7)


def test_all_or_none_are_confirmed() -> None:
    assert numbers({"select": "all"}) == [3, 0, 1, 2, 4, 5, 6, 7, 8]
    assert numbers({"select": "all", "limit": 2}) == [3, 0]
    assert numbers({"select": "none"}) == []


NEAR = [trial(9, -5.7, 10.0**6), trial(10, -4.9, 10.0**5), trial(11, -1.0, 10.0**5)]
"""Behind the staircase, whose ranges are 6 dB and 6 decades: 0.3 of 6, 0.1 of 6 and 3 of 6."""


def near(**confirm: object) -> list[int]:
    study = toy_study(confirm={"select": "front", **confirm})
    return [found.number for found in candidates(study, STAIRCASE + NEAR + DOMINATED[1:])]


def test_trials_near_the_front_come_after_it_the_nearest_first() -> None:
    front = [3, 6, 5, 4, 2, 1, 0]
    assert near() == near(epsilon=0.01) == front
    assert near(epsilon=0.02) == [*front, 10]
    assert near(epsilon=0.06) == [*front, 10, 9]
    assert near(epsilon=0.67) == [*front, 10, 9, 11]


def test_the_limit_counts_both() -> None:
    assert near(epsilon=1.0, limit=3) == [3, 6, 0]
    assert near(epsilon=1.0, limit=7) == [3, 6, 5, 4, 2, 1, 0]
    assert near(epsilon=1.0, limit=8) == [3, 6, 5, 4, 2, 1, 0, 10]


@given(sweeps, st.integers(1, 12), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_candidates_are_feasible_and_never_repeated(
    trials: list[TrialRecord], limit: int, epsilon: float
) -> None:
    study = toy_study(
        constraints=[{"metric": "payload_bits", "max": 1}],
        confirm={"select": "front", "epsilon": epsilon, "limit": limit},
    )
    chosen = candidates(study, trials)
    numbers = [found.number for found in chosen]
    front = {row.number for row in pareto_state(trials, study).rows}
    assert len(numbers) == len(set(numbers)) <= limit
    assert all(found.feasible for found in chosen)
    assert set(numbers) <= front or front <= set(numbers)


def tolerant_study(nmse: float, flops: float) -> Study:
    goals = toy_study().objectives
    pairs = zip(goals, (nmse, flops), strict=True)
    return replace(toy_study(), objectives=tuple(replace(g, tolerance=t) for g, t in pairs))


def test_standings_tags_and_confirmation_know_the_same_tolerances() -> None:
    trials = [trial(0, -4.0, 103.0), trial(1, -3.0, 100.0), trial(2, -2.0, 50.0)]
    assert [row.number for row in pareto_state(trials, tolerant_study(0.0, 0.0)).rows] == [0, 1, 2]
    study = tolerant_study(0.0, 0.05)
    found = pareto_state(trials, study)
    assert [row.number for row in found.rows] == [0, 2]
    assert found.ranks == {0: 0, 1: 1, 2: 0}
    tags = standing_tags(trials, study)
    assert [tags[f"trial/{i}"][layout.ON_FRONT] for i in range(3)] == ["true", "false", "true"]
    assert tags["trial/1"][layout.RANK] == "1"
    assert [one.number for one in candidates(study, trials)] == [0, 2]
    # the volume is that of all trials, to the last digit
    assert found.hypervolume == pareto_state(trials, tolerant_study(0.0, 0.0)).hypervolume


def test_what_a_tolerance_takes_off_the_front_is_near_it() -> None:
    study = tolerant_study(0.0, 0.05)
    study = replace(study, confirm=replace(study.confirm, epsilon=1.0))
    trials = [trial(0, -4.0, 103.0), trial(1, -3.0, 100.0), trial(2, -2.0, 50.0)]
    assert [one.number for one in candidates(study, trials)] == [0, 2, 1]


@given(st.lists(st.sampled_from(["vanilla", "kd"]), min_size=9, max_size=9))
def test_the_best_of_each_method_is_confirmed_too(methods: list[str]) -> None:
    trials = [
        replace(one, config={**one.config, "method": method})
        for one, method in zip(STAIRCASE + DOMINATED, methods, strict=True)
    ]
    study = toy_study(confirm={"select": "front", "limit": 1, "each": ["method"]})
    chosen = [one.number for one in candidates(study, trials)]
    # the last one breaks a bound; the first objective falls with the number up to 6
    best = {
        method: max(
            range(8), key=lambda n: (methods[n] == method, -trials[n].metrics["val_nmse_db"])
        )
        for method in methods[:8]
    }
    assert chosen[0] == 3
    assert {*chosen} == {3, *best.values()}
    assert len(chosen) == len({*chosen})


@given(sweeps, st.sampled_from([0.0, 1.0]))
def test_a_growing_sweep_needs_its_undominated_trials_alone(
    trials: list[TrialRecord], tolerance: float
) -> None:
    study = toy_study()
    first = replace(study.objectives[0], tolerance=tolerance)
    study = replace(study, objectives=(first, *study.objectives[1:]))
    kept: list[TrialRecord] = []
    for count, one in enumerate(trials, start=1):
        kept = undominated([*kept, one], study)
        small, whole = pareto_state(kept, study), pareto_state(trials[:count], study)
        assert small.rows == whole.rows
        assert small.hypervolume == pytest.approx(whole.hypervolume, rel=1e-12)
