"""Students of a deployment as their edges run them: equal ones once, and the sweep's numbers."""

from dataclasses import replace
from functools import partial

import beam_network_examples
import csi_network_examples
import lidar_trials
import pytest

from kdtasks.beam_tracking import settings as beam_settings
from kdtasks.beam_tracking.students import new_student as new_beam_student
from kdtasks.contract.collaboration import joined
from kdtasks.contract.deployable import CallableModule
from kdtasks.csi_feedback import settings as csi_settings
from kdtasks.csi_feedback.students import new_student as new_csi_student
from kdtasks.learning.random import initialised
from kdtasks.learning.tensors import state_arrays
from kdtasks.lidar_beam import settings as lidar_settings
from kdtasks.lidar_beam.students import student_of

EDGES = 3


def csi(stream_name, edge):
    params = csi_network_examples.TASK.edge_params(csi_network_examples.networked(), edge)
    return state_arrays(new_csi_student(csi_settings.resolve(params), stream_name))


def beam(stream_name, _edge):
    settings = beam_settings.resolve(beam_network_examples.networked())
    return state_arrays(new_beam_student(settings.model_copy(update={"seed": len(stream_name)})))


def lidar(stream_name, _edge):
    settings = lidar_settings.resolve(lidar_trials.networked())
    return state_arrays(initialised(len(stream_name), "student", partial(student_of, settings)))


CASES = {
    "csi": (csi_network_examples, csi, "tiny_data", {"encoder", "decoder"}),
    "beam": (beam_network_examples, beam, "", {"student"}),
    "lidar": (lidar_trials, lidar, "lidar_data_tiny", {"student"}),
}


@pytest.fixture(params=CASES)
def case(request):
    """A task, parameters, a test split, what makes students, and the names of their networks."""
    module, student, fixture, names = CASES[request.param]
    data = request.getfixturevalue(fixture) if fixture else module.DATA
    return module.TASK, module.networked(num_edges=EDGES), data.test, student, names


def deployment(student, makers):
    """Return the weights of edges whose students were made by these, all from the first's."""
    own = {f"edge-{k}": student(stream_name, k) for k, stream_name in enumerate(makers)}
    received = {f"received-{k}": student("received", k) for k in range(len(makers))}
    return joined({**own, **received})


def test_edges_give_the_scores_of_the_sweep(case):
    task, params, test, student, names = case
    weights = deployment(student, ("a", "bb", "a"))
    found = task.deployable(params, weights)
    # edges 0 and 2 run the same student
    assert found.parts.keys() == {f"edge-{k}-{name}" for k in (0, 1) for name in names}
    assert [{n.split("-")[1] for n in chain} for chain in found.chains] == [{"0"}, {"1"}, {"0"}]
    assert all(found.parts[n].about.startswith("Edges 0, 2.") for n in found.chains[2])
    expected = task.evaluate(params, weights, test)
    message = found.own_score(test)
    assert message.keys() == expected.keys()
    assert any("received" in name for name in expected)
    for name, value in expected.items():
        assert message[name] == pytest.approx(value, abs=1e-3, nan_ok=True), name


def test_every_edge_is_scored_by_its_own_networks(case):
    task, params, test, student, _ = case
    found = task.deployable(params, deployment(student, ("a", "bb", "ccc")))
    queried = []

    def watched(name, network):
        return CallableModule(lambda *inputs: queried.append(name) or network(*inputs))

    calls = {name: watched(name, part.network) for name, part in found.parts.items()}
    own = replace(found, parts={n: replace(p, network=calls[n]) for n, p in found.parts.items()})
    assert own.own_score(test) == found.own_score(test)
    assert set(queried) == set(found.parts)
