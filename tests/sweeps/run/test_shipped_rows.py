"""The rows of shipped tables against the runs that their studies make, without running any."""

import pytest

from analysis.claims import judged_claims
from analysis.frames import PARAM, SweepFrames, table
from analysis.stats import Verdict
from analysis.tables import matching_runs, row_values
from kdtasks.contract.registry import load_task
from search_spaces.study import available, load_study
from sweeps.plan.needs import by_teacher, find_needs, task_params

METRIC = "test_top2"


def runs(configs):
    """One run per configuration, each with another number."""
    return table(
        {"number": number, METRIC: float(number), **{PARAM + n: v for n, v in config.items()}}
        for number, config in enumerate(configs)
    )


def as_swept(study):
    """The sweep of a study of points, as it would be recorded."""
    task = load_task(study.task)
    configs = [task.complete(task_params(study, point)) for point in study.search.points]
    needs = by_teacher(find_needs(study, task)).values()
    return SweepFrames(
        name="made-up",
        study=study,
        metrics={},
        trials=table([]),
        teachers=runs(need.deciding for need in needs),
        baselines=table([]),
        confirmations=runs(configs),
    )


def rows_without_runs(study):
    frames = as_swept(study)
    rows = [row for one in study.report.tables for row in one.rows if row.role == "confirmation"]
    return [row.id for row in rows if not len(matching_runs(frames, row))]


def test_every_row_of_students_has_runs():
    studies = [study for name in available() if (study := load_study(name)).report.tables]
    of_points = [study for study in studies if study.search.sampler == "points"]
    assert len(of_points) > 15
    assert {study.name: found for study in of_points if (found := rows_without_runs(study))} == {}


@pytest.mark.parametrize("name", ["beam-gain", "beam-table2", "beam-table2-short", "beam-streets"])
def test_a_row_is_one_run_per_seed_and_every_claim_can_be_judged(name):
    study = load_study(name)
    frames = as_swept(study)
    seeds = {point["seed"] for point in study.search.points}
    for row in (row for one in study.report.tables for row in one.rows):
        found = row_values(frames, row, METRIC)
        assert {one.seed for one in found} == seeds if row.role == "confirmation" else found, row.id
    verdicts = [judged.verdict for judged in judged_claims(frames)]
    assert verdicts
    assert Verdict.NOT_MEASURED not in verdicts


def test_the_arms_of_beam_gain_are_all_in_its_table():
    study = load_study("beam-gain")
    frames = as_swept(study)
    rows = study.report.tables[0].rows
    shown = {
        (row.role, value) for row in rows for value in row_values(frames, row, METRIC).values()
    }
    for role, made in (("confirmation", frames.confirmations), ("teacher", frames.teachers)):
        assert {value for kind, value in shown if kind == role} == set(made[METRIC])
