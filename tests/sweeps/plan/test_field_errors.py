"""The field that the user set is named, not the first configuration that has it."""

import pytest
from toy_study import toy_study

from kdtasks.contract.errors import ConfigError
from sweeps.plan.preflight import check_study

POINT = {"method": "kd", "width": 2, "x": 0.5}


def refused(**changes):
    with pytest.raises(ConfigError) as raised:
        check_study(toy_study(**changes))
    return str(raised.value)


TASKS = {
    "toy_task:ToyTask": ["task toy has none", "drop topology"],
    "toy_variants:Lenient": ["SendsTeacher", "task toy", "learn", "teacher_tensors"],
}


@pytest.mark.parametrize("sampler", ["random", "points"])
@pytest.mark.parametrize("task", TASKS)
def test_a_topology_for_a_task_without(sampler, task):
    parameters = {"epochs": 2, "topology": "decentralized"}
    search = {"sampler": sampler, "points": [POINT]}
    message = refused(parameters=parameters, search=search, task=task)
    for word in ("parameters.topology", "'decentralized'", *TASKS[task]):
        assert word in message
    assert "search.points" not in message


@pytest.mark.parametrize("task", TASKS)
def test_a_topology_in_the_space_of_a_task_without(task):
    space = {"topology": {"type": "choice", "values": ["mutual", "self"]}}
    message = refused(space=space, parameters=dict(POINT), task=task)
    assert "space.topology" in message
    assert "task toy" in message


def test_no_network_is_no_topology():
    check_study(toy_study(parameters={"topology": "none"}, task="toy_variants:Lenient"))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"parameters": {"epochz": 2}}, "parameters.epochz = 2"),
        ({"parameters": {"flaw": "odd"}}, "parameters.flaw = 'odd'"),
        ({"space": {"wid": {"type": "choice", "values": [1]}}}, "space.wid"),
        ({"search": {"points": [{**POINT, "flaw": "odd"}], "sampler": "points"}}, "points[0]"),
    ],
)
def test_other_refusals_name_what_was_set(changes, place):
    assert f"study toy: {place}" in refused(**changes) or place in refused(**changes)
