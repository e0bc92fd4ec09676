"""What holds of the parameters of every system, tried with values drawn from their declarations."""

from importlib.util import find_spec
from typing import Literal, get_args, get_origin

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from tried import times

from kdtasks.beam_tracking.settings import FAMILIES
from kdtasks.beam_tracking.settings import METHOD_NAMES as BEAM_METHODS
from kdtasks.beam_tracking.task import BeamTracking
from kdtasks.contract.errors import ConfigError
from kdtasks.csi_feedback.settings import ENCODERS
from kdtasks.csi_feedback.settings import METHOD_NAMES as CSI_METHODS
from kdtasks.csi_feedback.task import CsiFeedback
from kdtasks.lidar_beam.task import LidarBeam
from kdtasks.mimo_detection.task import MimoDetection

STREETS = ("street", "deepsense", *(["rt-street"] if find_spec("mitsuba") else []))
"""Its paths are traced by an extra, whose version is part of the data."""

WORDS = {
    CsiFeedback: {
        "method": CSI_METHODS,
        "encoder": ENCODERS,
        "scenario": ("site-umi-los", "site-indoor-40mhz", "tr38901-umi-nlos"),
        "second_scenario": ("", "site-umi-nlos"),
        "num_antennas": (8, 16, 32),
        "num_subcarriers": (8, 16, 32),
        "compression": (2, 4, 8, 16, 32),
    },
    BeamTracking: {
        "method": BEAM_METHODS,
        "scenario": STREETS,
        "sensors": ("", "image", "gps image radar"),
        "image_size": (32, 64),  # memory is measured where there is a limit
    },
    LidarBeam: {
        "scenario": STREETS,
        "soft_loss": ("kl", "mse"),
        "metadata": ("moments", "inputs softmax"),
    },
    MimoDetection: {
        "target": ("4x4 qpsk kronecker-0.6", "2X4 16QAM rayleigh"),
        "stream": ("2x2 qpsk rayleigh", "2x2 qpsk rayleigh,4x4 qpsk rayleigh"),
        "gene_start": (0, 1, 2, 7),
    },
}
"""Values of words, and of numbers that must fit to each other."""

every_task = pytest.mark.parametrize("task", [kind() for kind in WORDS], ids=lambda task: task.name)


def values(task, name):
    """Return a strategy for the values of a parameter; None for a word that nothing is known of."""
    one = task.settings.declared[name]
    annotation = task.settings.model_fields[name].annotation
    if name in WORDS[type(task)]:
        return st.sampled_from(WORDS[type(task)][name])
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if annotation is str:
        return None
    if annotation is bool:
        return st.booleans()
    low = one.low if one.above is None else one.above
    high = one.high if one.below is None else one.below
    if annotation is int:
        step = one.multiple_of or 1
        most = min(low + 2000, 10**9 if high is None else high)
        return st.integers(-(-low // step), most // step).map(lambda count: count * step)
    ends = {"exclude_min": one.above is not None, "exclude_max": one.below is not None}
    return st.floats(low, low + 100.0 if high is None else high, **ends)


@st.composite
def trials(draw, task):
    """Draw valid parameters: structure first, and some others; what does not fit is left out."""
    structure = [
        n for n in ("method", "topology", "encoder", "family") if n in task.settings.declared
    ]
    names = draw(st.lists(st.sampled_from(task.settings.in_order()), max_size=8, unique=True))
    drawn = {n: draw(kind) for n in {*structure, *names} if (kind := values(task, n)) is not None}
    params = dict(sorted(drawn.items()))
    while True:
        try:
            task.complete(params)
        except ConfigError as error:
            wrong = [name for name in reversed(params) if name in str(error)]
            assume(wrong)
            del params[wrong[0]]
        else:
            return params


@every_task
@settings(max_examples=times(50))
@given(st.data())
def test_completing_twice_is_completing_once_in_any_order(task, data):
    params = data.draw(trials(task))
    completed = task.complete(params)
    for again in (task.complete(completed), task.complete(dict(reversed(params.items())))):
        assert list(again.items()) == list(completed.items())
    assert task.settings.resolve(completed) == task.settings.resolve(params)


@every_task
@settings(max_examples=times(50))
@given(st.data())
def test_what_complete_leaves_out_is_not_strict_and_makes_no_difference(task, data):
    # This is what "the same configuration" rests on: dropped parameters may differ.
    params = data.draw(trials(task))
    completed = task.complete(params)
    defaults = task.settings.resolve({"preset": completed["preset"]})
    for name in params.keys() - completed.keys():
        assert not task.settings.declared[name].strict
        assert getattr(task.settings.resolve(params), name) == getattr(defaults, name)


@every_task
@settings(
    max_examples=times(20), phases=[Phase.generate]
)  # as it stands a failure names its parameter
@given(st.data())
def test_parameters_decide_on_data_and_teachers_as_they_are_declared(task, data):
    # Data and teachers are made before the first trial, for every choice of the resources.
    params = data.draw(trials(task))
    before, scenario = task.settings.resolve(params), task.scenario_fingerprint(params)
    teacher = task.teacher_fingerprint(params)
    for name in task.complete(params):
        if (kind := values(task, name)) is None:
            continue
        changed = {**params, name: data.draw(kind)}
        try:
            task.complete(changed)
        except ConfigError:
            continue
        one, found = task.settings.declared[name], task.teacher_fingerprint(changed)
        if name not in task.resource_parameters:
            assert task.scenario_fingerprint(changed) == scenario, name
            assert found == teacher, name
        elif "teacher" in one.decisions and one.key != "" and None not in (teacher, found):
            same = getattr(before, name) == getattr(task.settings.resolve(changed), name)
            assert (found == teacher) is same, name


@every_task
@settings(max_examples=times(20))
@given(st.data())
def test_every_trial_has_a_finite_cost_with_and_without_what_is_filled_in(task, data):
    params = data.draw(trials(task))
    cost = task.cost(params)
    assert 0.0 <= min(cost.values()) <= max(cost.values()) < float("inf")
    assert cost == task.cost(task.complete(params))


@pytest.mark.parametrize("task", [BeamTracking(), LidarBeam()], ids=lambda task: task.name)
@settings(max_examples=times(50))
@given(st.data(), st.integers(0, 5))
def test_parameters_of_an_edge_are_complete_and_need_no_other_data(task, data, edge):
    params = data.draw(trials(task))
    own = task.edge_params(task.complete(params), edge)
    assert task.complete(own) == own
    assert task.scenario_fingerprint(own) == task.scenario_fingerprint(params)
    assert task.edge_params(own, edge) == own
    if params.get("edge_families") == "mixed" and params.get("topology", "none") != "none":
        assert own["model"] == FAMILIES[edge % 3]
