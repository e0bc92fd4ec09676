"""What a topology asks of a task: it is refused by name, before anything starts."""

import lidar_trials
import pytest
from toy_network import ToyNetworkTask
from toy_study import toy_study
from toy_task import ToyTask

from kdtasks.contract.collaboration import FineTunes, SendsTeacher, SharesOutputs
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import fingerprint
from kdtasks.contract.registry import load_task
from search_spaces.errors import StudyError
from sweeps.nodes.edge import EdgeNode
from sweeps.nodes.node import Deployment
from sweeps.nodes.topologies.catalog import TOPOLOGIES, collaborative, remedies, runnable
from sweeps.nodes.wire.messages import Kind, Message
from sweeps.plan.contract import check_contract
from sweeps.plan.preflight import check_study

DECENTRALIZED = ["decentralized without a teacher", "decentralized", "decentralized by pairs"]
EVERYTHING = ["none", *(topology.title for topology in TOPOLOGIES)]


@pytest.mark.parametrize(
    ("task", "topologies"),
    [
        (ToyTask(), ["none"]),
        (ToyNetworkTask(), EVERYTHING),
        (load_task("csi-feedback"), EVERYTHING),
        (
            load_task("beam-tracking"),
            [one for one in EVERYTHING if one not in ("decentralized by pairs", "per-edge")],
        ),
        (load_task("lidar-beam"), ["none", "centralized", *DECENTRALIZED]),
        (load_task("mimo-detection"), ["none"]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_task_runs_the_topologies_that_it_has_the_methods_for(task, topologies):
    assert runnable(task) == topologies
    assert bool(remedies(task)) == (topologies != EVERYTHING or task.name == "beam-tracking")


def without(capability, *methods):
    """Return a toy task that lacks a capability, as if its author had not written the methods."""
    bases = [one for one in ToyNetworkTask.__bases__ if not issubclass(one, capability)]
    if capability is SharesOutputs:
        bases.append(FineTunes)
    kept = {
        n: v for n, v in vars(ToyNetworkTask).items() if n not in (*methods, "__abstractmethods__")
    }
    return type(f"Without{capability.__name__}", tuple(bases), kept)()


OUTPUTS = (SharesOutputs, "outputs", "output_tensors")


@pytest.mark.parametrize(
    ("lacking", "changes", "parameter"),
    [
        (OUTPUTS, {"topology": "mutual"}, "topology='mutual'"),
        (OUTPUTS, {"topology": "self", "anchor_weight": 0.5}, "anchor_weight=0.5"),
        (OUTPUTS, {"topology": "semi-centralized", "anchor_weight": 0.5}, "anchor_weight=0.5"),
        ((FineTunes, "train_on"), {"topology": "self"}, "topology='self'"),
        ((FineTunes, "train_on"), {"topology": "semi-centralized"}, "topology='semi-centralized'"),
        ((SendsTeacher, "teacher_tensors"), {"topology": "decentralized"}, "'decentralized'"),
    ],
)
def test_a_topology_is_refused_by_the_missing_capability_and_what_to_add(
    lacking, changes, parameter
):
    capability, *methods = lacking
    task = without(capability, *methods)
    with pytest.raises(ConfigError) as raised:
        collaborative(task, task.complete(changes))
    for word in (
        parameter,
        capability.__name__,
        "toy-network",
        *methods,
        ", ".join(runnable(task)),
    ):
        assert word in str(raised.value)
    assert collaborative(task, task.complete({"topology": "centralized"})) is task


@pytest.mark.parametrize("sampler", ["random", "points"])
def test_a_study_is_refused_before_anything_starts(sampler):
    study = toy_study(
        task="lidar-beam",
        parameters={"topology": "mutual"},
        space={"width": {"type": "choice", "values": [0.25, 0.5]}},
        search={"sampler": sampler, "points": [{"width": 0.25}]},
        objectives=[
            {
                "metric": "val_top2",
                "direction": "maximize",
                "unit": "%",
                "reference": 0.0,
                "label": "top-2",
            }
        ],
    )
    with pytest.raises(StudyError, match=r"parameters\.topology: .*'mutual'.* SharesOutputs"):
        check_study(study)


def test_parameters_that_ask_too_much_are_no_breach(tmp_path):
    params = {"topology": "semi-centralized", "rehearsal_share": 0.5}
    params |= {"rehearsal_source": "synthetic"}
    with pytest.raises(ConfigError, match=r"rehearsal_source='synthetic' .*SynthesisesSamples"):
        list(check_contract("beam-tracking", params, tmp_path))


def test_a_message_for_an_operation_that_the_task_lacks_changes_nothing():
    params = lidar_trials.networked()
    task, key = lidar_trials.TASK, fingerprint(params)
    settings = NetworkSettings.of(params)
    edge = EdgeNode(0, Deployment(task=task, params=params, settings=settings, key=key), {})
    blend = Message(kind=Kind.OUTPUTS, subject="proxy", deployment=key)
    handling = edge.handle("server", blend.to_bytes())
    with pytest.raises(StopIteration) as stop:
        next(handling)
    (note,) = stop.value.value[0]
    assert "lacks SharesOutputs" in str(Message.from_bytes(note.payload, deployment=key).facts)
    assert edge.rejected == 1
