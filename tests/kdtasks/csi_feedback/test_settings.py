import pytest
from csi_examples import TASK, tiny
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import ConfigError
from kdtasks.csi_feedback.settings import CsiSettings, resolve

METHOD_PARAMETERS = {
    "vanilla": {},
    "autoencoder-kd": {
        "alpha": st.floats(0.0, 1.0),
        "temperature": st.floats(0.1, 50.0),
        "soft_scale": st.sampled_from(["t-squared", "paper"]),
    },
    "encoder-kd": {},
    "ip-encoder-kd": {"pair_bits": st.integers(0, 16)},
    "sequential": {"pair_bits": st.integers(0, 16)},
}
SHARED = {
    "preset": st.sampled_from(CsiSettings.preset_names()),
    "scenario": st.sampled_from(["site-umi-los", "site-indoor-40mhz", "tr38901-umi-nlos"]),
    "second_scenario": st.sampled_from(["", "site-umi-nlos"]),
    "compression": st.sampled_from([2, 4, 8, 16, 32]),
    "decoder_width": st.integers(1, 16),
    "learning_rate": st.floats(1e-5, 1.0),
    "finetune_rate": st.floats(1e-5, 1.0),
    "teacher_rate": st.floats(1e-5, 1.0),
    "epochs": st.integers(1, 300),
    "encoder_epochs": st.integers(1, 300),
    "finetune_epochs": st.integers(1, 300),
    "teacher_epochs": st.integers(1, 300),
    "num_train": st.integers(200, 10**6),
    "seed": st.integers(0, 2**63 - 1),
    "teacher_seed": st.integers(0, 2**63 - 1),
    "data_seed": st.integers(0, 2**63 - 1),
}
ENCODERS = (
    st.fixed_dictionaries({"encoder": st.just("crnet")})
    | st.fixed_dictionaries({}, optional={"encoder_depth": st.just(0)})
    | st.fixed_dictionaries(
        {"encoder_depth": st.just(1)},
        optional={
            "encoder_kernel": st.sampled_from([3, 5, 7, 9]),
            "encoder_factorised": st.booleans(),
        },
    )
    | st.fixed_dictionaries(
        {"encoder_depth": st.integers(2, 6), "encoder_width": st.integers(1, 128)},
        optional={"encoder_kernel": st.sampled_from([3, 5, 7, 9])},
    )
)
PARAMS = st.builds(
    lambda shared, method, encoder: {**shared, **method, **encoder},
    st.fixed_dictionaries({}, optional=SHARED),
    st.one_of(
        *(
            st.fixed_dictionaries({"method": st.just(method)}, optional=extra)
            for method, extra in METHOD_PARAMETERS.items()
        )
    ),
    ENCODERS,
)
"""Any valid parameters."""


def test_quick_is_the_default():
    assert TASK.complete({}) == TASK.complete({"preset": "quick", "method": "vanilla"})


@given(PARAMS)
def test_completing_twice_is_completing_once(params):
    completed = TASK.complete(params)
    assert TASK.complete(completed) == completed
    assert list(TASK.complete(completed)) == list(completed)
    assert resolve(completed) == resolve(params)
    assert {name: completed[name] for name in params if name in completed} == {
        name: value for name, value in params.items() if name in completed
    }


@given(PARAMS)
def test_what_complete_leaves_out_makes_no_difference(params):
    # This is what "the same configuration" rests on: dropped parameters may differ.
    completed = TASK.complete(params)
    defaults = resolve({"preset": completed["preset"]})
    for name in params.keys() - completed.keys():
        assert not CsiSettings.declared[name].strict
        assert getattr(resolve(params), name) == getattr(defaults, name)


@given(PARAMS)
def test_order_of_parameters_does_not_matter(params):
    turned = dict(reversed(params.items()))
    assert list(TASK.complete(turned).items()) == list(TASK.complete(params).items())
    assert TASK.teacher_fingerprint(turned) == TASK.teacher_fingerprint(params)


@given(PARAMS, st.integers(0, 99), st.floats(1e-5, 1.0), st.integers(1, 50))
def test_what_is_no_resource_needs_no_other_data_and_no_other_teacher(params, seed, rate, epochs):
    # Data and teachers are made before the first trial, for every choice of the resources.
    free = {
        "seed": seed,
        "learning_rate": rate,
        "finetune_rate": rate,
        "encoder_epochs": epochs,
        "finetune_epochs": epochs,
    }
    if params["method"] == "autoencoder-kd":
        free |= {"alpha": 0.25, "temperature": rate, "soft_scale": "paper"}
    if params["method"] in ("ip-encoder-kd", "sequential"):
        free |= {"pair_bits": 3}
    assert not free.keys() & TASK.resource_parameters
    changed = {**params, **free}
    assert TASK.teacher_fingerprint(changed) == TASK.teacher_fingerprint(params)
    assert TASK.scenario_fingerprint(changed) == TASK.scenario_fingerprint(params)


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


@given(PARAMS)
def test_scenarios_are_told_apart_by_what_decides_them(params):
    completed = TASK.complete(params)
    other = {**params, "data_seed": int(completed["data_seed"]) + 1}
    if other["data_seed"] < 2**63:
        assert TASK.scenario_fingerprint(other) != TASK.scenario_fingerprint(params)


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
        ({"zzz": 3.0}, "no parameter 'zzz'.*learning_rate"),
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
