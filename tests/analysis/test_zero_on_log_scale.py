"""An objective that is 0 stands where its logarithmic scale ends, in numbers and figures."""

import json
import re
from dataclasses import replace

import pytest
from synthetic_frames import make_frames

from analysis.front_png import write_png
from analysis.plots.front import front_figure
from analysis.plots.parallel import coordinates, shown_trials
from analysis.plots.stairs import pairs
from analysis.report import render
from analysis.summary import summary

FLOOR = 4.0  # a millionth of the reference of ue_flops


@pytest.fixture(scope="module")
def frames():
    made = make_frames(trials=12)
    flops = made.trials["ue_flops"].copy()
    flops[int(made.trials.index[made.trials["state"] == "COMPLETE"][0])] = 0.0
    return replace(made, trials=made.trials.assign(ue_flops=flops))


def test_the_report_says_so_and_draws_it(frames, tmp_path):
    (said,) = (sentence for sentence in summary(frames) if "logarithmic" in sentence)
    assert re.search(r"UE encoder FLOPs of 1 finished trial is 0\b.* 4\b", said)
    assert said in re.sub(r"&nbsp;|&#8239;", " ", render(frames)) or "logarithmic" in render(frames)
    write_png(frames, tmp_path / "front.png")


def test_figures_place_it_at_the_end_of_the_scale(frames):
    (pair,) = pairs(frames.study.objectives)
    drawn = json.loads(front_figure(frames, pair).to_json())["data"]
    xs = [x for trace in drawn for x in trace["x"] if isinstance(trace["x"], list)]
    assert min(x for x in xs if x is not None) == FLOOR
    heights = coordinates(shown_trials(frames), frames)[-1].heights
    assert min(heights) == 0.0


def test_sweeps_without_zeros_say_nothing():
    assert not [s for s in summary(make_frames(trials=12)) if "logarithmic" in s]
