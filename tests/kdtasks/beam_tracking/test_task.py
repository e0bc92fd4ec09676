import json
import math

import numpy as np
import pytest
from beam_trials import (
    METHODS,
    OF_NETWORKS,
    TASK,
    tiny,
    trained_student,
    trained_teacher,
    without_times,
)

from kdtasks.beam_tracking.models.family import BEAM_MODELS
from kdtasks.contract.errors import DataError
from kdtasks.contract.params import fingerprint
from kdtasks.contract.registry import load_task
from kdtasks.sensing.beams.format import CONDITIONS


def without(data):
    """Return the metrics of conditions that the split has not seen, and of a second student."""
    seen = set(data.val["condition"][data.val["window"][:, -1]].tolist())
    absent = {f"val_top2_{name}" for name, number in CONDITIONS.items() if number not in seen}
    return absent | {f"val_second_{name}" for name in CONDITIONS} | {"val_top2_single"}


def taught(method, teacher):
    return None if method == "vanilla" else teacher


@pytest.fixture(scope="module")
def outcomes(beam_data_tiny, beam_teacher):
    """A student per method; that of self-distillation is taught by a stranger, which is no harm."""
    return {
        method: trained_student(beam_data_tiny, taught(method, beam_teacher), method=method)
        for method in METHODS
    }


@pytest.mark.parametrize("method", METHODS)
def test_weights_alone_reproduce_the_validation_metrics(beam_data_tiny, outcomes, method):
    _, outcome = outcomes[method]
    again = TASK.evaluate(tiny(method=method), outcome.weights, beam_data_tiny.val)
    assert again
    assert {f"val_{name}": value for name, value in again.items()} == {
        name: value for name, value in outcome.metrics.items() if name.startswith("val_")
    }


@pytest.mark.parametrize("method", METHODS)
def test_all_metrics_are_declared_and_finite(beam_data_tiny, outcomes, method):
    reports, outcome = outcomes[method]
    assert outcome.metrics.keys() == TASK.metrics.keys() - without(beam_data_tiny) - OF_NETWORKS
    assert all(isinstance(v, float) and math.isfinite(v) for v in outcome.metrics.values())
    for name, value in TASK.cost(tiny(method=method)).items():
        assert outcome.metrics[name] == value
    assert [report.epoch for report in reports] == [1, 2]
    assert all(0.0 <= report.metrics["val_top2"] <= 100.0 for report in reports)


@pytest.mark.parametrize("width", [0.5, 1.7])
@pytest.mark.parametrize("model", ["image-student", "image-teacher", "gps-student"])
def test_every_kind_of_student_can_be_trained_and_restored(tmp_path, model, width):
    sizes = {"epochs": 1, "train_passages": 3, "val_passages": 1, "test_passages": 1}
    params = {"model": model, **sizes}
    params |= {"width": width} if BEAM_MODELS[model].role == "student" else {}
    data = TASK.load_scenario(tiny(**params), cache_dir=tmp_path, progress=lambda *_: None)
    _, outcome = trained_student(data, **params)
    again = TASK.evaluate(tiny(**params), outcome.weights, data.val)
    assert again["top2"] == outcome.metrics["val_top2"]


def test_weights_of_another_student_are_refused(beam_data_tiny, outcomes):
    weights = outcomes["vanilla"][1].weights
    with pytest.raises(DataError, match="weights do not fit ImageStudent"):
        TASK.evaluate(tiny(width=0.5), weights, beam_data_tiny.val)


def test_the_teachers_weights_reproduce_its_metrics(beam_data_tiny, beam_teacher):
    again = TASK.evaluate_teacher(tiny(method="response"), beam_teacher.weights, beam_data_tiny.val)
    for name, value in again.items():
        assert beam_teacher.metrics[f"val_{name}"] == value


def test_teachers_differ_by_seed_and_repeat_by_it(beam_data_tiny, beam_teacher):
    again = trained_teacher(beam_data_tiny, method="feature", seed=77)
    other = trained_teacher(beam_data_tiny, method="response", teacher_seed=1)
    assert without_times(again.metrics) == without_times(beam_teacher.metrics)
    for name, array in again.weights.items():
        np.testing.assert_array_equal(array, beam_teacher.weights[name])
    assert not np.array_equal(other.outputs["logits"], beam_teacher.outputs["logits"])


def test_a_teacher_may_have_seen_more_than_its_student(tmp_path, beam_data_tiny, outcomes):
    # Students of both data sets are the same; the teacher speaks of all windows.
    more = {"method": "response", "teacher_passages": 9}
    data = TASK.load_scenario(tiny(**more), cache_dir=tmp_path, progress=lambda *_: None)
    teacher = trained_teacher(data, **more)
    assert len(teacher.outputs["logits"]) == len(data.train["label"])
    assert len(data.train["label"]) > len(beam_data_tiny.train["label"])
    _, same = trained_student(data, teacher, **{**more, "alpha": 0.0})
    assert without_times(same.metrics) == without_times(outcomes["vanilla"][1].metrics)


def test_of_self_distillation_the_teacher_is_the_students_network(beam_data_tiny):
    params = {"method": "self", "width": 0.5, "generations": 2}
    teacher = trained_teacher(beam_data_tiny, **params)
    assert teacher.metrics["params"] == TASK.cost(tiny(**params))["params"]
    again = TASK.evaluate_teacher(tiny(**params), teacher.weights, beam_data_tiny.val)
    assert again["top1"] == teacher.metrics["val_top1"]


def test_the_first_generation_is_the_teacher_that_others_have(beam_data_tiny, beam_teacher):
    own = {"method": "self", "model": "image-teacher-gru1"}
    assert TASK.teacher_fingerprint(tiny(**own)) == TASK.teacher_fingerprint(
        tiny(method="response", teacher="image-teacher-gru1")
    )
    again = trained_teacher(beam_data_tiny, **own)
    assert again.outputs.keys() == beam_teacher.outputs.keys()
    for name, array in beam_teacher.outputs.items():
        np.testing.assert_array_equal(again.outputs[name], array)


def test_an_image_student_learns_from_a_radar_it_has_not(tmp_path):
    sizes = {"epochs": 1, "teacher_epochs": 1, "train_passages": 2, "val_passages": 1}
    params = {"method": "response", "teacher": "radar-teacher", "test_passages": 1, **sizes}
    data = TASK.load_scenario(tiny(**params), cache_dir=tmp_path, progress=lambda *_: None)
    teacher = trained_teacher(data, **params)
    _, outcome = trained_student(data, teacher, **params)
    blind = {name: array for name, array in data.val.items() if name != "radar"}
    again = TASK.evaluate(tiny(**params), outcome.weights, blind)
    assert again["top2"] == outcome.metrics["val_top2"]


def test_what_is_handed_out_is_plain(beam_data_tiny, beam_teacher, outcomes):
    data = (beam_data_tiny.train, beam_teacher.weights, beam_teacher.outputs)
    for arrays in (*data, outcomes["vanilla"][1].weights):
        assert all(isinstance(array, np.ndarray) for array in arrays.values())
        assert all(array.dtype.kind in "fiu" for array in arrays.values())


def test_training_does_not_write_to_shared_arrays(beam_data_tiny, beam_teacher):
    frozen = [*beam_data_tiny.train.values(), *beam_data_tiny.val.values()]
    frozen += [*beam_teacher.outputs.values(), *beam_teacher.weights.values()]
    before = [array.copy() for array in frozen]
    for array in frozen:
        array.flags.writeable = False
    for method in ("response", "feature", "relation"):
        trained_student(beam_data_tiny, beam_teacher, method=method, epochs=1)
    for array, copy in zip(frozen, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_cost_is_that_of_the_student_whatever_the_method():
    cost = TASK.cost(tiny())
    assert TASK.cost(tiny(method="relation")) == cost
    assert TASK.cost(tiny(width=0.5))["macs"] < cost["macs"]
    assert TASK.cost(tiny(image_size=64))["macs"] > cost["macs"]
    assert cost["params"] == 94_778


def test_baselines_follow_from_the_data_alone(beam_data_tiny):
    assert TASK.baseline_parameters <= TASK.resource_parameters
    expected = TASK.baselines(tiny(), beam_data_tiny)
    assert TASK.baselines(tiny(method="feature", seed=9, width=0.5), beam_data_tiny) == expected


def test_the_published_networks_are_described_to_the_unit():
    rows = {row["model"]: row for row in TASK.models()}
    assert rows.keys() == BEAM_MODELS.keys()
    counts = {
        name: (row["params"], row["thop_operations"])
        for name, row in rows.items()
        if row["in_table_ii"]
    }
    assert counts == {
        "image-teacher": (1_787_418, 157_828_608),
        "image-teacher-gru1": (1_762_458, 157_625_344),
        "image-student": (94_778, 92_249_216),
        "image-radar-teacher": (2_947_740, 179_248_128),
        "image-radar-student": (105_940, 42_722_880),
    }
    assert rows["image-radar-teacher"]["thop_params"] == 2_931_100
    json.dumps(list(rows.values()))


def test_completed_parameters_are_json_and_have_an_identity():
    completed = TASK.complete({"method": "self", "width": 0.5})
    assert json.loads(json.dumps(completed)) == completed
    assert fingerprint(completed) == fingerprint(TASK.complete(completed))
    assert load_task("beam-tracking").name == "beam-tracking"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_network_learns_more_than_the_majority_on_the_street(tmp_path):
    params = {"model": "gps-student", "train_passages": 60, "epochs": 12, "learning_rate": 8e-3}
    data = TASK.load_scenario(tiny(**params), cache_dir=tmp_path, progress=lambda *_: None)
    _, outcome = trained_student(data, **params)
    (majority,) = (b for b in TASK.baselines(tiny(**params), data) if b.name.startswith("majority"))
    assert outcome.metrics["val_top5"] > 2.0 * majority.metrics["val_top5"]
