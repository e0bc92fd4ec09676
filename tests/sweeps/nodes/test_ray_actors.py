"""Node actors give the numbers of nodes in one process, stay warm, and may die."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lidar_trials
import numpy as np
import pytest
import ray
from toy_network import ToyNetworkTask

from kdtasks.contract.registry import load_task
from kdtasks.contract.task import Arrays, Outcome, TeacherArtifact
from sweeps.common.events import Training, WorkFailedError, events
from sweeps.nodes.conductor import conduct
from sweeps.nodes.ray_actors import ActorLostError, NodeActors
from sweeps.nodes.transport import in_process
from sweeps.run.ray_cluster import local_ray
from sweeps.workers.jobs import confirm_by_training

# Starting Ray takes most of the time, and more on a busy machine.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

NAME = "toy_network:ToyNetworkTask"
TASK = ToyNetworkTask()
DATA = TASK.load_scenario({}, cache_dir=Path(), progress=lambda *_: None)

DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "none": {"topology": "none"},
    "centralized": {"topology": "centralized", "uploads": 2, "link_loss": 0.3},
    "decentralized": {
        "topology": "decentralized",
        "edge_families": "mixed",
        "num_edges": 5,
        "num_teachers": 2,
    },
    "pairs": {"topology": "decentralized", "method": "pairs", "exchange_bits": 4},
    "semi-centralized": {
        "topology": "semi-centralized",
        "rehearsal_share": 0.5,
        "anchor_weight": 0.3,
    },
    "synthetic": {
        "topology": "semi-centralized",
        "rehearsal_share": 1.0,
        "rehearsal_source": "synthetic",
    },
    "mutual": {"topology": "mutual", "rounds": 3, "num_edges": 3, "link_loss": 0.1},
    "self": {"topology": "self", "rounds": 2, "anchor_weight": 0.5},
}


def drained(work: Training[Any]) -> Any:
    """Return what a training comes to."""
    try:
        while True:
            next(work)
    except StopIteration as stop:
        return stop.value


def teacher_of(params: dict[str, Any]) -> TeacherArtifact | None:
    if TASK.teacher_fingerprint(params) is None:
        return None
    artifact: TeacherArtifact = drained(TASK.train_teacher(params, DATA.train, DATA.val))
    return artifact


def measured(name: str) -> bool:
    """Say whether a metric is a time on this machine's clocks."""
    return "core_seconds" in name or name in (
        "trial_wall_s",
        "trial_cpu_s",
        "ue_latency_ms",
        "latency_ms",
    )


def numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not measured(name)}


def assert_same_arrays(ours: Arrays, theirs: Arrays) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype
        assert np.array_equal(array, theirs[name])


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with local_ray(4):
        yield


@pytest.fixture(scope="module")
def actors(cluster: None) -> Iterator[NodeActors]:
    found = NodeActors(NAME, 2)
    yield found
    found.stop()


def over_ray(actors: NodeActors, params: dict[str, Any]) -> Training[Outcome]:
    teacher = teacher_of(params)
    ref = None if teacher is None else ray.put(teacher)
    transport = actors.deploy(params, (ray.put(DATA.train), ray.put(DATA.val)), ref)
    return conduct(TASK, params, transport)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_topology_is_the_same_over_ray_and_in_one_process(
    actors: NodeActors, name: str
) -> None:
    params = TASK.complete(DEPLOYMENTS[name])
    ours: Outcome = drained(over_ray(actors, params))
    local = in_process(NAME, params, (DATA.train, DATA.val), teacher_of(params))
    theirs: Outcome = drained(conduct(TASK, params, local))
    assert numbers(ours.metrics) == numbers(theirs.metrics)
    assert_same_arrays(ours.weights, theirs.weights)


def test_networks_are_the_same_over_ray_and_in_one_process(cluster: None, tmp_path: Path) -> None:
    """Networks, unlike means, could notice threads and the layout of memory.

    What is sent beside a teacher is compared, too; the toy has nothing of the kind.
    """
    name = "lidar-beam"
    task = load_task(name)
    params = task.complete(lidar_trials.networked(method="datafree"))
    data = task.load_scenario(params, cache_dir=tmp_path, progress=lambda *_: None)
    teacher = drained(task.train_teacher(params, data.train, data.val))
    actors = NodeActors(name, 2)
    shared = (ray.put(data.train), ray.put(data.val))
    transport = actors.deploy(params, shared, ray.put(teacher))
    ours: Outcome = drained(conduct(task, params, transport))
    actors.stop()
    local = in_process(name, params, (data.train, data.val), teacher)
    theirs: Outcome = drained(conduct(task, params, local))
    assert numbers(ours.metrics) == numbers(theirs.metrics)
    assert_same_arrays(ours.weights, theirs.weights)


def test_a_confirmation_gives_the_numbers_of_the_trial(actors: NodeActors) -> None:
    params = TASK.complete(DEPLOYMENTS["semi-centralized"])
    trial: Outcome = drained(over_ray(actors, params))
    found = drained(
        confirm_by_training(NAME, params, DATA.train, DATA.val, teacher_of(params), DATA.test)
    )
    tested = TASK.evaluate(params, trial.weights, DATA.test)
    assert numbers(found) == {
        **TASK.cost(params),
        **numbers(trial.metrics),
        **{f"test_{name}": value for name, value in tested.items()},
    }


def test_an_error_of_the_task_has_its_own_name_and_leaves_the_actors_usable(
    actors: NodeActors,
) -> None:
    params = TASK.complete({"topology": "decentralized", "fail": "edge-1"})
    *_, last = events(over_ray(actors, params))
    assert last.reason.startswith("RuntimeError: edge-1 cannot learn (toy_network.py, line ")
    assert "toy_network.py" in last.traceback
    drained(over_ray(actors, TASK.complete({})))


def test_an_error_in_sharing_out_keeps_its_place(actors: NodeActors) -> None:
    params = TASK.complete({"num_edges": 4})
    empty = (ray.put({"y": DATA.train["x"]}), ray.put(DATA.val))
    with pytest.raises(WorkFailedError, match=r"KeyError: 'x' \(toy_network.py, line") as failed:
        actors.deploy(params, empty, None)
    assert "in share_out" in failed.value.traceback


def test_a_silent_actor_counts_as_dead(actors: NodeActors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors, "silence_s", 2.0)
    params = TASK.complete({"topology": "decentralized", "epoch_s": 60.0})
    begun_s = time.monotonic()
    with pytest.raises(ActorLostError, match=r"node actor.* 2 s"):
        drained(over_ray(actors, params))
    assert time.monotonic() - begun_s < 60.0
    monkeypatch.undo()
    drained(over_ray(actors, TASK.complete({})))


def test_a_trial_that_is_left_early_does_not_keep_the_next_one(actors: NodeActors) -> None:
    slow = TASK.complete({"topology": "decentralized", "epoch_s": 1.0, "epochs": 100})
    work = over_ray(actors, slow)
    next(work)
    work.close()
    begun_s = time.monotonic()
    drained(over_ray(actors, TASK.complete({})))
    assert time.monotonic() - begun_s < 60.0
