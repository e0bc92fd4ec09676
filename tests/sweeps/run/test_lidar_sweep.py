"""A sweep of LiDAR beam tracking from the study's text to the test split, in one process."""

import json

import pytest
from in_process import Engine
from lidar_trials import TASK, TINY

from benchmarks.lidar_share import arms_of
from kdtasks.contract.params import fingerprint
from search_spaces.study import load_study, parse_study
from sweeps.plan.needs import task_params

STUDY = {
    "name": "scans",
    "title": "scans",
    "task": "lidar-beam",
    "parameters": {**TINY, "epochs": 1, "generator_steps": 20},
    "space": {},
    "objectives": [
        {"metric": "val_top1", "direction": "maximize", "unit": "%", "reference": 0},
        {"metric": "bytes_to_edge", "direction": "minimize", "unit": "B", "reference": 1e8},
    ],
    "search": {
        "sampler": "points",
        "points": [
            {"method": "vanilla"},
            {"method": "datafree", "travels": ["metadata", "generator"]},
        ],
    },
    "seeds": {"search": 0, "trial": 0, "confirm": [0]},
    "confirm": {"select": "all", "retrain": False},
    "budget": {"time": None},
}


SHIPPED = (
    "lidar-datafree",
    "lidar-ablation",
    "lidar-ablation-short",
    "lidar-traffic",
    "lidar-dense",
    "lidar-topologies",
)


def shipped(name):
    """Return a study of the package and what the task makes of its points."""
    study = load_study(name)
    return study, [TASK.complete(task_params(study, point)) for point in study.search.points]


@pytest.mark.parametrize("name", SHIPPED)
def test_points_of_shipped_studies_are_trials_and_controls_are_among_them(name):
    study, trials = shipped(name)
    assert study.task == TASK.name
    assert len({fingerprint(trial) for trial in trials}) == len(trials)
    assert {"datafree", "gaussian"} <= {trial["method"] for trial in trials}


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("lidar-ablation", {(0, 1, 2), (0, 1, 2, 3, 4)}),
        ("lidar-ablation-short", {(0, 1, 2, 3, 4)}),
        ("lidar-traffic", {(0, 1, 2, 3, 4)}),
    ],
)
def test_every_trial_of_an_ablation_is_in_one_row_and_every_row_has_its_seeds(name, seeds):
    study, trials = shipped(name)
    rows = [row for table in study.report.tables for row in table.rows if row.role != "teacher"]
    found = {row.id: [] for row in rows}
    for trial in trials:
        (row,) = [row for row in rows if row.match.items() <= trial.items()]
        found[row.id].append(trial["seed"])
        # Every seed has a street, traffic, a teacher and a student of its own.
        assert trial["data_seed"] == trial.get("teacher_seed", trial["seed"]) == trial["seed"]
        assert trial.get("site_seed", 1) == trial["seed"] + 1
    assert {tuple(own) for own in found.values()} == seeds


def test_the_short_ablation_is_a_part_of_the_long_one():
    names = ("lidar-ablation", "lidar-ablation-short")
    whole, part = ({fingerprint(trial) for trial in shipped(name)[1]} for name in names)
    assert part < whole


def test_every_deployment_of_the_topologies_is_in_one_row():
    study, trials = shipped("lidar-topologies")
    rows = [row for table in study.report.tables for row in table.rows]
    for trial in trials:
        assert sum(row.match.items() <= trial.items() for row in rows) == 1
    assert len(rows) == len(trials)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_metadata_reach_the_trials_through_the_cache_of_teachers(tmp_path):
    study = parse_study(json.dumps(STUDY), "scans.yaml")
    engine = Engine(study, tmp_path)
    engine.teach()
    assert len(engine.resources.teachers) == 1
    engine.search()
    assert engine.confirm() == 0
    scans, metadata, generator = (trial.metrics for trial in engine.ledger.trials())
    # The same student, by another way.
    assert metadata["val_top1"] == generator["val_top1"]
    assert metadata["bytes_to_edge"] > generator["bytes_to_edge"] > 4 * 96_640
    assert scans["scans_to_edge"] > 0.0 == metadata["scans_to_edge"]
    assert "generator_metadata" in metadata
    assert "generator_metadata" not in scans
    kinds = [job.kind for job in engine.ledger.jobs()]
    assert sorted(kinds) == [*2 * ["baseline"], *3 * ["confirmation"], "teacher"]
    arms = arms_of(engine.ledger.jobs(), "gru")
    assert sorted(arm.method for arm in arms) == ["datafree", "datafree", "vanilla"]
    (teacher,) = [job for job in engine.ledger.jobs() if job.kind == "teacher"]
    for arm in arms:
        share = 100.0 * arm.top5[0] / teacher.metrics["test_top5"]
        assert dict(arm.share) == {0: pytest.approx(share)}
    for job in engine.ledger.jobs():
        assert not job.reason
        assert 0.0 <= job.metrics["test_top1"] <= job.metrics["test_top5"] <= 100.0
