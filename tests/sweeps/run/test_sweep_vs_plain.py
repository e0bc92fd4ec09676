"""The pieces of benchmarks/sweep_vs_plain.py."""

import math
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from csi_examples import drained
from hypothesis import given
from hypothesis import strategies as st

from analysis import pareto
from benchmarks import csi_cases, plain_script
from benchmarks.bare_loop import bare_run
from benchmarks.csi_cases import ARCHITECTURES, Case, Places, make_case, network_of
from benchmarks.curves import Curve, Found
from benchmarks.process_tree import SAMPLING_S, FailedRunError, Spending, measured
from benchmarks.sweep_vs_plain import METHODS, Student, steps_s
from kdtasks.csi_feedback.settings import resolve
from kdtasks.learning.metrics import nmse
from kdtasks.learning.tensors import as_tensor
from kdtasks.learning.training import run_frozen
from search_spaces.to_optuna import suggest

ROOT = Path(__file__).resolve().parents[3]
SIZES = {
    "num_train": 200,
    "num_val": 60,
    "epochs": 2,
    "encoder_epochs": 2,
    "finetune_epochs": 1,
    "teacher_epochs": 1,
}
OBJECTIVES = make_case("encoder-kd", SIZES, trials=1, slots=1).study(0, stopping=False).objectives

finished_trials = st.lists(
    st.builds(
        Found,
        at_s=st.floats(0.0, 1e4),
        values=st.tuples(st.floats(-20.0, 1.0), st.floats(1e3, 1e7)),
    ),
    min_size=1,
    max_size=8,
)


def volume_after(found: list[Found], at_s: float) -> float:
    values = [trial.values for trial in found if trial.at_s <= at_s]
    return pareto.sweep_hypervolume(values, OBJECTIVES)


@given(found=finished_trials, share=st.floats(0.01, 1.0))
def test_a_volume_is_reached_at_the_first_end_of_a_trial_that_has_it(found, share):
    curve = Curve.of(found, OBJECTIVES)
    assert curve.final == pytest.approx(volume_after(found, math.inf))
    target, rounding = share * curve.final, 1e-9
    reached_s = curve.reached_s(target)
    assert volume_after(found, reached_s) >= target - rounding
    earlier = [trial.at_s for trial in found if trial.at_s < reached_s]
    assert all(volume_after(found, at_s) < target + rounding for at_s in earlier)


@given(found=finished_trials)
def test_more_than_all_is_never_reached(found):
    curve = Curve.of(found, OBJECTIVES)
    assert curve.reached_s(curve.final + 1e-6) == math.inf
    assert Curve.of([], OBJECTIVES).reached_s(1.0) == math.inf


@given(
    steps=st.lists(st.tuples(st.floats(0.1, 2.0), st.floats(0.0, 3.0)), min_size=1, max_size=9),
    moments=st.tuples(st.floats(-1.0, 30.0), st.floats(-1.0, 30.0)),
)
def test_what_was_paid_grows_and_passes_through_what_was_seen(steps, moments):
    at_s, cpu_s = np.cumsum(steps, axis=0).T
    spending = Spending(
        begun_s=0.0, wall_s=30.0, at_s=tuple(at_s.tolist()), cpu_s=tuple(cpu_s.tolist())
    )
    for moment, cpu in zip(at_s, cpu_s, strict=True):
        assert spending.cpu_at(moment) == pytest.approx(cpu)
    earlier, later = sorted(moments)
    assert 0.0 <= spending.cpu_at(earlier) <= spending.cpu_at(later) + 1e-9
    assert spending.cpu_at(math.inf) == spending.paid_cpu_s == pytest.approx(cpu_s[-1])


BURN = """
import subprocess, sys, time
def burn():
    while time.process_time() < 0.5: pass
"""
GRANDCHILD = f"{BURN}\nburn(); time.sleep(1)"
CHILD = f"{BURN}\nsubprocess.Popen([sys.executable, '-c', {GRANDCHILD!r}]); burn(); time.sleep(1)"
FAMILY = f"{BURN}\nsubprocess.run([sys.executable, '-c', {CHILD!r}]); burn(); time.sleep(2)"


def test_everything_that_a_process_starts_is_on_its_account(tmp_path):
    spending = measured(
        [sys.executable, "-c", FAMILY], env=os.environ, log=tmp_path / "log", limit_s=100.0
    )
    assert 1.5 - 3 * SAMPLING_S / 2 < spending.paid_cpu_s < 2.5
    assert spending.paid_cpu_s == max(spending.cpu_s)


def test_a_run_that_fails_or_hangs_is_reported(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(FailedRunError, match="no such luck"):
        measured([sys.executable, "-c", "exit('no such luck')"], env={}, log=log, limit_s=25.0)
    with pytest.raises(FailedRunError, match="ended with -1"):
        measured(["sleep", "30"], env=os.environ, log=log, limit_s=0.2)


@pytest.mark.parametrize("method", METHODS)
def test_both_sides_search_the_same_space(method):
    space = make_case(method, SIZES, trials=1, slots=1).study(0, stopping=False).space
    sampler = optuna.samplers.RandomSampler(seed=0)
    ours, theirs = (optuna.create_study(sampler=sampler) for _ in range(2))
    drawn = {"ours": set(), "theirs": set()}
    domains = {}
    for _ in range(60):
        one, other = ours.ask(), theirs.ask()
        suggest(one, space)
        plain_script.SPACES[method](other)
        for side, trial in (("ours", one), ("theirs", other)):
            drawn[side].add(frozenset(trial.distributions))
            drawn[side].add(network_of(trial.params))
            for name, domain in trial.distributions.items():
                assert domains.setdefault(name, domain) == domain
    assert drawn["ours"] == drawn["theirs"]
    assert {network_of(network) for network in ARCHITECTURES} <= drawn["ours"]


def tiny_case(method: str) -> Case:
    case = make_case(method, SIZES, trials=1, slots=1)
    return replace(case, fixed={**case.fixed, "num_antennas": 8, "num_subcarriers": 8})


@pytest.mark.parametrize("method", METHODS)
def test_bare_loop_and_script_train_the_same_student_as_a_trial(method, tmp_path):
    case = tiny_case(method)
    places = Places(home=tmp_path / "runs", teachers=tmp_path / "teachers")
    csi_cases.train_teachers(case, places)
    data = places.data_of(case)
    params = case.params({"compression": 32, "encoder_depth": 2, "encoder_width": 4})
    teacher = places.teacher_of(case, 32)
    outcome = drained(csi_cases.TASK.train_student(params, data.train, data.val, teacher))[1]
    assert bare_run(params, data, teacher).val_nmse_db == outcome.metrics["val_nmse_db"]

    settings = resolve(params)
    val = as_tensor(data.val["pictures"])
    script = plain_script.Training(
        settings=settings,
        teacher=plain_script.load_teacher(settings, places.teachers),
        pictures=as_tensor(data.train["pictures"]),
        val_pictures=val,
    )
    reports = drained(
        script.autoencoder_kd() if method == "autoencoder-kd" else script.encoder_kd()
    )[0]
    assert len(reports) == case.stages[-1]
    error_db = nmse(val, run_frozen(script.student, val)).decibel
    # Targets of single batches and losses without a factor round otherwise, and training enlarges
    # that; another order of samples or another start would be tenths of a dB away.
    assert error_db == pytest.approx(outcome.metrics["val_nmse_db"], abs=0.02)


def test_teachers_are_trained_once_for_both_sides(tmp_path):
    places = Places(home=tmp_path / "runs", teachers=tmp_path / "teachers")
    case = tiny_case("encoder-kd")
    csi_cases.train_teachers(case, places)
    cached = places.home / "cache" / "teachers"
    files = {path: path.stat().st_mtime_ns for path in cached.rglob("*.safetensors")}
    assert len(files) == 4
    csi_cases.train_teachers(tiny_case("autoencoder-kd"), places)
    assert files == {path: path.stat().st_mtime_ns for path in cached.rglob("*.safetensors")}
    state = torch.load(plain_script.teacher_file(places.teachers, 16), weights_only=True)
    weights = places.teacher_of(case, 16).weights
    assert state.keys() == weights.keys()
    assert all(np.array_equal(state[name].numpy(), weights[name]) for name in weights)


def test_steps_of_stopped_trials_are_those_they_took():
    case = make_case("encoder-kd", {**SIZES, "encoder_epochs": 5}, trials=1, slots=1)
    rates = {"a": ((1.0, 10.0), 0.25)}

    def seconds(epochs: int | None) -> float:
        return steps_s(case, [Student(network="a", epochs=epochs)], rates)

    assert [seconds(epochs) for epochs in range(7)] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 15.0]
    assert seconds(None) == 15.25
