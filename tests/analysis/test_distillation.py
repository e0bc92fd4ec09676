import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_frames import make_frames
from tried import times

from analysis.claims import judged_claims
from analysis.distillation import SPENT, bought, compared, differs, effort_text
from analysis.plots.effort import effort_figure
from analysis.report import render
from analysis.summary import summary
from search_spaces.effort import Effort
from search_spaces.report_spec import Claim, Column, ReportSpec, Row, Table

FRAMES = make_frames(trials=24, failures=0)
SENTENCES = {
    None: "does not even out",
    Effort(regime="as-published"): "does not even out",
    Effort(regime="plateau"): "until validation no longer improved",
    Effort(regime="gflop", gflop=4.0): "4.00 GFLOP of training, in whole epochs",
}


def with_efforts(efforts, effort=None):
    trials = FRAMES.trials.assign(
        **{SPENT: np.resize(np.array(efforts, float), len(FRAMES.trials))}
    )
    study = replace(FRAMES.study, effort=effort)
    return replace(FRAMES, trials=trials, study=study)


def sentences(frames):
    return " ".join(bought(frames, compared(frames))).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("effort", SENTENCES, ids=effort_text)
def test_the_regime_of_a_study_is_named(effort):
    frames = with_efforts([5.0], effort)
    assert SENTENCES[effort] in sentences(frames)
    assert SENTENCES[effort] in " ".join(summary(frames)).replace("\N{NO-BREAK SPACE}", " ")


@given(st.floats(1.0, 100.0), st.floats(1.0, 100.0))
def test_efforts_a_tenth_apart_compare_trials_and_not_methods(first, second):
    taught = FRAMES.trials["taught"].astype(bool)
    frames = with_efforts(np.where(taught, first, second))
    apart = abs(first - second) / max(first, second) > 0.1
    assert differs(first, second) == apart
    assert ("not methods" in sentences(frames)) == apart


@settings(max_examples=times(50))
@given(st.lists(st.integers(1, 9), min_size=24, max_size=24))
def test_what_a_teacher_saves_is_the_least_training_that_is_as_good(efforts):
    frames = with_efforts(efforts)
    pair = compared(frames)
    rows = frames.trials[frames.trials["state"] == "COMPLETE"]
    rows = rows[(rows["payload_bits"] <= 4096) & (rows["val_nmse_db"] <= pair.plain["val_nmse_db"])]
    if not pair.dearer:
        rows = rows[rows["ue_flops"] <= pair.taught["ue_flops"]]
    least = {
        taught: part[SPENT].min() for taught, part in rows.groupby(rows["taught"].astype(bool))
    }
    found = re.search(r"needs (?:.*?), ([\d.]+) GFLOP against ([\d.]+) GFLOP", sentences(frames))
    if len(least) < 2:
        assert not found
    else:
        assert (float(found[1]), float(found[2])) == (least[True], least[False])


def test_unknown_efforts_are_named():
    assert "was not noted" in sentences(FRAMES)
    assert effort_figure(FRAMES) is None


def test_the_figure_shows_what_each_method_reached_with_so_much_training():
    frames = with_efforts(np.arange(1.0, 25.0))
    figure = effort_figure(frames)
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert {trace.name for trace in lines} == {"vanilla", "autoencoder-kd", "encoder-kd"}
    for trace in lines:
        assert np.all(np.diff(trace.x) > 0.0)
        assert np.all(np.diff(trace.y) <= 0.0)
    drawn = sum(
        len(trace.x) for trace in figure.data if trace.mode == "markers" and trace.error_y.array
    )
    repeated = {*frames.confirmations["number"]} & {*frames.feasible["number"]}
    assert drawn == len(repeated) > 0
    assert "What training buys" in render(frames)


@pytest.mark.parametrize(
    ("efforts", "regime", "words"),
    [
        ((5.0, 5.2), "as-published", ""),
        ((5.0, 8.0), "as-published", "not at equal effort: ours 5.00 GFLOP, theirs 8.00 GFLOP"),
        ((5.0, 8.0), "plateau", "each to a plateau: ours 5.00 GFLOP, theirs 8.00 GFLOP"),
    ],
)
def test_a_claim_names_efforts_that_differ(efforts, regime, words):
    one = FRAMES.trials[FRAMES.trials["state"] == "COMPLETE"]
    first = [one[one["method"] == method].iloc[:1] for method in ("encoder-kd", "vanilla")]
    trials = pd.concat(first).assign(**{SPENT: efforts})
    rows = tuple(
        Row(id=label, role="trial", match={"method": method})
        for label, method in (("ours", "encoder-kd"), ("theirs", "vanilla"))
    )
    claim = Claim(id="c", text="ours is better", metric="val_nmse_db", order=("ours", "theirs"))
    report = ReportSpec(
        tables=(Table(id="t", columns=(Column("val_nmse_db"),), rows=rows),), claims=(claim,)
    )
    study = replace(FRAMES.study, effort=Effort(regime=regime), report=report, stopping=None)
    [judged] = judged_claims(replace(FRAMES, trials=trials, study=study))
    detail = judged.detail.replace("\N{NO-BREAK SPACE}", " ")
    assert words in detail
    assert bool(words) == ("effort" in detail or "plateau" in detail)
