"""An objective that is 0 stands where its logarithmic scale ends, in numbers and figures."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from synthetic_frames import make_frames

from analysis.front_png import draw_front, write_png
from analysis.pareto import front_mask, sweep_front, sweep_hypervolume, transformed
from analysis.plots.front import front_figure, repeated_points
from analysis.plots.parallel import coordinates, shown_trials
from analysis.plots.stairs import pairs
from analysis.report import render
from analysis.summary import summary
from search_spaces.objectives import Objective

FLOOR = 4.0  # a millionth of the reference of ue_flops


@pytest.fixture(scope="module")
def frames():
    made = make_frames(trials=12)
    flops = made.trials["ue_flops"].copy()
    flops[int(made.trials.index[made.trials["state"] == "COMPLETE"][0])] = 0.0
    return replace(made, trials=made.trials.assign(ue_flops=flops))


def test_the_report_names_zeros_and_draws_them(frames, tmp_path):
    (note,) = (sentence for sentence in summary(frames) if "logarithmic" in sentence)
    assert re.search(r"UE encoder FLOPs of 1 finished trial is 0\b.* 4\b", note)
    assert note in re.sub(r"&nbsp;|&#8239;", " ", render(frames)) or "logarithmic" in render(frames)
    write_png(frames, tmp_path / "front.png")


def test_figures_place_it_at_the_end_of_the_scale(frames):
    (pair,) = pairs(frames.study.objectives)
    drawn = json.loads(front_figure(frames, pair).to_json())["data"]
    xs = [x for trace in drawn for x in trace["x"] if isinstance(trace["x"], list)]
    assert min(x for x in xs if x is not None) == FLOOR
    heights = coordinates(shown_trials(frames), frames)[-1].heights
    assert min(heights) == 0.0


def test_sweeps_without_zeros_add_no_note():
    assert not [s for s in summary(make_frames(trials=12)) if "logarithmic" in s]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@given(values=st.lists(st.sampled_from([0.0, 1e-12, 1e-3, 0.5, 2.0]), min_size=1, max_size=6))
def test_zero_stands_where_a_log_scale_ends(values, direction):
    goal = Objective(metric="m", direction=direction, reference=1.0, scale="log")
    placed = transformed([[v] for v in values], [goal])[:, 0]
    np.testing.assert_allclose(placed, np.log10(np.maximum(values, 1e-6)))
    volume = sweep_hypervolume([[v] for v in values], [goal])
    best = min(values) if direction == "minimize" else max(values)
    sign = 1.0 if direction == "maximize" else -1.0
    assert volume == pytest.approx(max(0.0, sign * math.log10(max(best, 1e-6))))


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1e-12, 1e-9, 2.0])] * 2), min_size=1))
def test_below_the_end_of_a_log_scale_the_front_is_exact(points):
    goals = [
        Objective(metric=f"m{k}", direction="minimize", reference=1.0, scale="log")
        for k in range(2)
    ]
    expected = front_mask(points, ["minimize"] * 2)
    assert sweep_front(points, goals).tolist() == expected.tolist()
    share = [replace(goal, tolerance=1e-6) for goal in goals]
    assert sweep_front(points, share).tolist() == expected.tolist()


def test_intervals_of_a_picture_are_where_their_means_are(frames):
    (pair,) = pairs(frames.study.objectives)
    axes = Figure().add_subplot()
    draw_front(axes, frames, pair, scale=1.0)
    points = repeated_points(frames, pair)
    lines = [marks for marks in axes.collections if isinstance(marks, LineCollection)]
    assert points
    assert lines
    for marks in lines:
        assert marks.get_offsets().tolist() == [[0.0, 0.0]]
