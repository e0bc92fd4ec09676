"""Sweeps beside each other: laws of the comparison, by hand and by chance."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_frames import make_frames, study

from analysis.compare import compare, p_value
from analysis.errors import ResultsError
from analysis.plots.compare import attainment_figure, compare_figure
from analysis.plots.stairs import pairs
from search_spaces.study import parse_study

GOALS = study(2).objectives


def named(name, **changes):
    return replace(make_frames(**changes), name=name)


def test_a_sweep_beside_itself_differs_in_nothing():
    frames = named("one")
    found = compare([frames, replace(frames, name="two")])
    (difference,) = found.differences
    assert difference.value == 0.0
    assert difference.p_value == 1.0
    assert found.settings == {}
    assert found.sides[0] == replace(found.sides[1], name="one")
    assert all(level.attained["one"] == level.attained["two"] for level in found.levels)


def test_the_better_sweep_is_told_from_the_worse():
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


@settings(max_examples=8)
@given(seed=st.integers(0, 99), count=st.integers(1, 8))
def test_p_values_are_shares_and_ask_both_ways(seed, count):
    rng = np.random.default_rng(seed)
    first, second = (
        np.stack([-rng.uniform(1, 9, count), 10 ** rng.uniform(3, 6, count)], axis=1)
        for _ in range(2)
    )
    there = p_value(first, second, GOALS, np.random.default_rng(0))
    back = p_value(second, first, GOALS, np.random.default_rng(1))
    assert 0.0 < there <= 1.0
    assert there == pytest.approx(back, abs=0.12)


def test_chance_alone_is_rarely_called_a_difference():
    rng = np.random.default_rng(3)

    def trials():
        return np.stack([-rng.uniform(1, 9, 20), 10 ** rng.uniform(3, 6, 20)], axis=1)

    found = [p_value(trials(), trials(), GOALS, rng) for _ in range(20)]
    assert sum(p < 0.05 for p in found) <= 4  # of 20 one is expected, the seed is fixed
    far = trials() - [30.0, 0.0]
    assert p_value(trials(), far, GOALS, rng) < 0.01


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


def test_the_figure_of_differences_is_closed_and_names_who_attains_more():
    sweeps = [named("good", gain=4.0), named("bad", gain=-3.0)]
    (pair,) = pairs(sweeps[0].study.objectives)
    figure = attainment_figure(*sweeps, pair)
    names = {trace.name for trace in figure.data}
    assert figure.layout.yaxis.title.text == "NMSE [dB], test"
    assert {"good: attained by half of its seeds", "good: 100 % more of its seeds"} <= names
    for trace in figure.data:
        known = [value for value in [*trace.x, *trace.y] if value is not None]
        assert np.isfinite(known).all()
