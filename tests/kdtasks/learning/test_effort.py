from types import SimpleNamespace

import lidar_trials
import pytest
from csi_examples import drained, silent
from hypothesis import given
from hypothesis import strategies as st
from two_networks import Clusters

from kdtasks.contract.effort import EFFORT_METRICS, epochs_within
from kdtasks.contract.errors import ConfigError
from kdtasks.distillation.settings import METHODS
from kdtasks.learning.training import RATE_SHARES, End, Plateau, Schedule
from kdtasks.lidar_beam.settings import resolve
from kdtasks.lidar_beam.workload import generator_size, teacher_size


def followed(scores, rule):
    """Return the rate shares of the epochs that a training with these scores has."""
    end, shares = End(rule), []
    for score in scores:
        shares.append(end.rate_share)
        end.see(score)
        if end.reached:
            break
    return end, shares


def by_the_rules(scores, rule):
    """The same, written as the rule is told: count epochs without an improvement, thrice."""
    shares, start, best = [], 0, float("inf")
    for share in RATE_SHARES:
        since = 0
        while since < rule.epochs:
            if start == len(scores):
                return False, shares
            improved = scores[start] < best - rule.gain
            best, since = (scores[start], 0) if improved else (best, since + 1)
            shares.append(share)
            start += 1
    return True, shares


RULES = st.builds(Plateau, epochs=st.integers(1, 4), gain=st.sampled_from([0.0, 0.1, 1.0]))


@given(st.lists(st.integers(-9, 9).map(lambda tenth: tenth / 4), max_size=40), RULES)
def test_a_training_ends_at_its_third_plateau(scores, rule):
    end, shares = followed(scores, rule)
    assert (end.reached, shares) == by_the_rules(scores, rule)
    assert end.capped == (not end.reached)


def test_without_a_rule_a_training_never_ends_by_itself():
    end, shares = followed([0.0] * 50, None)
    assert (end.reached, end.capped, set(shares)) == (False, 0.0, {1.0})


def test_until_a_plateau_the_rate_is_constant_after_the_warm_up():
    schedule = Schedule(
        epochs=9, batch_size=1, learning_rate=1.0, plateau=Plateau(epochs=1, gain=0.0)
    )
    assert {schedule.rate_share(step, 900) for step in range(100, 900)} == {1.0}


@given(st.floats(1.0, 1e6), st.floats(0.01, 1e4), st.floats(0.0, 1e4))
def test_as_many_epochs_as_fit(budget, each, once):
    settings = SimpleNamespace(effort_gflop=budget / 1e9)
    budget = settings.effort_gflop * 1e9

    def flop_of(epochs):
        return once + each * epochs

    if flop_of(1) > budget or flop_of(100_000) <= budget:
        with pytest.raises(ConfigError, match="effort_gflop"):
            epochs_within(settings, flop_of)
        return
    epochs = epochs_within(settings, flop_of)
    assert flop_of(epochs) <= budget < flop_of(epochs + 1)


def trained(**given):
    task = Clusters()
    params = task.complete({"batch_size": 30, **given})
    data = task.load_scenario(params, cache_dir=None, progress=silent)
    teacher = None
    if task.teacher_fingerprint(params):
        teacher = drained(task.train_teacher(params, data.train, data.val))[1]
    return drained(task.train_student(params, data.train, data.val, teacher))


@pytest.mark.parametrize("method", METHODS)
def test_methods_get_the_same_computation(method):
    taught = {} if method in ("vanilla", "self") else {"teacher_epochs": 1}
    reports, outcome = trained(method=method, effort="gflop", effort_gflop=2e-3, **taught)
    found = outcome.metrics
    assert {*EFFORT_METRICS} <= {*found}
    assert found["train_epochs"] == len(reports)
    rounds = 2 if method == "self" else 1
    one_more = found["train_gflop"] * (1.0 + rounds / found["train_epochs"])
    assert found["train_gflop"] <= 2e-3 < one_more * (1.0 + 1e-9)


def test_a_projection_is_part_of_the_computation():
    same = {"epochs": 1, "teacher_epochs": 1}
    plain = trained(method="response", **same)[1].metrics
    mapped = trained(method="feature", **same)[1].metrics
    assert mapped["train_gflop"] - plain["train_gflop"] == pytest.approx(6e-9 * 4 * 32 * 300)


def test_a_plateau_ends_a_training_or_its_cap_does():
    reports, outcome = trained(method="vanilla", effort="plateau", plateau_epochs=1)
    assert 3 <= len(reports) < 200
    assert outcome.metrics["train_capped"] == 0.0
    reports, outcome = trained(method="vanilla", effort="plateau", plateau_cap=2)
    assert (len(reports), outcome.metrics["train_capped"]) == (2, 1.0)


@pytest.mark.parametrize("name", ["effort_gflop", "plateau_epochs", "plateau_gain", "plateau_cap"])
def test_numbers_of_another_effort_are_refused(name):
    with pytest.raises(ConfigError, match=rf"{name}.*no effect.*effort"):
        Clusters().complete({name: 2 if name in ("plateau_epochs", "plateau_cap") else 2.0})


def test_an_effort_is_for_one_node():
    with pytest.raises(ConfigError, match=r"effort.*topology none"):
        Clusters().complete({"effort": "plateau", "topology": "centralized"})


def test_each_system_reports_the_effort_of_a_training(system):
    trials, data, trained, params = system
    found = trials.trained_student(data, trained, **params)[1].metrics
    assert EFFORT_METRICS.items() <= trials.TASK.metrics.items()
    assert EFFORT_METRICS.keys() <= found.keys()
    once = found["train_samples"] / found["train_epochs"]
    assert once == int(once)
    assert min(found[f"train_{name}"] for name in ("core_seconds", "samples", "gflop")) > 0.0


def test_the_effort_of_a_generator_belongs_to_its_student(lidar_data_tiny, lidar_teacher):
    effort = {
        method: lidar_trials.trained_student(lidar_data_tiny, lidar_teacher, method=method)[
            1
        ].metrics
        for method in ("datafree", "untrained")
    }
    settings = resolve(lidar_trials.tiny(method="datafree"))
    windows = settings.generator_steps * settings.generator_batch
    gained = {
        name: effort["datafree"][name] - effort["untrained"][name]
        for name in ("train_gflop", "teacher_forward_gflop")
    }
    assert gained == pytest.approx(
        {
            "train_gflop": 6e-9 * windows * generator_size(settings).macs,
            "teacher_forward_gflop": 4e-9 * windows * teacher_size(settings).macs,
        }
    )
