"""Node actors give the numbers of nodes in one process, stay warm, and may die."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lidar_trials
import pytest
import ray
from network_deployments import (
    DEPLOYMENTS,
    MIXED,
    POISONED,
    WATCHED,
    assert_same_arrays,
    numbers,
)
from toy_network import ToyNetworkTask

from kdtasks.contract.registry import load_task
from kdtasks.contract.reports import drained, result_of
from kdtasks.contract.task import Outcome, TeacherArtifact
from sweeps.common.events import Training, WorkFailedError, events
from sweeps.nodes.conductor import conduct
from sweeps.nodes.ray_actors import ActorLostError, NodeActors
from sweeps.nodes.transport import InProcessTransport
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


def teacher_of(params: dict[str, Any]) -> TeacherArtifact | None:
    if TASK.teacher_fingerprint(params) is None:
        return None
    return result_of(TASK.train_teacher(params, DATA.train, DATA.val))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with local_ray(4):
        yield


@pytest.fixture(scope="module")
def actors(cluster: None) -> Iterator[NodeActors]:
    found = NodeActors(NAME, 2)
    yield found
    found.stop()


RUNGS = (0.125, 0.375)


def over_ray(
    actors: NodeActors, params: dict[str, Any], rungs: Sequence[float] = RUNGS
) -> Training[Outcome]:
    teacher = teacher_of(params)
    ref = None if teacher is None else ray.put(teacher)
    transport = actors.deploy(params, (ray.put(DATA.train), ray.put(DATA.val)), ref)
    return conduct(TASK, params, transport, rungs)


def at_rungs(work: Training[Outcome]) -> tuple[list[tuple[int, dict[str, float]]], Outcome]:
    """Return what students of a network were judged by on the way, and what they come to."""
    reports, outcome = drained(work)
    judged = [one for one in reports if "bytes_over_air" in one.metrics]
    return [(one.epoch, numbers(one.metrics)) for one in judged], outcome


@pytest.mark.parametrize("name", [*DEPLOYMENTS, *POISONED, *MIXED, *WATCHED])
def test_every_topology_is_the_same_over_ray_and_in_one_process(
    actors: NodeActors, name: str
) -> None:
    params = TASK.complete({**DEPLOYMENTS, **POISONED, **MIXED, **WATCHED}[name])
    judged, ours = at_rungs(over_ray(actors, params))
    local = InProcessTransport(NAME, (DATA.train, DATA.val), teacher_of(params), params)
    also_judged, theirs = at_rungs(conduct(TASK, params, local, RUNGS))
    assert judged == also_judged
    assert bool(judged) is (name != "none")
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
    teacher = result_of(task.train_teacher(params, data.train, data.val))
    actors = NodeActors(name, 2)
    shared = (ray.put(data.train), ray.put(data.val))
    transport = actors.deploy(params, shared, ray.put(teacher))
    ours: Outcome = result_of(conduct(task, params, transport))
    actors.stop()
    local = InProcessTransport(name, (data.train, data.val), teacher, params)
    theirs: Outcome = result_of(conduct(task, params, local))
    assert numbers(ours.metrics) == numbers(theirs.metrics)
    assert_same_arrays(ours.weights, theirs.weights)


def test_a_confirmation_gives_the_numbers_of_the_trial(actors: NodeActors) -> None:
    params = TASK.complete(DEPLOYMENTS["semi-centralized"])
    trial: Outcome = result_of(over_ray(actors, params))
    found = result_of(
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
    result_of(over_ray(actors, TASK.complete({})))


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
        result_of(over_ray(actors, params))
    assert time.monotonic() - begun_s < 60.0
    monkeypatch.undo()
    result_of(over_ray(actors, TASK.complete({})))


@pytest.mark.parametrize("topology", ["none", "mutual", "decentralized"])
def test_a_trial_that_is_left_early_leaves_warm_and_idle_actors(
    actors: NodeActors, topology: str
) -> None:
    actors.start()
    actors.warm_up()
    before = list(actors._actors)
    # alone or not, this would train for minutes
    long = {"topology": topology, "epochs": 500, "rounds": 100, "epoch_s": 0.5}
    short = TASK.complete({"topology": "self", "rounds": 1, "method": "vanilla"})
    for _ in range(2):
        work = over_ray(actors, TASK.complete({**long, "method": "vanilla"}), ())
        next(work)
        begun_s = time.monotonic()
        work.close()
        assert list(over_ray(actors, short, ())) != []
        # an epoch that had begun is finished, and not the 250 s of the others
        assert time.monotonic() - begun_s < 60.0
        assert actors._actors == before


def test_a_trial_that_ends_at_a_rung_leaves_warm_and_idle_actors(actors: NodeActors) -> None:
    """There nodes pause, and no call is under way."""
    actors.start()
    before = list(actors._actors)
    params = TASK.complete({"topology": "self", "epochs": 4, "method": "vanilla"})
    paused = over_ray(actors, params, (0.5,))
    assert any("bytes_over_air" in report.metrics for report in paused)
    paused.close()
    assert list(over_ray(actors, {**params, "rounds": 1}, ()))
    assert actors._actors == before
