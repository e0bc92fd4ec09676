"""Students as their nodes run them: the same numbers as in the sweep, by PyTorch and by ONNX."""

import beam_trials
import csi_examples
import lidar_trials
import mimo_trials
import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.task import KDTask
from kdtasks.learning.onnx_export import (
    OnnxNetwork,
    largest_difference,
    write_int8,
    write_onnx,
    write_weights,
)

TASKS = {
    "csi": (csi_examples, {}, "tiny_data"),
    "beam": (beam_trials, {}, "beam_data_tiny"),
    "lidar": (lidar_trials, {}, "lidar_data_tiny"),
    "mimo": (mimo_trials, {"head_width": 200}, "mimo_data_tiny"),
}


@pytest.fixture(params=TASKS)
def trained(request):
    """A task, parameters, data and the weights of a student."""
    trials, changes, fixture = TASKS[request.param]
    data = request.getfixturevalue(fixture)
    params = trials.tiny(method="vanilla", **changes)
    _, outcome = trials.trained_student(data, method="vanilla", **changes)
    return trials.TASK, params, data, outcome.weights


def test_its_own_networks_give_the_scores_of_the_sweep(trained):
    task, params, data, weights = trained
    student = task.deployable(params, weights)
    found = student.own_score(data.test)
    expected = task.evaluate(params, weights, data.test)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-3, nan_ok=True), name


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("trained", ["csi", "beam", "mimo"], indirect=True)
def test_the_exported_networks_give_the_scores_of_the_sweep(trained, tmp_path):
    task, params, data, weights = trained
    student = task.deployable(params, weights)
    calls = {}
    for name, part in student.parts.items():
        path = tmp_path / f"{name}.onnx"
        write_onnx(part, path)
        calls[name] = OnnxNetwork(path)
        for seed, samples in ((1, 1), (2, 3), (3, 17)):
            assert largest_difference(part, calls[name], seed, samples) < 1e-4
        latency = calls[name].latency(part.inputs, repeats=5)
        assert 0.0 < latency.median_ms <= latency.p95_ms
        # what the file says of itself names no place of this machine
        model = onnx.load(path)
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
        write_weights(part, tmp_path / f"{name}.safetensors")
        state = load_file(tmp_path / f"{name}.safetensors")
        expected = part.network.state_dict()
        assert state.keys() == expected.keys()
        assert all(np.array_equal(state[key], expected[key].numpy()) for key in state)
        small = tmp_path / f"{name}.int8.onnx"
        write_int8(path, small)
        assert largest_difference(part, OnnxNetwork(small)) < 10.0
        assert small.stat().st_size < path.stat().st_size
    expected = task.evaluate(params, weights, data.test)
    found = student.score(calls, data.test)
    for name, value in expected.items():
        # a beam may change where two are all but equal
        assert found[name] == pytest.approx(value, abs=2.0, nan_ok=True), name


def test_a_task_without_deployables_is_named():
    class Silent(csi_examples.TASK.__class__):
        name = "silent"
        deployable = KDTask.deployable

    with pytest.raises(ConfigError, match="task silent does not define"):
        Silent().deployable({}, {})
