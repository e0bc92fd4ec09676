"""Teachers and baselines beside a front: those of its data, best first, on the same splits."""

import math
from dataclasses import replace

import pytest
from synthetic_frames import make_frames

from analysis.export import front_document
from analysis.frames import PARAM
from analysis.front_rows import reference_rows
from analysis.fronts import front_trials
from analysis.ranking import records


@pytest.mark.parametrize("compression", [8, 16, 32])
def test_references_are_those_of_the_data_of_the_trials(compression):
    frames = make_frames()
    trials = frames.feasible[frames.feasible[PARAM + "compression"] == compression]
    for row, table in zip(
        reference_rows(frames, trials), (frames.teachers, frames.baselines), strict=True
    ):
        (own,) = [one for one in records(table) if one[PARAM + "compression"] == compression]
        for metric in ("val_nmse_db", "ue_flops"):
            assert row[metric] == own[metric]
        assert row["test"]["test_nmse_db"]["mean"] == own["test_nmse_db"]


def test_teachers_come_first_and_the_best_of_each_first():
    rows = reference_rows(make_frames(), make_frames().feasible)
    kinds = [row["method"].startswith("baseline ") for row in rows]
    assert kinds == sorted(kinds)
    assert len({row["method"] for row in rows}) == len(rows) == 6
    for kind in (False, True):
        values = [
            row["val_nmse_db"] for row, is_one in zip(rows, kinds, strict=True) if is_one is kind
        ]
        assert values == sorted(values)


def test_a_reference_that_was_not_measured_is_left_out_and_a_split_that_was_not_is_empty():
    frames = make_frames()
    teachers = frames.teachers.assign(val_nmse_db=math.nan, test_nmse_db=math.nan)
    left = reference_rows(replace(frames, teachers=teachers), frames.feasible)
    assert all(row["method"].startswith("baseline ") for row in left)
    untested = replace(frames, teachers=frames.teachers.assign(test_nmse_db=math.nan))
    rows = reference_rows(untested, frames.feasible)
    assert [row["test"] == {} for row in rows] == [True] * 3 + [False] * 3


def test_the_document_of_a_front_has_them():
    frames = make_frames()
    assert front_document(frames)["references"] == reference_rows(frames, front_trials(frames))
