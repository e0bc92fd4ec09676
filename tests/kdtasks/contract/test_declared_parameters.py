"""Parameters are declared once: validation, presets and identity follow from the declaration."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtasks.beam_tracking.settings import BeamSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.settings import Settings, When, param
from kdtasks.contract.task import KDTask
from kdtasks.csi_feedback.settings import CsiSettings
from kdtasks.lidar_beam.settings import LidarSettings
from kdtasks.mimo_detection.settings import MimoSettings

SYSTEMS = (BeamSettings, CsiSettings, LidarSettings, MimoSettings)
ENDS = st.none() | st.integers(-3, 3)

WITH_TEACHER = When(lambda p: p.method == "kd", "method kd")
PARAMETERS = {
    "method": param("vanilla", choices=("vanilla", "kd"), decides="teacher"),
    "width": param(8, low=2, high=64, unit="channels", help="of the student"),
    "alpha": param(0.5, low=0, high=1, when=WITH_TEACHER, strict=True),
    "teacher_seed": param(0, low=0, when=WITH_TEACHER, decides="teacher", key="seed"),
}


class Small(KDTask):
    """A task that declares its parameters in a dict."""

    name = "small"
    parameters = PARAMETERS


def complete(**params):
    return Small.complete(Small, params)


@given(ENDS, ENDS, ENDS, ENDS, st.integers(-4, 4), st.integers(-4, 4))
def test_values_are_accepted_exactly_within_the_declared_range(low, high, above, below, one, other):
    def within(value):
        return all(
            (
                low is None or value >= low,
                high is None or value <= high,
                above is None or value > above,
                below is None or value < below,
            )
        )

    assume(within(one))
    declared = param(one, low=low, high=high, above=above, below=below)
    kind = Settings.made_of({"x": declared}, task="toy")
    assert kind.resolve({}).x == one
    if within(other):
        assert kind.resolve({"x": other}).x == other
        return
    with pytest.raises(ConfigError, match=f"x={other}: "):
        kind.resolve({"x": other})


def test_a_dict_of_parameters_is_a_tasks_settings():
    assert complete() == {"seed": 0, "method": "vanilla", "width": 8}
    assert complete(method="kd", seed=1) == {
        "seed": 1,
        "method": "kd",
        "width": 8,
        "alpha": 0.5,
        "teacher_seed": 0,
    }
    assert Small.settings.resolve({"width": 3}).width == 3
    assert Small.resource_parameters == {"method", "teacher_seed"}
    assert Small.baseline_parameters == frozenset()
    assert Small.settings.resolve({}).identity("teacher") == {"method": "vanilla", "seed": 0}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"widht": 3}, "small has no parameter 'widht'; did you mean 'width'"),
        ({"width": 65}, "width=65.*64"),
        ({"width": 2.5}, "width=2.5.*integer"),
        ({"method": "magic"}, "method='magic'.*'vanilla' or 'kd'"),
        ({"alpha": 0.3}, "alpha=0.3 has no effect here: it belongs to method kd; remove it"),
        ({"preset": "quick"}, "no parameter 'preset'"),
    ],
)
def test_errors_name_the_parameter_the_value_and_the_way_out(params, words):
    with pytest.raises(ConfigError, match=words):
        complete(**params)


def test_what_is_not_strict_is_dropped_where_it_has_no_effect():
    assert complete(teacher_seed=7) == complete()
    assert Small.settings.resolve({"teacher_seed": 7}).teacher_seed == 0


def test_a_parameter_with_a_name_that_settings_need_is_refused():
    with pytest.raises(ConfigError, match=r"small: .*'identity'.*rename"):
        Settings.made_of({"identity": param(0)}, task="small")


def test_a_default_outside_of_its_range_is_refused_at_once():
    with pytest.raises(ValueError, match=r"\bx\n.*less than or equal to 2"):
        Settings.made_of({"x": param(3, high=2)}, task="small")


def test_a_slip_in_what_a_parameter_decides_is_refused_at_once():
    with pytest.raises(TypeError, match="decides='techer' must be one of data, made data, teacher"):
        param(0, decides="techer")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"size": 3}, "size is not declared"),
        ({"size": param({"quick": 3})}, "size needs a default for each preset: none"),
        ({"size": param(1), "other": param(1, key="size")}, "other has the key of size"),
    ],
)
def test_a_declaration_that_is_no_good_is_refused_at_once(fields, words):
    body = {**fields, "__annotations__": dict.fromkeys(fields, int)}
    with pytest.raises(TypeError, match=words):
        type("Wrong", (Settings,), body)


def test_each_preset_needs_a_default():
    with pytest.raises(TypeError, match="num_val needs a default for each preset: quick"):

        class Wrong(CsiSettings):
            num_val: int = param({"quick": 3, "small": 4})


@pytest.mark.parametrize("kind", SYSTEMS, ids=lambda kind: kind.task)
def test_every_parameter_of_the_systems_states_what_it_means(kind):
    assert [name for name, one in kind.declared.items() if not one.help] == []


@pytest.mark.parametrize(
    ("kind", "preset"),
    [(kind, preset) for kind in SYSTEMS for preset in kind.preset_names()],
    ids=lambda value: value if isinstance(value, str) else value.task,
)
def test_every_preset_is_complete_for_every_method(kind, preset):
    message = kind.declared["method"].help.removesuffix(", or a loss of your own").split(", ")
    annotation = kind.model_fields["method"].annotation
    values = kind.preset_values(preset)
    for method in getattr(annotation, "__args__", message):
        completed = kind.resolve({"preset": preset, "method": method}).completed()
        assert completed["preset"] == preset
        assert completed.items() >= {n: v for n, v in values.items() if n in completed}.items()


@pytest.mark.parametrize("word", ["yes", "off"])
def test_words_of_yaml_1_1_for_booleans_are_refused_with_the_fix(word):
    with pytest.raises(ConfigError, match=f"data_drop='{word}': must be true or false; yes, no"):
        CsiSettings.resolve({"data_drop": word})
