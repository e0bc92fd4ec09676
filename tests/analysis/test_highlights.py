"""What the report shows first: three trials, what each method gains, how the front learned."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_frames import make_frames, without_references
from synthetic_topologies import make_topology_frames

from analysis.distillation import method_gains, pairs_by_kind
from analysis.frames import table
from analysis.fronts import confirmed, front_trials, kind_of, knee_trial, topology_of
from analysis.highlights import highlights
from analysis.plots.curves import curves_figure
from analysis.ranking import records
from analysis.report import render
from analysis.report_tables import gains_table
from analysis.stats import Verdict

FRAMES = make_frames(trials=24)


def shown(frames):
    return {title: text.replace("\N{NO-BREAK SPACE}", " ") for title, text in highlights(frames)}


def test_the_best_and_the_knee_are_named_with_what_they_cost():
    frames = make_frames()
    best, found = records(front_trials(frames))[0], shown(frames)
    tested = confirmed(frames, best["number"], "test_nmse_db")
    assert f"Trial {best['number']} " in found["Best NMSE"]
    assert f"{tested.mean:.2f} ± {tested.half_width:.2f} dB on test (3 seeds)" in (
        found["Best NMSE"].replace("−", "-")
    )
    assert "UE encoder FLOPs" in found["Knee"]
    assert f"Trial {knee_trial(frames)} " in found["Knee"]
    assert "not repeated on test" in shown(without_references(frames))["Best NMSE"]


@given(st.floats(-14.0, 0.0))
def test_the_cheapest_that_beats_the_baseline_has_no_cheaper_rival(level):
    frames = FRAMES
    baselines = frames.baselines.assign(val_nmse_db=level, test_nmse_db=level)
    rows = frames.feasible
    better = rows[rows["val_nmse_db"] < level]
    text = shown(replace(frames, baselines=baselines))["Cheapest that beats the best baseline"]
    if len(better):
        cheapest = better[better["ue_flops"] == better["ue_flops"].min()]
        number = cheapest.sort_values("val_nmse_db")["number"].iloc[0]
        assert f"Trial {number} " in text
        tested = confirmed(frames, number, "test_nmse_db")
        if tested is not None and tested.half_width is not None:
            inside = abs(tested.mean - level) <= tested.half_width
            assert text.endswith("which its interval includes.") is inside
    else:
        assert text.startswith("No trial does: PCA 1/")


def test_without_a_baseline_it_is_the_best_student_without_a_teacher_that_is_beaten():
    title = "Cheapest that beats the best student without a teacher"
    assert "better than trial" in shown(without_references(make_frames(gain=2.0)))[title]
    harmed = without_references(make_frames(gain=-9.0))
    assert "No trial does: trial" in shown(harmed)[title]


def test_one_objective_has_a_best_and_no_other():
    assert list(shown(make_frames(objectives=1))) == ["Best NMSE"]
    assert highlights(make_frames(trials=0)) == []


@pytest.mark.parametrize("frames", [make_frames(), make_topology_frames()], ids=["one", "several"])
def test_a_method_is_compared_with_the_best_student_of_its_topology_at_equal_size(frames):
    goal, *others = frames.study.objectives
    rows, pairs = records(frames.feasible), pairs_by_kind(frames)
    assert pairs
    for pair in pairs.values():
        plain = [row for row in rows if row["taught"] is False]
        plain = [row for row in plain if topology_of(row) == topology_of(pair.taught)]
        small = [
            row for row in plain if all(row[o.metric] <= pair.taught[o.metric] for o in others)
        ]
        assert pair.dearer == (not small)
        repeated = {*frames.confirmations["number"]} >= {
            pair.taught["number"],
            pair.plain["number"],
        }
        values = [row[goal.metric] for row in small or plain]
        assert repeated or pair.plain[goal.metric] == min(values)


def test_gains_are_differences_of_equal_seeds_on_test():
    frames = make_frames(gain=3.0, near=60)
    gains = method_gains(frames)
    assert {kind_of(one.pair.taught) for one in gains} == {"autoencoder-kd", "encoder-kd"}
    assert [one.gain.mean for one in gains] == sorted((o.gain.mean for o in gains), reverse=True)
    for one in gains:
        mean = one.theirs.interval.mean - one.ours.interval.mean  # of decibels less is better
        assert one.gain.mean == pytest.approx(mean)
        assert one.gain.count == (3 if one.ours.split == "test" else 1)
    best = gains[0]
    assert (best.ours.split, best.verdict) == ("test", Verdict.HOLDS)
    found = gains_table(frames)
    assert len(found.rows) == len(gains)
    assert "What distillation gains at equal size" in render(frames)


def test_without_pairs_there_is_no_table_of_gains():
    frames = make_frames()
    taught = frames.trials[frames.trials["taught"].eq(True)].reset_index(drop=True)
    assert gains_table(replace(frames, trials=taught)) is None
    assert "What distillation gains" not in render(replace(frames, trials=table([])))


def test_learning_curves_are_those_of_the_front():
    frames = make_frames()
    numbers = [int(row["number"]) for row in records(front_trials(frames))][:2]
    curves = {number: [(1, -1.0), (4, -2.0 - number)] for number in numbers}
    drawn = curves_figure(replace(frames, curves=curves)).data
    assert [list(line.y) for line in drawn] == [[-1.0, -2.0 - number] for number in numbers]
    assert np.array_equal(drawn[0].x, [1, 4])
    assert curves_figure(frames) is None
    assert "How the front’s members learned" in render(replace(frames, curves=curves))
