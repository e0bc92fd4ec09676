"""Sweeps beside each other: laws of the comparison, by hand and by chance."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_frames import make_frames

from analysis.compare import compare, p_value
from analysis.errors import ResultsError
from analysis.plots.compare import attainment_figure, compare_figure
from analysis.plots.stairs import pairs
from search_spaces.study import parse_study


def named(name, **changes):
    return replace(make_frames(**changes), name=name)


def test_a_sweep_beside_itself_differs_in_nothing():
    frames = named("one")
    found = compare([frames, replace(frames, name="two")])
    (difference,) = found.differences
    assert difference.value == 0.0
    assert difference.p_value is None
    assert found.settings == {}
    assert found.sides[0] == replace(found.sides[1], name="one")
    assert all(level.attained["one"] == level.attained["two"] for level in found.levels)


def test_the_better_sweep_is_found():
    found = compare([named("good", gain=4.0), named("bad", gain=-3.0)])
    (difference,) = found.differences
    good, bad = found.sides
    assert difference.value == pytest.approx(good.hypervolume - bad.hypervolume)
    assert difference.value > 0.0
    assert compare([named("bad", gain=-3.0), named("good", gain=4.0)]).differences[
        0
    ].value == pytest.approx(-difference.value)


def test_levels_are_what_a_loop_finds_and_more_budget_never_attains_less():
    sweeps = [named("a"), named("b", gain=0.0)]
    found = compare(sweeps)
    for frames in sweeps:
        rows = frames.trials[frames.trials["state"] == "COMPLETE"]
        rows = rows[rows["payload_bits"] <= 4096]
        for level in found.levels:
            inside = rows.loc[rows["ue_flops"] <= level.budget, "val_nmse_db"]
            expected = inside.min() if len(inside) else np.nan
            assert level.attained[frames.name] == pytest.approx(expected, nan_ok=True)
        series = [level.attained[frames.name] for level in found.levels]
        known = [value for value in series if not np.isnan(value)]
        assert known == sorted(known, reverse=True)


def test_settings_that_differ_are_named_and_texts_are_not():
    frames = make_frames()
    text = frames.study.text.replace("high: 0.01", "high: 0.02").replace("title: ", "title: Not ")
    other = replace(frames, name="other", study=parse_study(text, "other"))
    assert compare([frames, other]).settings == {"space.learning_rate.high": ("0.01", "0.02")}


def test_other_problems_and_empty_sweeps_are_refused():
    frames = named("one")
    with pytest.raises(ResultsError, match=r"three has other objectives \(val_nmse_db, ue_fl"):
        compare([frames, named("three", objectives=3)])
    nothing = replace(frames, name="none", trials=frames.trials.assign(state="FAIL"))
    with pytest.raises(ResultsError, match="none has no finished trial"):
        compare([frames, nothing])


def test_a_study_and_its_repetitions_are_one_side():
    def sweep(kind, seed, gain):
        frames = make_frames(gain=gain)
        text = frames.study.text.replace("seeds: {search: 0", f"seeds: {{search: {seed}")
        text = text.replace("high: 0.01", "high: 0.02") if kind == "b" else text
        return replace(frames, name=f"{kind}{seed}", study=parse_study(text, kind))

    sweeps = [sweep("a", n, 4.0 + n) for n in range(2)] + [sweep("b", n, n - 3.0) for n in range(3)]
    found = compare(sweeps)
    (difference,) = found.differences
    assert (difference.first, difference.second) == (("a0", "a1"), ("b0", "b1", "b2"))
    volume = {side.name: side.hypervolume for side in found.sides}
    ours, theirs = (
        np.mean([volume[n] for n in names]) for names in (difference.first, difference.second)
    )
    assert difference.value == pytest.approx(ours - theirs)
    assert difference.p_value == pytest.approx(0.1)  # of 10 deals one is as far apart
    # sweeps of one study alone are compared one with another, those of one seed are no repetitions
    assert [d.p_value for d in compare(sweeps[:2]).differences] == [None]
    twice = compare([*sweeps[:2], *(replace(one, name=f"{one.name}x") for one in sweeps[:2])])
    assert len(twice.differences) == 6


VOLUMES = st.lists(st.integers(-9, 9), min_size=2, max_size=5)


@given(VOLUMES, VOLUMES)
def test_p_values_ask_both_ways_and_are_smallest_for_sweeps_that_are_all_better(first, second):
    found = p_value(first, second)
    assert 0.0 < found <= 1.0
    assert found == pytest.approx(p_value(second, first))
    far = p_value([value + 99 for value in first], second)
    sides = 2 if len(first) == len(second) else 1
    assert far == pytest.approx(sides / math.comb(len(first) + len(second), len(first)))
    assert far <= found


def test_the_figure_has_the_trials_and_the_stairs_of_every_sweep():
    sweeps = [named("a"), named("b")]
    (pair,) = pairs(sweeps[0].study.objectives)
    figure = compare_figure(sweeps, pair)
    names = [trace.name for trace in figure.data]
    assert names == ["a", "a: attained", "b", "b: attained"]
    assert all(len(trace.x) for trace in figure.data)


def test_attainment_is_compared_where_both_were_repeated():
    good, bad = named("good", gain=4.0), named("bad", gain=-3.0)
    (found,) = compare([good, bad]).attainments
    assert (found.first, found.second, found.seeds) == ("good", "bad", (3, 3))
    assert found.first_leads > found.second_leads
    (same,) = compare([good, replace(good, name="again")]).attainments
    assert (same.first_leads, same.second_leads) == (0.0, 0.0)
    once = bad.confirmations[bad.confirmations["param.seed"] == 101].reset_index(drop=True)
    assert compare([good, replace(bad, confirmations=once)]).attainments == ()
    assert compare([named("a", objectives=3), named("b", objectives=3)]).attainments == ()


def test_the_figure_of_differences_is_closed_and_names_the_better_sweep():
    sweeps = [named("good", gain=4.0), named("bad", gain=-3.0)]
    (pair,) = pairs(sweeps[0].study.objectives)
    figure = attainment_figure(*sweeps, pair)
    names = {trace.name for trace in figure.data}
    assert figure.layout.yaxis.title.text == "NMSE [dB], test"
    assert {"good: attained by half of its seeds", "good: 100 % more of its seeds"} <= names
    for trace in figure.data:
        known = [value for value in [*trace.x, *trace.y] if value is not None]
        assert np.isfinite(known).all()
