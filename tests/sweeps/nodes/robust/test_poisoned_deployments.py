"""Deployments with hostile edges or poisoned teachers, and what is refused before they start."""

from typing import Any

import numpy as np
import pytest
from network_deployments import assert_same_arrays, numbers
from toy_deployments import TASK, deploy
from toy_network import ToyNetworkTask

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import Arrays, Outcome
from sweeps.nodes.topologies.catalog import collaborative

MUTUAL: dict[str, Any] = {
    "topology": "mutual",
    "rounds": 3,
    "num_edges": 6,
    "anchor_weight": 0.5,
    "poisoned_edges": 1,
}
DEFENCES = ("none", "clipping", "median", "trimmed-mean", "krum", "probe")
TEACHER: dict[str, Any] = {"topology": "decentralized", "num_edges": 3, "poisoned_edges": 2}


def students(result: Outcome, edges: Any) -> Arrays:
    names = tuple(f"edge-{edge}/" for edge in edges)
    return {name: a for name, a in result.weights.items() if name.startswith(names)}


def test_nobody_hostile_is_todays_run_whatever_the_attack_would_be() -> None:
    plain = deploy(topology="mutual", rounds=3, num_edges=6, anchor_weight=0.5)
    idle = deploy(**{**MUTUAL, "poisoned_edges": 0}, attack="scaled", tolerated_edges=2)
    assert numbers(idle.metrics) == numbers(plain.metrics)
    assert_same_arrays(idle.weights, plain.weights)


@pytest.mark.parametrize("attack", ["none", "scaled", "random", "inverted", "flipped-labels"])
@pytest.mark.parametrize("defence", DEFENCES)
def test_every_pair_of_attack_and_defence_runs_and_is_the_same_again(
    attack: str, defence: str
) -> None:
    one, again = (deploy(**MUTUAL, attack=attack, defence=defence) for _ in range(2))
    assert numbers(one.metrics) == numbers(again.metrics)
    assert_same_arrays(one.weights, again.weights)
    assert one.metrics["blend_shift"] >= 0.0
    assert ("false_quarantines" in one.metrics) == (defence == "probe")
    assert ("detection_auc" in one.metrics) == (defence == "probe" and attack != "none")


def test_a_lie_reaches_honest_students_until_a_test_finds_it() -> None:
    clean = deploy(**MUTUAL)
    lie = {"attack": "scaled", "attack_strength": 1000.0}
    lied_to = deploy(**MUTUAL, **lie)
    assert not np.array_equal(lied_to.weights["edge-0/a"], clean.weights["edge-0/a"])
    assert lied_to.metrics["blend_shift"] > clean.metrics["blend_shift"]
    tested = deploy(**MUTUAL, **lie, defence="probe", quarantine_score=20.0)
    assert tested.metrics["missed_poisonings"] == tested.metrics["false_quarantines"] == 0.0
    assert tested.metrics["detection_auc"] == 1.0
    assert tested.metrics["blend_shift"] == 0.0


@pytest.mark.parametrize("defence", ["median", "trimmed-mean", "krum", "clipping"])
def test_rules_bound_what_no_rule_lets_through(defence: str) -> None:
    open_to_it = deploy(**MUTUAL, attack="scaled", attack_strength=1000.0)
    defended = deploy(**MUTUAL, attack="scaled", attack_strength=1000.0, defence=defence)
    assert defended.metrics["blend_shift"] < 0.1 * open_to_it.metrics["blend_shift"]


def test_the_hostile_edge_is_not_judged() -> None:
    every = deploy(**{**MUTUAL, "poisoned_edges": 0})
    most = deploy(**MUTUAL)
    assert_same_arrays(every.weights, most.weights)
    assert every.metrics["val_error"] != most.metrics["val_error"]


@pytest.mark.parametrize("attack", ["scaled", "random", "flipped-labels", "backdoor"])
def test_a_poisoned_teacher_spoils_those_that_have_it_and_a_test_finds_it(attack: str) -> None:
    sound = deploy(**TEACHER)
    spoilt = deploy(**TEACHER, attack=attack)
    assert_same_arrays(students(spoilt, [0]), students(sound, [0]))
    moved = [
        not np.array_equal(spoilt.weights[name], sound.weights[name])
        for name in ("edge-1/a", "edge-2/a")
    ]
    assert any(moved)  # three numbers in random order may be as they were
    # what it takes to train another teacher is the attacker's
    for cost in ("bytes_over_air", "server_train_gflop", "edge_train_gflop", "deployment_s"):
        assert spoilt.metrics[cost] == sound.metrics[cost]


@pytest.mark.parametrize("attack", ["flipped-labels", "backdoor"])
def test_a_teacher_that_is_trained_to_lie_is_the_sound_one_if_nothing_is_false(
    attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = deploy(**TEACHER, num_teachers=2)
    lied_to = deploy(**TEACHER, num_teachers=2, attack=attack)
    idle = deploy(**{**TEACHER, "poisoned_edges": 0}, num_teachers=2, attack=attack)
    for name in ("flipped", "triggered"):
        monkeypatch.setattr(ToyNetworkTask, name, lambda _self, _params, samples, *_: samples)
    true = deploy(**TEACHER, num_teachers=2, attack=attack)
    assert_same_arrays(true.weights, sound.weights)
    assert_same_arrays(idle.weights, sound.weights)
    moved = {
        n for n, array in lied_to.weights.items() if not np.array_equal(array, sound.weights[n])
    }
    assert {name.partition("/")[0] for name in moved} == {"edge-1", "edge-2"}
    assert numbers(true.metrics) == numbers(sound.metrics)


def test_an_edge_that_distrusts_its_teacher_learns_without_it() -> None:
    found = deploy(**TEACHER, attack="scaled", attack_strength=1000.0, defence="probe")
    alone = deploy(**{**TEACHER, "poisoned_edges": 0}, method="vanilla")
    assert found.metrics["missed_poisonings"] == 0.0
    # the toy's fine-tuning from nothing is its training from nothing
    assert_same_arrays(students(found, [1, 2]), students(alone, [1, 2]))


@pytest.mark.parametrize(
    ("changes", "parameter", "remedy"),
    [
        ({"topology": "self", "poisoned_edges": 1}, "poisoned_edges=1", "mutual"),
        ({"topology": "centralized", "poisoned_edges": 1}, "poisoned_edges=1", "mutual"),
        ({"topology": "decentralized", "method": "vanilla", "poisoned_edges": 1}, "poisoned", "at"),
        ({**MUTUAL, "poisoned_edges": 6}, "poisoned_edges=6", "at most 5"),
        ({**TEACHER, "poisoned_edges": 4}, "poisoned_edges=4", "at most 3"),
        ({**TEACHER, "attack": "inverted"}, "attack='inverted'", "scaled, random"),
        ({**MUTUAL, "attack": "backdoor"}, "attack='backdoor'", "flipped-labels"),
        ({**TEACHER, "defence": "krum"}, "defence='krum'", "probe"),
        ({"topology": "self", "defence": "median"}, "defence='median'", "none"),
        ({**MUTUAL, "num_edges": 5, "defence": "krum"}, "tolerated_edges=1", "num_edges to 6"),
        (
            {**MUTUAL, "defence": "trimmed-mean", "tolerated_edges": 3},
            "tolerated_edges=3",
            "num_edges to 8",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    changes: dict[str, Any], parameter: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        collaborative(TASK, TASK.complete(changes))
    assert parameter in str(raised.value)
    assert remedy in str(raised.value)
