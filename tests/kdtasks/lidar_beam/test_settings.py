import math
from pathlib import Path

import numpy as np
import pytest
from lidar_trials import DISTILLING, TASK, WITHOUT_DATA, tiny

from kdtasks.contract.errors import ConfigError
from kdtasks.contract.params import fingerprint
from kdtasks.lidar_beam.data import data_of
from kdtasks.lidar_beam.models.family import GENERATORS, LIDAR_TEACHERS
from kdtasks.lidar_beam.models.objects import OBJECTS
from kdtasks.lidar_beam.settings import LidarSettings, resolve
from kdtasks.sensing.street.dataset import build_passages


def test_presets_test_on_enough_passages():
    assert min(LidarSettings.declared["test_passages"].default.values()) >= 60


def test_names_are_those_of_the_families():
    fields = LidarSettings.model_fields
    assert set(fields["teacher"].annotation.__args__) == LIDAR_TEACHERS.keys()
    assert set(fields["generator"].annotation.__args__) == GENERATORS.keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"teacher": "cnn-gru"},
        {"teacher_epochs": 3},
        {"teacher_batch": 8},
        {"teacher_rate": 1e-2},
        {"teacher_decay": 0.5},
        {"teacher_seed": 1},
        {"train_passages": 7},
        {"window_stride": 2},
        {"data_seed": 1},
        {"site_seed": 2},
        {"distractors": 2.0},
        {"max_distractors": 4},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_makes_another_teacher_has_another_fingerprint(changes):
    assert changes.keys() <= TASK.resource_parameters
    before = TASK.teacher_fingerprint(tiny(method="datafree"))
    assert TASK.teacher_fingerprint(tiny(method="datafree", **changes)) != before


def test_the_prior_knows_the_default_traffic_and_not_that_of_its_control():
    def others(**changes):
        passages = build_passages(data_of(resolve({"train_passages": 300, **changes})))["train"]
        return np.array([passage.low_FVD.shape[1] - 1 for passage in passages])

    usual, busy = others(), others(distractors=2.0, max_distractors=4)
    assert usual.max() + 1 == OBJECTS
    assert usual.mean() == pytest.approx(1 / (1 + math.e), abs=0.06)
    assert busy.max() == 4
    assert (busy + 1 > OBJECTS).mean() > 0.4


def test_another_site_seed_is_another_street_with_the_same_traffic():
    usual, other = (
        TASK.load_scenario(tiny(site_seed=seed), cache_dir=Path(), progress=lambda *_: None)
        for seed in (1, 2)
    )
    np.testing.assert_array_equal(usual.train["lidar"], other.train["lidar"])
    assert not np.array_equal(usual.train["label"], other.train["label"])


def test_methods_with_the_same_teacher_share_it():
    assert len({TASK.teacher_fingerprint(tiny(method=method)) for method in DISTILLING}) == 1
    assert TASK.teacher_fingerprint(tiny()) is None


def test_the_order_of_groups_of_metadata_makes_no_difference():
    one = TASK.complete(tiny(method="datafree", metadata="inputs softmax  inputs"))
    other = TASK.complete(tiny(method="datafree", metadata="softmax inputs"))
    assert fingerprint(one) == fingerprint(other)
    assert one["metadata"] == "softmax inputs"


def test_metadata_that_weigh_nothing_are_not_there():
    params = tiny(method="datafree", metadata_weight=0.0, entropy_weight=1.0)
    assert "metadata" not in TASK.complete(params)
    assert resolve(params).groups == ()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"alpha": 0.5}, "alpha=0.5 .* methods ordinary, feature and relation"),
        ({"method": "datafree", "alpha": 0.5}, "alpha=0.5 .* ordinary, feature and relation"),
        ({"method": "feature", "temperature": 2.0}, "temperature=2.0 .* imitate .* logits"),
        ({"method": "feature", "relation_angle": 1.0}, "relation_angle=1.0 .* method relation"),
        ({"method": "relation", "relation_partners": 0}, "relation_partners=0"),
        ({"temperature": 2.0}, "temperature=2.0 .* logits, and soft_loss kl"),
        ({"method": "prior", "soft_loss": "mse", "temperature": 2.0}, "temperature=2.0 .* kl"),
        ({"method": "ordinary", "taught_steps": "all"}, "taught_steps='all' .* without data"),
        ({"method": "prior", "generator": "dense"}, "generator='dense' .* datafree and untrained"),
        ({"method": "untrained", "metadata": "final"}, "metadata='final' .* metadata_weight"),
        ({"method": "untrained", "entropy_weight": 1.0}, "entropy_weight=1.0 .* method datafree"),
        ({"method": "gaussian", "travels": "generator"}, "travels='generator' .* datafree"),
        (
            {"method": "datafree", "metadata_weight": 0.0, "entropy_weight": 1.0, "metadata": "x"},
            "metadata='x' must be some of final, moments, softmax, covariance, inputs",
        ),
        ({"method": "datafree", "metadata": " "}, "set metadata_weight to 0"),
        ({"method": "datafree", "metadata_weight": 0.0}, "are all 0: nothing to train"),
        ({"method": "datafree", "generator_noise": 1}, "generator_noise=1 must be 0"),
        ({"method": "datafree", "generator_steps": 30}, "generator_steps=30: .* multiple of 20"),
        ({"method": "prior", "windows": 50}, "windows=50 must be at least batch_size=64"),
        ({"selection": "synthetic"}, "selection='synthetic' needs made-up windows, .* vanilla"),
        ({"methd": "prior"}, "no parameter 'methd'; did you mean 'method'"),
        ({"teacher": "student"}, "teacher='student'"),
        ({"preset": "tiny"}, "preset='tiny' must be one of"),
        ({"scenario": "deepsense"}, "set data_path"),
        ({"scenario": "deepsense", "data_path": "/nowhere"}, "no such file or folder"),
        ({"data_path": "x"}, "data_path='x' has no effect with scenario 'street'"),
    ],
)
def test_what_cannot_be_is_refused_in_words(params, words):
    with pytest.raises(ConfigError, match=words):
        TASK.complete(params)


@pytest.mark.parametrize("method", WITHOUT_DATA)
def test_on_files_of_ones_own_the_twin_has_no_parameters(tmp_path, method):
    params = {"scenario": "deepsense", "data_path": str(tmp_path), "train_passages": 9}
    completed = TASK.complete({**params, "method": method})
    assert not {"train_passages", "data_seed"} & completed.keys()
