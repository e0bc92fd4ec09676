"""Tasks in one network give the numbers of each alone, and share the server's time and memory."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from network_deployments import DEPLOYMENTS, POISONED, assert_same_arrays, measured, numbers

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import Params
from kdtasks.contract.registry import load_task
from kdtasks.contract.reports import result_of
from kdtasks.contract.task import KDTask, Outcome, ScenarioData, TeacherArtifact
from kdtasks.network.parts import arrays_of
from kdtasks.network.task import NetworkTask
from sweeps.nodes.conductor import conduct, conduct_all
from sweeps.nodes.transport import InProcessTransport
from sweeps.workers.jobs import confirm_by_weights

FIRST, SECOND = "toy_network:ToyNetworkTask", "toy_network:SecondNetworkTask"
NAMES = {"toy-network": FIRST, "second-network": SECOND}
NAME = f"{FIRST}+{SECOND}"

BESTS = "toy-network error 0.5, second-network error 0.25"


def network() -> NetworkTask:
    found = load_task(NAME)
    assert isinstance(found, NetworkTask)
    return found


def data_of(task: KDTask, params: Params) -> ScenarioData:
    return task.load_scenario(params, cache_dir=Path(), progress=lambda *_: None)


def teacher_of(task: KDTask, params: Params, data: ScenarioData) -> TeacherArtifact | None:
    if task.teacher_fingerprint(params) is None:
        return None
    return result_of(task.train_teacher(params, data.train, data.val))


def alone(address: str, params: Params) -> Outcome:
    """Deploy one task as in a study of its own."""
    task = load_task(address)
    data = data_of(task, params)
    teacher = teacher_of(task, params, data)
    transport = InProcessTransport(address, (data.train, data.val), teacher, params)
    return result_of(conduct(task, params, transport))


def together(params: Params) -> Outcome:
    task = network()
    data = data_of(task, params)
    deploy = partial(
        InProcessTransport, NAME, (data.train, data.val), teacher_of(task, params, data)
    )
    return result_of(conduct_all(task, params, deploy))[0]


def params_of(first: dict[str, Any], second: dict[str, Any], **whole: Any) -> dict[str, Any]:
    own = {f"toy-network/{n}": v for n, v in first.items()}
    return network().complete(
        {**own, **{f"second-network/{n}": v for n, v in second.items()}, **whole}
    )


PAIRS = [
    ("none", "none"),
    ("centralized", "semi-centralized"),
    ("mutual", "decentralized"),
    ("self", "pairs"),
    ("none", "synthetic"),
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_tasks_in_a_network_give_the_numbers_of_each_alone(one: str, other: str) -> None:
    params = params_of(DEPLOYMENTS[one], DEPLOYMENTS[other], seed=3)
    found = together(params)
    for part in network().parts(params):
        own = alone(part.address, part.params)
        named = part.metrics_outside(numbers(own.metrics))
        assert {n: found.metrics[n] for n in named} == named
        assert_same_arrays(arrays_of(part.name, found.weights), own.weights)


def test_a_poisoned_task_leaves_the_others_what_they_are() -> None:
    params = params_of(POISONED["poisoned teachers"], DEPLOYMENTS["decentralized"])
    sound = params_of({**DEPLOYMENTS["decentralized"]}, DEPLOYMENTS["decentralized"])
    bad, good = together(params), together(sound)
    name = "second-network"
    assert_same_arrays(arrays_of(name, bad.weights), arrays_of(name, good.weights))
    assert f"{name}/detection_auc" not in bad.metrics


def test_the_whole_is_what_its_tasks_come_to() -> None:
    params = params_of(DEPLOYMENTS["centralized"], DEPLOYMENTS["semi-centralized"], own_bests=BESTS)
    found = together(params).metrics
    for name in ("bytes_over_air", "energy_j", "server_teacher_bytes"):
        assert found[name] == sum(found[f"{part}/{name}"] for part in NAMES)
    server_s = found["toy-network/server_train_gflop"] / 500.0
    assert found["deployment_s"] == max(
        found["toy-network/deployment_s"], server_s + found["second-network/deployment_s"]
    )
    assert found["server_teacher_bytes"] == 2 * (2000 + 3 + 1) * 4 + 2 * 8
    assert found["server_peak_bytes"] == found["server_teacher_bytes"] + 100.0
    shares = [
        min(1.0, best / found[f"val_{name}/error"])
        for name, best in (("toy-network", 0.5), ("second-network", 0.25))
    ]
    assert found["val_worst_share"] == min(shares)


def test_a_slow_link_of_the_server_delays_all_and_changes_nothing_else() -> None:
    deployments = DEPLOYMENTS["centralized"], DEPLOYMENTS["decentralized"]
    free = together(params_of(*deployments))
    slow = together(params_of(*deployments, server_link_mbps=0.1))
    assert slow.metrics["deployment_s"] > free.metrics["deployment_s"]
    unlike = {n for n, v in free.metrics.items() if slow.metrics[n] != v and not measured(n)}
    assert unlike == {"deployment_s"}
    assert_same_arrays(free.weights, slow.weights)


def test_epochs_of_all_tasks_are_counted_in_one_row() -> None:
    params = params_of(DEPLOYMENTS["mutual"], DEPLOYMENTS["none"])
    task = network()
    data = data_of(task, params)
    deploy = partial(
        InProcessTransport, NAME, (data.train, data.val), teacher_of(task, params, data)
    )
    work, found = conduct_all(task, params, deploy), []
    try:
        while True:
            found.append(next(work))
    except StopIteration:
        pass
    assert [one.epoch for one in found] == list(range(1, len(found) + 1))
    assert {one.epochs for one in found} == {len(found)}


def test_a_stored_student_is_judged_on_the_test_split_of_its_task() -> None:
    params = params_of(DEPLOYMENTS["centralized"], DEPLOYMENTS["self"], own_bests=BESTS)
    data = data_of(network(), params)
    weights = together(params).weights
    found = result_of(confirm_by_weights(NAME, params, data.test, weights))
    for part in network().parts(params):
        own = arrays_of(part.name, weights), arrays_of(part.name, data.test)
        assert found[f"test_{part.name}/error"] == part.task.evaluate(part.params, *own)["error"]
    assert 0.0 < found["test_worst_share"] <= 1.0


def test_parameters_are_complete_and_shared_ones_have_no_task() -> None:
    params = params_of({"topology": "mutual"}, {}, teacher_seed=4, server_gflops=7.0)
    assert network().complete(params) == params
    assert [part.params["server_gflops"] for part in network().parts(params)] == [7.0, 7.0]
    whole = {"seed", "teacher_seed", "server_gflops", "server_link_mbps"}
    assert {name for name in params if "/" not in name} == whole
    for part in network().parts(params):
        own = load_task(part.address)
        assert part.params == own.complete(part.params)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"method": "kd"}, "toy-network/method or second-network/method"),
        ({"toy-network/seed": 1}, "write seed"),
        ({"third/method": "kd"}, "toy-network/method"),
        ({"precision": "bf16"}, "precision"),
        ({"second-network/wrong": 1}, "second-network: unknown"),
        ({"server_link_mbps": -1.0}, "server_link_mbps"),
        ({"own_bests": "toy-network error 1"}, "second-network"),
    ],
)
def test_parameters_that_are_none_are_refused_by_name(params: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        network().complete(params)


def test_students_are_exported_from_studies_of_their_tasks() -> None:
    with pytest.raises(ConfigError, match="alone"):
        network().deployable(params_of({}, {}), {})


@pytest.mark.parametrize(
    ("name", "named"),
    [
        (f"{FIRST}+{FIRST}", "twice"),
        (f"{FIRST}+toy_network:DrawingNetworkTask", "twice"),
        (f"{FIRST}+nothing", "nothing"),
    ],
)
def test_networks_that_are_none_are_refused(name: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_task(name)
