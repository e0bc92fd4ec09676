"""The field that the user set is named, not the first configuration that has it."""

import pytest
from toy_study import toy_study

import kdsweep as kd
from search_spaces.errors import StudyError
from sweeps.plan.preflight import check_study

POINT = {"method": "kd", "width": 2, "x": 0.5}


def refused(**changes):
    with pytest.raises(StudyError) as raised:
        check_study(toy_study(**changes))
    return raised.value


TASKS = {
    "toy_task:ToyTask": ["task toy has none", "drop topology"],
    "toy_variants:Lenient": ["SendsTeacher", "task toy", "learn", "teacher_tensors"],
}


@pytest.mark.parametrize("sampler", ["random", "points"])
@pytest.mark.parametrize("task", TASKS)
def test_a_topology_for_a_task_without(sampler, task):
    parameters = {"epochs": 2, "topology": "decentralized"}
    search = {"sampler": sampler, "points": [POINT]}
    message = str(refused(parameters=parameters, search=search, task=task))
    for word in ("parameters.topology", "'decentralized'", *TASKS[task]):
        assert word in message
    assert "search.points" not in message


@pytest.mark.parametrize("task", TASKS)
def test_a_topology_in_the_space_of_a_task_without(task):
    space = {"topology": {"type": "choice", "values": ["mutual", "self"]}}
    message = str(refused(space=space, parameters=dict(POINT), task=task))
    assert "space.topology" in message
    assert "task toy" in message


def test_no_network_is_no_topology():
    check_study(toy_study(parameters={"topology": "none"}, task="toy_variants:Lenient"))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"parameters": {"epochz": 2}}, "parameters.epochz"),
        ({"parameters": {"flaw": "odd"}}, "parameters.flaw"),
        ({"space": {"wid": {"type": "choice", "values": [1]}}}, "space.wid"),
        (
            {"space": {"flaw": {"type": "choice", "values": ["none", "odd"]}}},
            "space.flaw.values.1",
        ),
        (
            {"search": {"points": [POINT, {**POINT, "flaw": "odd"}], "sampler": "points"}},
            "search.points.1.flaw",
        ),
        (
            {"search": {"points": [{**POINT, "flaw": ["none", "odd"]}], "sampler": "points"}},
            "search.points.flaw",
        ),
    ],
)
def test_other_refusals_name_what_was_set(changes, place):
    error = refused(**changes)
    assert error.place == place
    assert error.source == "toy.yaml"
    key = place.split(".")[-1]
    line = toy_study(**changes).text.split("\n")[error.line - 1]
    assert key in line or "odd" in line or "points" in line


def squared(outputs, targets):
    return (outputs - targets).square().mean()


class Choosy(kd.DistillationTask):
    """A task with a bound and a parameter that only one method has."""

    name = "choosy"
    parameters = {"width": kd.param(8, low=2, high=16)}
    metrics = {
        "error": kd.metric(lambda x, y: (x - y).square().mean(), unit="", direction="minimize")
    }

    def data(self, p):
        raise AssertionError("no data are needed to check a study")

    teacher = student = data


def choosy(space, parameters=None, **changes):
    """Return the error about a study of the task above."""
    objective = {"metric": "val_error", "direction": "minimize", "unit": "", "reference": 9.0}
    return refused(
        task=f"{__name__}:Choosy",
        space=space,
        parameters=parameters or {},
        objectives=[{**objective, **changes}],
    )


METHODS = {"type": "choice", "values": ["vanilla", "response"]}


@pytest.mark.parametrize(("low", "high", "place"), [(2, 64, ".high"), (1, 9, ".low"), (20, 64, "")])
def test_the_end_of_a_range_that_is_out_of_bounds_is_named(low, high, place):
    error = choosy({"width": {"type": "int", "low": low, "high": high}})
    assert error.place == f"space.width{place}"
    bound = {".high": "16", ".low": "2", "": "16"}[place]
    assert bound in error.problem


def test_a_parameter_without_its_condition_is_named_with_the_condition():
    alpha = {"type": "float", "low": 0.1, "high": 0.9}
    error = choosy({"method": METHODS, "alpha": alpha})
    assert error.place == "space.alpha"
    assert "when: {method: [response]}" in error.problem
    objective = choosy(
        {"method": METHODS, "alpha": {**alpha, "when": {"method": ["response"]}}},
        direction="maximize",
    )
    assert objective.place == "objectives.0.direction", "with the condition it is accepted"


def test_a_wrong_name_is_met_by_few_near_ones():
    rate = {"type": "float", "low": 0.1, "high": 0.9}
    error = choosy({"lr": rate})
    assert error.place == "space.lr"
    assert "learning_rate" in error.problem
    assert len(error.problem) < 160


def test_a_file_that_a_parameter_names_and_that_is_missing_is_that_parameters():
    width = {"type": "int", "low": 2, "high": 9}
    error = choosy({"width": width}, parameters={"epochs": 2, "teacher_weights": "nope.pt"})
    assert error.place == "parameters.teacher_weights"
    assert error.line
