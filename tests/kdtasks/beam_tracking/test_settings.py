import pytest
from beam_trials import TASK, tiny
from deepsense_examples import bare_table

from kdtasks.beam_tracking.models.family import BEAM_MODELS
from kdtasks.beam_tracking.settings import BeamSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import fingerprint

TEACHERS = sorted(name for name, model in BEAM_MODELS.items() if model.role == "teacher")


def test_presets_test_on_enough_passages():
    assert min(BeamSettings.declared["test_passages"].default.values()) >= 80


def test_names_of_models_are_those_of_the_family():
    fields = BeamSettings.model_fields
    assert set(fields["model"].annotation.__args__) == BEAM_MODELS.keys()
    assert set(fields["teacher"].annotation.__args__) == set(TEACHERS)


@pytest.mark.parametrize(
    "changes",
    [
        {"teacher": "image-teacher"},
        {"teacher_epochs": 3},
        {"teacher_rate": 1e-2},
        {"teacher_decay": 0.5},
        {"teacher_loss": "cross-entropy"},
        {"teacher_seed": 1},
        {"teacher_passages": 9},
        {"batch_chunks": 2},
        {"train_passages": 7},
        {"night_share": 0.5},
        {"distractors": 2.0},
        {"image_size": 64},
        {"data_seed": 1},
        {"site_seed": 2},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_makes_another_teacher_has_another_fingerprint(changes):
    base = {"teacher": "image-teacher-gru1", "teacher_loss": "focal", "method": "feature"}
    assert changes.keys() <= TASK.resource_parameters
    before = TASK.teacher_fingerprint(tiny(**base))
    assert TASK.teacher_fingerprint(tiny(**{**base, **changes})) != before


@pytest.mark.parametrize(
    "changes", [{"width": 0.5}, {"model": "image-teacher"}, {"generations": 2}], ids=str
)
def test_of_self_distillation_the_student_decides_on_the_teacher(changes):
    before = TASK.teacher_fingerprint(tiny(method="self"))
    assert TASK.teacher_fingerprint(tiny(method="self", **changes)) != before


def test_methods_with_the_same_teacher_share_it():
    ways = {TASK.teacher_fingerprint(tiny(method=m)) for m in ("response", "feature", "relation")}
    assert len(ways) == 1
    assert TASK.teacher_fingerprint(tiny()) is None
    assert TASK.teacher_fingerprint(tiny(method="self")) not in ways
    narrow = TASK.teacher_fingerprint(tiny(method="response", width=0.5))
    assert ways == {narrow}


def test_trials_of_other_sensors_share_data_that_hold_all_of_them():
    both = {"sensors": "radar image"}
    arms = (
        tiny(**both),
        tiny(**both, model="image-radar-student"),
        tiny(**both, model="radar-student", method="response", teacher="image-radar-teacher"),
    )
    assert len({TASK.scenario_fingerprint(arm) for arm in arms}) == 1
    assert TASK.scenario_fingerprint(tiny()) != TASK.scenario_fingerprint(arms[0])
    assert TASK.complete(tiny(method="response", teacher="radar-teacher"))["sensors"] == (
        "image radar"
    )


def test_a_teacher_that_has_seen_as_much_is_the_same_teacher():
    assert fingerprint(TASK.complete(tiny(teacher_passages=6))) == fingerprint(
        TASK.complete(tiny())
    )


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"alpha": 0.5}, "alpha=0.5 has no effect here: it belongs to methods with a teacher"),
        ({"method": "feature", "temperature": 2.0}, "temperature=2.0 .* response and self"),
        ({"method": "relation", "slot_lean": 1.0}, "slot_lean=1.0 .* response and self"),
        ({"method": "response", "relation_angle": 1.0}, "relation_angle=1.0 .* method relation"),
        ({"method": "response", "generations": 2}, "generations=2 .* method self"),
        ({"task_loss": "cross-entropy", "focal_gamma": 2.0}, "focal_gamma=2.0 .* focal"),
        ({"model": "image-teacher", "width": 0.5}, "width=0.5 .* students"),
        ({"methd": "self"}, "no parameter 'methd'; did you mean 'method'"),
        ({"preset": "tiny"}, "preset='tiny' must be one of"),
        ({"model": "big"}, "model='big': input should be 'image-student'"),
        ({"teacher": "image-student"}, "teacher='image-student'"),
        ({"image_size": 65}, "image_size=65"),
        ({"alpha": 1.5, "method": "self"}, "alpha=1.5"),
        ({"epochs": 2.5}, "epochs=2.5"),
        ({"night_share": 0.7, "rain_share": 0.4}, "rain_share=0.4 and night_share=0.7"),
        ({"teacher_passages": 5}, "teacher_passages=5 must be 0 or at least train_passages=100"),
        ({"sensors": "image sonar"}, "sensors='image sonar' must be some of image, radar, gps"),
        ({"sensors": "radar"}, "sensors='radar' lacks image, which model image-student"),
        ({"scenario": "deepsense"}, "set data_path"),
        ({"data_path": "x"}, "data_path='x' has no effect with scenario 'street'"),
    ],
)
def test_what_cannot_be_is_refused_in_words(params, words):
    with pytest.raises(ConfigError, match=words):
        TASK.complete(params)


def test_on_files_of_ones_own_the_twin_has_no_parameters(tmp_path):
    folder = bare_table(tmp_path, "image")
    params = {"scenario": "deepsense", "data_path": str(folder), "train_passages": 9}
    completed = TASK.complete(params)
    assert not {"train_passages", "night_share", "data_seed", "distractors"} & completed.keys()
