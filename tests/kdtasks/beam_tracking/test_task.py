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


def test_cost_is_that_of_the_student_whatever_the_method():
    cost = TASK.cost(tiny())
    assert TASK.cost(tiny(method="relation")) == cost
    assert TASK.cost(tiny(width=0.5))["macs"] < cost["macs"]
    assert TASK.cost(tiny(image_size=64))["macs"] > cost["macs"]
    assert cost["params"] == 94_778


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


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_network_learns_more_than_the_majority_on_the_street(tmp_path):
    params = {"model": "gps-student", "train_passages": 60, "epochs": 12, "learning_rate": 8e-3}
    data = TASK.load_scenario(tiny(**params), cache_dir=tmp_path, progress=lambda *_: None)
    _, outcome = trained_student(data, **params)
    (majority,) = (b for b in TASK.baselines(tiny(**params), data) if b.name.startswith("majority"))
    assert outcome.metrics["val_top5"] > 2.0 * majority.metrics["val_top5"]
