"""The front of a sweep and its rows."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from synthetic_frames import make_frames, study, without_references

from analysis.export import write_parquet
from analysis.frames import table
from analysis.front_rows import front_rows
from analysis.fronts import confirmed, front_trials
from analysis.fronts import test_metric as metric_on_test
from analysis.pareto import directions_of, front_mask
from analysis.ranking import feasible_mask, objective_values, rank_trials

SPEC = study(2)


def rows(*values, **facts):
    """Trials with the given (NMSE, FLOPs) and a payload that the constraint allows."""
    return table(
        {
            "number": number,
            "state": "COMPLETE",
            "val_nmse_db": nmse,
            "ue_flops": flops,
            "payload_bits": 1024.0,
            **facts,
        }
        for number, (nmse, flops) in enumerate(values)
    )


def test_ranks_of_trials_are_those_of_their_points():
    found = rank_trials(rows((-5.0, 1e4), (-4.0, 1e5), (-6.0, 1e5), (-3.0, 1e6)), SPEC)
    assert found == [0, 1, 0, 2]


@pytest.mark.parametrize(
    "facts",
    [
        {"state": "FAIL"},
        {"state": "PRUNED"},
        {"payload_bits": 9999.0},
        {"payload_bits": float("nan")},
        {"val_nmse_db": float("nan")},
        {"ue_flops": float("inf")},
    ],
)
def test_what_is_not_feasible_has_no_rank(facts):
    trials = rows((-5.0, 1e4), **facts)
    assert not feasible_mask(trials, SPEC).any()
    assert rank_trials(trials, SPEC) == [None]


def test_an_infeasible_trial_dominates_nobody():
    trials = rows((-5.0, 1e4), (-9.0, 1e3))
    trials.loc[1, "payload_bits"] = 1e5
    assert rank_trials(trials, SPEC) == [0, None]


def test_no_trials():
    assert rank_trials(table([]), SPEC) == []
    assert objective_values(table([]), SPEC).shape == (0, 2)


@pytest.mark.parametrize("objectives", [1, 2, 3, 5])
def test_rows_of_the_front(objectives):
    frames = make_frames(objectives=objectives)
    found = front_rows(frames)
    trials = frames.feasible
    values = objective_values(trials, frames.study)
    on = front_mask(values, directions_of(frames.study.objectives))
    assert {row["trial"] for row in found} == set(trials["number"][on])
    assert found == json.loads(json.dumps(found, allow_nan=False))
    best_first = [row["val_nmse_db"] for row in found]
    assert best_first == sorted(best_first)
    assert all(row["test"]["test_nmse_db"]["seeds"] == 3 for row in found)


def test_rows_hold_only_parameters_that_had_an_effect():
    found = front_rows(make_frames(trials=80))
    assert {row["method"] for row in found} >= {"autoencoder-kd", "encoder-kd"}
    for row in found:
        assert ("temperature" in row["searched"]) == (row["method"] == "autoencoder-kd")
        assert "method" not in row["searched"]
        assert "preset" not in row["searched"]


def test_a_metric_may_be_called_like_the_parameters(tmp_path):
    frames = make_frames()
    goal = replace(frames.study.objectives[1], metric="params")
    study = replace(frames.study, objectives=(frames.study.objectives[0], goal))
    trials = frames.trials.assign(params=frames.trials["ue_params"])
    found = replace(frames, study=study, trials=trials)
    by_trial = {int(row["number"]): row["ue_params"] for _, row in trials.iterrows()}
    for row in front_rows(found):
        assert row["params"] == by_trial[row["trial"]]
        assert "compression" in row["searched"]
    write_parquet(found, tmp_path / "front.parquet")
    assert pq.read_table(tmp_path / "front.parquet")["params"].to_pylist() == [
        row["params"] for row in front_rows(found)
    ]


def test_inactive_defaults_are_left_out():
    frames = make_frames()
    filled = frames.trials["param.temperature"].map(lambda value: value or 4.0)
    frames = replace(frames, trials=frames.trials.assign(**{"param.temperature": filled}))
    for row in front_rows(frames):
        assert ("temperature" in row["searched"]) == (row["method"] == "autoencoder-kd")


def test_confirmation_is_the_mean_over_its_seeds():
    frames = make_frames()
    number = int(front_trials(frames)["number"].iloc[0])
    runs = frames.confirmations[frames.confirmations["number"] == number]
    interval = confirmed(frames, number, "test_nmse_db")
    assert interval is not None
    assert interval.mean == pytest.approx(np.mean(runs["test_nmse_db"]))
    assert confirmed(frames, number, "test_unknown") is None
    assert confirmed(without_references(frames), number, "test_nmse_db") is None


def test_only_validation_metrics_have_a_test_metric():
    assert [metric_on_test(o) for o in SPEC.objectives] == ["test_nmse_db", None]
