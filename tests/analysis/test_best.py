"""The choice within budgets: a search by hand finds the same, and what is offered holds."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_frames import make_frames

from analysis.best import Budget, find_best, limit_text, parse_budget
from analysis.errors import ResultsError
from analysis.frames import table

FRAMES = make_frames(3, failures=0)
VALUES = st.tuples(
    st.integers(-9, 0).map(float),
    st.sampled_from([1e3, 2e3, 5e3, 1e4, 3.3333333e4]),
    st.sampled_from([1.0, 1.5, 2.25, float("nan")]),
)
LIMITS = st.tuples(
    st.sampled_from([1e2, 1e3, 3e3, 1e4, 1e5]),
    st.sampled_from([0.5, 1.0, 2.0, 3.0]),
)


def sweep(rows):
    """A sweep of trials with the given NMSE, FLOPs and latency."""
    trials = table(
        {
            "number": number,
            "state": "COMPLETE",
            "val_nmse_db": nmse,
            "ue_flops": flops,
            "latency_ms": latency,
            "payload_bits": 1024.0,
            "param.method": "vanilla",
        }
        for number, (nmse, flops, latency) in enumerate(rows)
    )
    return replace(FRAMES, trials=trials)


def budgets(flops, latency):
    return [
        Budget(metric="ue_flops", limit=flops, side="max"),
        Budget(metric="latency_ms", limit=latency, side="max"),
    ]


def fitting(rows, flops, latency):
    return [number for number, (_, f, s) in enumerate(rows) if f <= flops and s <= latency]


@given(rows=st.lists(VALUES, min_size=1, max_size=12), limits=LIMITS)
def test_trials_that_lack_a_budgeted_metric_are_counted(rows, limits):
    if fitting(rows, *limits):
        best = find_best(sweep(rows), budgets(*limits))
        assert best.unknown == (0, sum(np.isnan(latency) for _, _, latency in rows))


def test_a_budget_on_exported_latency_names_how_it_is_measured():
    with pytest.raises(
        ResultsError, match=r"no trial was exported yet; kdsweep register \S+ measures"
    ):
        find_best(FRAMES, [parse_budget("onnx_latency_ms=1", "max")])


@given(rows=st.lists(VALUES, min_size=1, max_size=12), limits=LIMITS)
def test_the_choice_is_what_a_search_by_hand_finds(rows, limits):
    inside = fitting(rows, *limits)
    frames = sweep(rows)
    if not inside:
        with pytest.raises(ResultsError, match="none of"):
            find_best(frames, budgets(*limits))
        return
    best = find_best(frames, budgets(*limits))
    assert best.allowed == len(inside)
    assert best.chosen.values["val_nmse_db"] == min(rows[number][0] for number in inside)
    assert best.chosen.trial in inside
    assert {one.trial for one in best.runners_up} <= set(inside) - {best.chosen.trial}


@given(rows=st.lists(VALUES, min_size=1, max_size=12), limits=LIMITS)
def test_an_offer_is_the_least_that_buys_anything(rows, limits):
    inside = fitting(rows, *limits)
    if not inside:
        return
    best = find_best(sweep(rows), budgets(*limits))
    have = best.chosen.values["val_nmse_db"]
    for index, offer in enumerate(best.offers):
        tightened = list(limits)
        better = [
            row[1 + index]
            for row in rows
            if row[0] < have and row[2 - index] <= limits[1 - index] and not np.isnan(row[2])
        ]
        if offer is None:
            assert not better
            continue
        assert offer.budget.limit == min(better)
        tightened[index] = parse_budget(limit_text(offer.budget).split()[1], "max").limit
        again = find_best(sweep(rows), budgets(*tightened))
        assert have - again.chosen.values["val_nmse_db"] >= offer.gain > 0.0


@given(rows=st.lists(VALUES, min_size=1, max_size=12), limits=LIMITS)
def test_the_fix_of_an_impossible_budget_makes_it_possible(rows, limits):
    if fitting(rows, *limits):
        return
    with pytest.raises(ResultsError) as refused:
        find_best(sweep(rows), budgets(*limits))
    ways = str(refused.value).split("; ", 1)[1]
    if "no trial has all" in ways:
        assert all(np.isnan(row[2]) for row in rows)
        return
    for way in ways.split("; "):
        tightened = dict(zip(("ue_flops", "latency_ms"), limits, strict=True))
        tightened |= {name: float(limit) for name, limit in re.findall(r"--max (\w+)=(\S+)", way)}
        best = find_best(sweep(rows), budgets(tightened["ue_flops"], tightened["latency_ms"]))
        assert f"trial {best.chosen.trial}" in ways or best.allowed > 1


@given(limit=st.floats(allow_nan=False), side=st.sampled_from(["max", "min"]))
def test_a_limit_as_text_allows_what_it_stands_for(limit, side):
    budget = Budget(metric="params", limit=limit, side=side)
    parsed = parse_budget(limit_text(budget).split()[1], side)
    assert parsed.beyond(limit) == 0.0
    if np.isfinite(limit) and 1e-300 < abs(limit) < 1e300:
        assert parsed.limit == pytest.approx(limit, rel=2e-5)


def test_least_and_most_are_distinguished():
    frames = sweep([(-5.0, 1e3, 1.0), (-6.0, 1e4, 1.0), (-7.0, 1e5, 1.0)])
    assert find_best(frames).chosen.trial == 2
    assert find_best(frames, by="ue_flops").chosen.trial == 0
    least = Budget(metric="ue_flops", limit=5e3, side="min")
    assert find_best(frames, [least], by="ue_flops").chosen.trial == 1
    most = Budget(metric="ue_flops", limit=5e4, side="max")
    assert find_best(frames, [least, most]).chosen.trial == 1


def test_among_equals_the_better_rank_wins():
    frames = sweep([(-5.0, 1e4, 1.0), (-5.0, 1e3, 1.0)])
    ranked = frames.trials.assign(rank=[1, 0])
    assert find_best(replace(frames, trials=ranked)).chosen.trial == 1


@pytest.mark.parametrize("text", ["params", "params=", "params=few", "=3", "params=nan"])
def test_an_empty_budget_is_refused(text):
    with pytest.raises(ResultsError, match="give metric=number"):
        parse_budget(text, "max")


def test_unknown_names_are_refused_with_the_known_ones():
    frames = sweep([(-5.0, 1e3, 1.0)])
    with pytest.raises(ResultsError, match="near it: ue_flops"):
        find_best(frames, [parse_budget("ue_flop=3", "max")])
    with pytest.raises(ResultsError, match=r"objectives of .* are val_nmse_db, ue_flops"):
        find_best(frames, by="latency_ms")
    with pytest.raises(ResultsError, match="have none"):
        find_best(frames, topology="mutual")
    with pytest.raises(ResultsError, match="no finished trial"):
        find_best(replace(frames, trials=frames.trials.assign(state="FAIL")))


def test_the_chosen_trial_brings_its_test_result():
    frames = make_frames()
    best = find_best(frames)
    expected = frames.confirmations[frames.confirmations["number"] == best.chosen.trial]
    assert best.chosen.test["test_nmse_db"].mean == pytest.approx(expected["test_nmse_db"].mean())


def test_of_trials_within_tolerance_the_better_rank_is_taken_and_no_more_is_offered():
    rows = [(-8.0, 3e4, 1.0), (-7.9, 1e3, 1.0), (-7.0, 1e3, 1.0)]
    frames = sweep(rows)
    first = frames.study.objectives[0]
    ranks = {"rank": [1, 0, 2]}
    frames = replace(frames, trials=frames.trials.assign(**ranks))
    assert find_best(frames).chosen.trial == 0
    goals = (replace(first, tolerance=0.2), *frames.study.objectives[1:])
    tolerant = replace(frames, study=replace(frames.study, objectives=goals))
    found = find_best(tolerant)
    assert found.chosen.trial == 1
    assert [one.trial for one in found.runners_up] == [0, 2]
    assert find_best(tolerant, budgets(1e3, 9.0)).offers == (None, None)
    assert find_best(frames, budgets(1e3, 9.0)).offers[0].candidate.trial == 0
