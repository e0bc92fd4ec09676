"""Two students on one node: each is what it would be alone, and the node pays for what it runs."""

import math

import numpy as np
import pytest
from beam_trials import OF_NETWORKS, TASK, tiny, trained_student, trained_teacher
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.beam_tracking.settings import resolve
from kdtasks.beam_tracking.two_students import FIRST, SECOND, SWITCH, students_of
from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.params import fingerprint
from kdtasks.learning.complexity import PJ_PER_MAC
from kdtasks.learning.onnx_export import OnnxNetwork, largest_difference, write_onnx
from kdtasks.sensing.beams.format import CONDITIONS
from kdtasks.sensing.beams.window_tensors import conditions_of

DATA = {
    "sensors": "image gps",
    "night_share": 0.6,
    "data_seed": 5,
    "teacher_epochs": 1,
    "method": "response",
    "alpha": 0.4,
}
PAIR = {**DATA, "model": "image-student", "second_model": "gps-student"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    cache = tmp_path_factory.mktemp("pair")
    return TASK.load_scenario(tiny(**PAIR), cache_dir=cache, progress=lambda *_: None)


@pytest.fixture(scope="module")
def teacher(data):
    return trained_teacher(data, **DATA)


@pytest.fixture(scope="module")
def pair(data, teacher):
    return trained_student(data, teacher, **PAIR)


def part(weights, prefix):
    return {name.removeprefix(prefix): a for name, a in weights.items() if name.startswith(prefix)}


def test_the_first_student_is_what_it_is_alone(data, teacher, pair):
    _, alone = trained_student(data, teacher, **DATA, model="image-student")
    first = part(pair[1].weights, FIRST)
    assert first.keys() == alone.weights.keys()
    for name, array in alone.weights.items():
        np.testing.assert_array_equal(first[name], array)


def test_both_are_taught_by_one_teacher_and_draw_apart(data, teacher, pair):
    assert TASK.teacher_fingerprint(tiny(**PAIR)) == TASK.teacher_fingerprint(tiny(**DATA))
    first, second = students_of(resolve(tiny(**PAIR)))
    assert first.seed != second.seed
    again = students_of(resolve(tiny(**PAIR)))
    assert (first, second) == again
    alone = {"model": "gps-student", "seed": second.seed}
    _, outcome = trained_student(data, teacher, **DATA, **alone)
    for name, array in part(pair[1].weights, SECOND).items():
        np.testing.assert_array_equal(outcome.weights[name], array)


def test_all_metrics_are_declared_finite_and_reproduced_by_the_weights(data, pair):
    reports, outcome = pair
    seen = set(conditions_of(data.val).tolist())
    absent = {f"val_top2_{name}" for name, number in CONDITIONS.items() if number not in seen}
    assert len(seen) > 1
    assert outcome.metrics.keys() == TASK.metrics.keys() - absent - OF_NETWORKS
    assert all(isinstance(v, float) and math.isfinite(v) for v in outcome.metrics.values())
    again = TASK.evaluate(tiny(**PAIR), outcome.weights, data.val)
    for name, value in again.items():
        assert outcome.metrics[f"val_{name}"] == value
    assert outcome.metrics["val_top2"] >= outcome.metrics["val_top2_single"] - 1e-9
    assert [(report.epoch, report.epochs) for report in reports] == [(n, 4) for n in (1, 2, 3, 4)]


def test_both_are_exported_and_the_switch_is_kept(data, pair):
    _, outcome = pair
    student = TASK.deployable(tiny(**PAIR), outcome.weights)
    assert list(student.parts) == ["first", "second"]
    assert student.one_runs
    expected = TASK.evaluate(tiny(**PAIR), outcome.weights, data.test)
    assert student.own_score(data.test) == pytest.approx(expected, abs=1e-3, nan_ok=True)
    for number, part in enumerate(student.parts.values()):
        for name, runs in zip(CONDITIONS, outcome.weights[SWITCH], strict=False):
            assert (name in part.about.partition(" Takes")[0]) == (runs == number)


@pytest.mark.slow
def test_both_run_in_onnx(data, pair, tmp_path):
    student = TASK.deployable(tiny(**PAIR), pair[1].weights)
    for name, part in student.parts.items():
        write_onnx(part, tmp_path / f"{name}.onnx")
        assert largest_difference(part, OnnxNetwork(tmp_path / f"{name}.onnx")) < 1e-4


def test_a_node_stores_both_and_computes_one(data, pair):
    _, outcome = pair
    first, second = (TASK.cost(tiny(**DATA, model=m)) for m in ("image-student", "gps-student"))
    for name, value in TASK.cost(tiny(**PAIR)).items():
        assert value == outcome.metrics[name] == first[name] + second[name]
    runs = outcome.weights[SWITCH][conditions_of(data.val).numpy()]
    for name in ("macs", "energy_uj"):
        expected = np.where(runs, second[name], first[name]).mean()
        assert outcome.metrics[name] == pytest.approx(expected)
    energy = 1e-6 * PJ_PER_MAC * outcome.metrics["macs"]
    assert outcome.metrics["energy_uj"] == pytest.approx(energy)


@pytest.mark.parametrize(("student", "prefix"), [(0, FIRST), (1, SECOND)])
def test_a_switch_that_never_moves_is_that_student(data, pair, student, prefix):
    weights = {**pair[1].weights, SWITCH: np.full(4, student, np.int8)}
    model = tiny(**DATA, model=("image-student", "gps-student")[student])
    node = TASK.evaluate(tiny(**PAIR), weights, data.test)
    alone = TASK.evaluate(model, part(weights, prefix), data.test)
    assert alone.items() <= node.items()
    assert node["top2_single"] == alone["top2"]


def test_weights_of_one_student_are_no_node(data, pair):
    with pytest.raises(DataError, match="switch"):
        TASK.evaluate(tiny(**PAIR), part(pair[1].weights, FIRST), data.val)


def test_energy_follows_from_what_an_operation_takes():
    plain, twice = TASK.cost(tiny()), TASK.cost(tiny(pj_per_mac=2 * PJ_PER_MAC))
    assert plain["energy_uj"] == pytest.approx(1e-6 * 4.6 * plain["macs"])
    assert twice == {**plain, "energy_uj": pytest.approx(2 * plain["energy_uj"])}
    assert TASK.complete(tiny(pj_per_mac=PJ_PER_MAC)) == TASK.complete(tiny())
    assert TASK.complete(tiny(pj_per_mac=1.0))["pj_per_mac"] == 1.0


def test_trials_without_a_second_student_are_the_trials_they_were():
    # As they were before nodes could have two students.
    radar = {"preset": "standard", "method": "response", "model": "radar-student", "width": 0.5}
    radar |= {"teacher": "image-radar-teacher"}
    own = {"method": "self", "model": "image-teacher-gru1", "second_model": ""}
    known = [({}, "37cfe0d10675938b"), (radar, "a97cebdde449c8c1"), (own, "42e0b25718fb9935")]
    assert [fingerprint(TASK.complete(params)) for params, _ in known] == [f for _, f in known]


MODELS = ("image-student", "image-radar-student", "radar-student", "gps-student")
PARAMS = st.fixed_dictionaries(
    {"model": st.sampled_from(MODELS)},
    optional={
        "method": st.sampled_from(["vanilla", "response", "feature", "relation"]),
        "width": st.floats(0.1, 4.0),
        "second_width": st.sampled_from([0.0, 0.5, 1.0]),
        "pj_per_mac": st.floats(0.1, 100.0),
        "seed": st.integers(0, 2**63 - 1),
    },
)


@given(PARAMS, st.sampled_from(MODELS))
def test_completing_twice_is_completing_once_with_a_second_student_too(params, second):
    if params["model"] == second:
        with pytest.raises(ConfigError, match="has the sensors of model"):
            TASK.complete({**params, "second_model": second})
        return
    params = {**params, "second_model": second}
    completed = TASK.complete(params)
    assert TASK.complete(completed) == completed
    assert resolve(completed) == resolve(params)
    first, other = students_of(resolve(params))
    assert (first.model, other.model) == (params["model"], second)
    assert set(first.needed) | set(other.needed) == set(resolve(params).stored)
    assert other.width == (params.get("second_width") or params.get("width", 1.0))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"model": "image-teacher", "second_model": "gps-student"}, "is a teacher's network"),
        ({"second_model": "gps-student", "method": "self"}, "would be its own teacher"),
        ({"second_model": "gps-student", "second_width": 0.05}, "second_width=0.05 must be 0"),
        ({"second_model": "radar-teacher"}, "second_model='radar-teacher': input should be ''"),
        ({"second_width": 0.5}, "second_width=0.5 has no effect here: it belongs to a second"),
        ({"second_model": "radar-student", "sensors": "image"}, "lacks radar, which model image"),
        ({"pj_per_mac": 0.0}, "pj_per_mac=0.0"),
    ],
)
def test_what_cannot_share_a_node_is_refused_in_words(params, words):
    with pytest.raises(ConfigError, match=words):
        TASK.complete(params)
