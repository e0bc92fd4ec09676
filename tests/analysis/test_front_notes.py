"""What a reader is told of tolerances and of costs that the knee leaves out."""

from dataclasses import replace

import pytest
from synthetic_frames import make_frames

from analysis.export import front_document
from analysis.frames import PARAM
from analysis.front_rows import front_notes
from analysis.fronts import front_trials, knee_trial
from analysis.ranking import rank_trials
from analysis.report import render
from analysis.summary import summary


def tolerant(frames, **tolerances):
    goals = [
        replace(goal, tolerance=tolerances.get(goal.metric, 0.0))
        for goal in frames.study.objectives
    ]
    spec = replace(frames.study, objectives=tuple(goals))
    found = rank_trials(frames.trials, spec)
    trials = frames.trials.assign(
        rank=found, front=[None if rank is None else rank == 0 for rank in found]
    )
    return replace(frames, study=spec, trials=trials)


def test_a_front_without_tolerances_or_echoes_needs_no_words():
    assert front_notes(make_frames()) == []
    assert front_document(make_frames())["knee_ignores"] == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_intervals_of_two_seeds_are_called_hardly_any(count):
    frames = make_frames()
    rows = frames.confirmations
    few = rows[rows[PARAM + "seed"].isin(frames.study.seeds.confirm[:count])]
    notes = front_notes(replace(frames, confirmations=few))
    assert [note for note in notes if "seeds.confirm" in note] == notes
    assert len(notes) == (count == 2)


@pytest.mark.parametrize(
    ("tolerances", "words"),
    [
        ({"val_nmse_db": 0.25}, ["0.25\N{NO-BREAK SPACE}dB in NMSE"]),
        ({"ue_flops": 0.3}, ["30\N{NO-BREAK SPACE}% in UE encoder FLOPs"]),
        (
            {"val_nmse_db": 0.25, "ue_flops": 0.3},
            ["0.25\N{NO-BREAK SPACE}dB in NMSE", "30\N{NO-BREAK SPACE}% in UE encoder FLOPs"],
        ),
    ],
)
def test_a_shown_front_states_its_tolerance(tolerances, words):
    plain = make_frames(trials=60)
    frames = tolerant(plain, **tolerances)
    (note,) = front_notes(frames)
    assert all(word in note for word in words)
    assert "within tolerance" in summary(frames)[0]
    assert "within tolerance" not in summary(plain)[0]
    shown = {o["metric"]: o["tolerance"] for o in front_document(frames)["objectives"]}
    assert shown == {"val_nmse_db": 0.0, "ue_flops": 0.0} | tolerances
    members, before = set(front_trials(frames)["number"]), set(front_trials(plain)["number"])
    assert members <= before
    assert members < before or "val_nmse_db" not in tolerances


def test_correlated_costs_count_once_and_are_named():
    frames = make_frames(objectives=5, trials=60)
    notes = front_notes(frames)
    ignored = front_document(frames)["knee_ignores"]
    assert [one["metric"] for one in ignored] == ["ue_params"]
    assert ignored[0]["like"] in ("ue_flops", "payload_bits")
    assert 0.95 < ignored[0]["correlation"] <= 1.0
    (note,) = notes
    assert "UE parameters" in note
    assert f"{ignored[0]['correlation']:.2f}" in note
    assert note in render(frames)
    assert knee_trial(frames) in set(front_trials(frames)["number"])
