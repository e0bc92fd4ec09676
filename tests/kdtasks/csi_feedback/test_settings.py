import pytest
from csi_examples import TASK, tiny

from kdtasks.contract.errors import ConfigError


def test_quick_is_the_default():
    assert TASK.complete({}) == TASK.complete({"preset": "quick", "method": "vanilla"})


@pytest.mark.parametrize(
    "changes",
    [
        {"compression": 8},
        {"decoder_width": 16},
        {"teacher_epochs": 3},
        {"teacher_rate": 1e-2},
        {"teacher_seed": 1},
        {"batch_size": 20},
        {"num_train": 241},
        {"num_antennas": 16},
        {"num_subcarriers": 16},
        {"data_seed": 1},
        {"scenario": "site-umi-nlos"},
        {"second_scenario": "site-umi-nlos"},
    ],
    ids=lambda changes: next(iter(changes)),
)
@pytest.mark.parametrize("method", ["autoencoder-kd", "encoder-kd", "ip-encoder-kd"])
def test_what_makes_another_teacher_has_another_fingerprint(method, changes):
    assert changes.keys() <= TASK.resource_parameters
    before = TASK.teacher_fingerprint(tiny(method=method))
    assert TASK.teacher_fingerprint(tiny(method=method, **changes)) != before


@pytest.mark.parametrize(
    "changes",
    [{"encoder_depth": 2}, {"encoder_kernel": 5}, {"encoder_factorised": True}, {"epochs": 3}],
    ids=lambda changes: next(iter(changes)),
)
def test_the_light_teacher_follows_the_students_encoder_and_epochs(changes):
    before = TASK.teacher_fingerprint(tiny(method="sequential"))
    assert TASK.teacher_fingerprint(tiny(method="sequential", **changes)) != before
    kept = TASK.teacher_fingerprint(tiny(method="encoder-kd"))
    assert TASK.teacher_fingerprint(tiny(method="encoder-kd", **changes)) == kept


def test_the_light_teacher_has_the_teachers_rate():
    # Not the students': that is searched, and teachers are trained before the search.
    before = TASK.teacher_fingerprint(tiny(method="sequential"))
    assert TASK.teacher_fingerprint(tiny(method="sequential", teacher_rate=1e-2)) != before


def test_methods_with_the_same_teacher_share_it():
    prints = {
        TASK.teacher_fingerprint(tiny(method=method, **extra))
        for method, extra in (
            ("autoencoder-kd", {}),
            ("encoder-kd", {}),
            ("ip-encoder-kd", {}),
            ("sequential", {"encoder": "crnet"}),
        )
    }
    assert len(prints) == 1
    assert TASK.teacher_fingerprint(tiny(method="vanilla")) is None
    assert TASK.teacher_fingerprint(tiny(method="sequential")) not in prints


@pytest.mark.parametrize(
    ("params", "inactive"),
    [
        ({"method": "vanilla", "alpha": 0.5}, "alpha=0.5"),
        ({"method": "encoder-kd", "temperature": 2.0}, "temperature=2.0"),
        ({"method": "encoder-kd", "soft_scale": "paper"}, "soft_scale='paper'"),
        ({"method": "encoder-kd", "pair_bits": 4}, "pair_bits=4"),
        ({"encoder": "crnet", "encoder_depth": 1}, "encoder_depth=1"),
        ({"encoder_depth": 1, "encoder_width": 4}, "encoder_width=4"),
        ({"encoder_depth": 0, "encoder_kernel": 3}, "encoder_kernel=3"),
        ({"encoder": "crnet", "encoder_factorised": True}, "encoder_factorised=True"),
    ],
)
def test_searched_parameters_without_effect_are_refused(params, inactive):
    with pytest.raises(ConfigError, match="has no effect here: it belongs to") as error:
        TASK.complete(params)
    assert inactive in str(error.value)
    assert "'when'" in str(error.value)


@pytest.mark.parametrize(
    ("method", "dropped"),
    [
        ("vanilla", {"encoder_epochs": 7, "finetune_epochs": 7, "finetune_rate": 0.5}),
        ("vanilla", {"teacher_epochs": 7, "teacher_rate": 0.5, "teacher_seed": 7}),
        ("encoder-kd", {"epochs": 7}),
        ("sequential", {"finetune_epochs": 7, "teacher_epochs": 7}),
    ],
)
def test_fixed_parameters_of_other_methods_are_dropped(method, dropped):
    completed = TASK.complete({"method": method, **dropped})
    assert completed == TASK.complete({"method": method})
    assert not completed.keys() & dropped.keys()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tempratur": 3.0}, "no parameter 'tempratur'; did you mean 'temperature'"),
        ({"zzz": 3.0}, "no parameter 'zzz'.*kdsweep parameters"),
        ({"preset": "huge"}, "preset='huge' must be one of quick, small, paper"),
        ({"preset": True}, "preset=True must be one of"),
        ({"method": "magic"}, "no method 'magic'.*vanilla"),
        ({"alpha": 1.5, "method": "autoencoder-kd"}, "alpha=1.5.*less than or equal to 1"),
        ({"alpha": "high", "method": "autoencoder-kd"}, "alpha='high'.*number"),
        ({"temperature": 0.0, "method": "autoencoder-kd"}, "temperature=0.0.*greater than 0"),
        ({"learning_rate": 0}, "learning_rate=0.*greater than 0"),
        ({"epochs": 2.5}, "epochs=2.5.*integer"),
        ({"epochs": True}, "epochs=True.*integer"),
        ({"num_antennas": 0}, "num_antennas=0"),
        ({"batch_size": 1}, "batch_size=1"),
        ({"encoder_kernel": 4}, "encoder_kernel=4"),
        ({"seed": -1}, "seed=-1"),
        ({"compression": 7}, "compression=7 must divide the 512 entries"),
        ({"compression": 1024}, "compression=1024 must divide the 512 entries"),
        ({"scenario": "moon"}, "no scenario 'moon'.*site-umi-los"),
        ({"second_scenario": "moon"}, "no scenario 'moon'.*site-umi-los"),
        ({"scenario": "quadriga"}, "set data_path"),
        ({"data_path": "x.mat"}, "data_path='x.mat' has no effect"),
    ],
)
def test_errors_name_the_parameter_the_value_and_the_way_out(params, message):
    with pytest.raises(ConfigError, match=message):
        TASK.complete(params)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["learning_rate", "temperature", "alpha", "finetune_rate"])
def test_numbers_that_are_none_are_refused(name, number):
    with pytest.raises(ConfigError, match=f"{name}="):
        TASK.complete({"method": "autoencoder-kd", name: number})


def test_a_batch_larger_than_the_training_split_is_refused_before_any_data_are_made():
    with pytest.raises(ConfigError, match=r"batch_size=50 .*num_train=40"):
        TASK.complete({"num_train": 40})


def test_whole_numbers_are_rates_too():
    assert TASK.complete({"learning_rate": 1}) == TASK.complete({"learning_rate": 1.0})
