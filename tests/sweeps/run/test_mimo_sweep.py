"""A sweep of MIMO detection from the study's text to the test split, in one process."""

import json

import pytest
from in_process import Engine
from mimo_trials import TASK, TINY

from kdtasks.contract.params import fingerprint
from search_spaces.study import load_study, parse_study
from sweeps.plan.needs import task_params
from sweeps.plan.preflight import check_study

STUDY = {
    "name": "genes",
    "title": "genes",
    "task": "mimo-detection",
    "parameters": TINY,
    "space": {},
    "objectives": [
        {"metric": "val_ber", "direction": "minimize", "unit": "", "reference": 0.5},
        {"metric": "bytes_to_edge", "direction": "minimize", "unit": "B", "reference": 1e6},
    ],
    "search": {
        "sampler": "points",
        "points": [
            {"method": "vanilla"},
            {"method": "learngene", "target": ["2x2 qpsk rician-3", "2x2 qpsk kronecker-0.6"]},
        ],
    },
    "seeds": {"search": 0, "trial": 0, "confirm": [0]},
    "confirm": {"select": "all", "retrain": False},
    "budget": {"time": None},
}


def shipped(name):
    """Return a study of the package and what the task makes of its points."""
    study = load_study(name)
    return study, [TASK.complete(task_params(study, point)) for point in study.search.points]


@pytest.mark.parametrize("name", ["learngene", "learngene-table"])
def test_shipped_studies_can_run_and_their_points_are_trials(name):
    study, trials = shipped(name)
    assert check_study(study).task.name == study.task == TASK.name
    assert len({fingerprint(trial) for trial in trials}) == len(trials)
    methods = {trial["method"] for trial in trials}
    assert methods == {"vanilla", "learngene", "finetune", "kd", "learngene-kd"}
    starts = {trial["gene_start"] for trial in trials if trial["method"] == "learngene"}
    assert starts == {0, 3, 6}


def test_layers_are_dimensions_of_the_search():
    study, _ = shipped("learngene")
    assert {"gene_start", "gene_length", "treatment", "adapter"} <= set(study.space.names)
    # Every start and length is a segment that some individual of the space can hold.
    assert len(check_study(study).needs) > 0


def test_the_short_table_is_part_of_the_whole_one():
    short, whole = (shipped(name) for name in ("learngene-table-short", "learngene-table"))
    assert check_study(short[0]).task.name == TASK.name
    trials = [{fingerprint(trial) for trial in trials} for _, trials in (short, whole)]
    assert trials[0] < trials[1]
    claims, rows = (
        [set(part(study)) for study, _ in (short, whole)]
        for part in (
            lambda study: (claim.id for claim in study.report.claims),
            lambda study: (row.id for table in study.report.tables for row in table.rows),
        )
    )
    assert claims[0] < claims[1]
    assert rows[0] < rows[1]


@pytest.mark.parametrize("name", ["learngene-table", "learngene-table-short"])
def test_every_trial_of_the_table_is_in_its_rows_and_seeds_belong_to_one_collective(name):
    study, trials = shipped(name)
    rows = [r for t in study.report.tables for r in t.rows if r.role == "confirmation"]
    found = {row.id: [] for row in rows}
    for trial in trials:
        (row,) = [row for row in rows if row.match.items() <= trial.items()]
        found[row.id].append(trial["seed"])
        assert trial.get("teacher_seed", trial["seed"] // 5) == trial["seed"] // 5
    assert {tuple(sorted(seeds)) for seeds in found.values()} == {tuple(range(10))}
    assert len({trial["target"] for trial in trials}) == 3
    learnt = {link for trial in trials for link in trial.get("stream", "").split(", ")}
    assert not learnt & {trial["target"] for trial in trials}


@pytest.mark.slow
def test_two_targets_share_one_collective(tmp_path):
    engine = Engine(parse_study(json.dumps(STUDY), "genes.yaml"), tmp_path)
    engine.teach()
    assert len(engine.resources.teachers) == 1
    assert len(engine.resources.scenarios) == 2
    engine.search()
    assert engine.confirm() == 0
    vanilla, *inheriting = (trial.metrics for trial in engine.ledger.trials())
    assert vanilla["bytes_to_edge"] == 0.0 < inheriting[0]["bytes_to_edge"]
    jobs = {job.key: job for job in engine.ledger.jobs()}
    assert sum(job.kind == "confirmation" for job in jobs.values()) == 3
    assert sum(job.kind == "baseline" for job in jobs.values()) == 2 * 5
    for job in jobs.values():
        assert not job.reason
        assert 0.0 <= job.metrics["test_ber_20db"] <= job.metrics["test_ber_5db"] <= 0.5
