"""Whatever a task hands out of the wrong type is named with its fix: by check, and in a sweep."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_process import Engine
from toy_study import toy_study

from kdtasks.contract.errors import ConfigError, UserError
from kdtasks.contract.registry import load_task
from kdtasks.contract.task import Outcome
from sweeps.common.records import FailureKind, TrialState
from sweeps.common.returned_values import wrong_arrays, wrong_numbers, wrong_outcome, wrong_scenario
from sweeps.plan.contract import check_contract

ARRAYS = "state_arrays"
WRONG = {
    "TensorTeacher": (r"train_teacher .*weights\['w'\] is a torch Tensor", ARRAYS),
    "TensorOutputs": (r"train_teacher .*outputs\['codes'\] is a torch Tensor", ARRAYS),
    "ListTeacher": (r"train_teacher .*weights\['w'\] is a list", "numpy.asarray"),
    "NoTeacherWeights": ("train_teacher .*weights is None", "dict of NumPy arrays"),
    "WordyTeacher": ("train_teacher .*val_nmse_db is None", r"float\("),
    "PlainTeacher": (
        "train_teacher .*returns None at once",
        "yield a kdtasks.contract.task.Report",
    ),
    "Nothing": ("train_student .*ends with None", "return kdtasks.contract.task.Outcome"),
    "Pair": ("train_student .*ends with a tuple", "return kdtasks.contract.task.Outcome"),
    "TensorStudent": (r"train_student .*weights\['error'\] is a torch Tensor", ARRAYS),
    "ScalarStudent": (r"train_student .*weights\['error'\] is a numpy float64", "numpy.asarray"),
    "NumberedStudent": ("train_student .*name 0 is a int", "by words"),
    "WideStudent": (r"train_student .*weights\['error'\] is an array of", "real numbers"),
    "ObjectStudent": (r"train_student .*weights\['error'\] is an array of object", "real numbers"),
    "NoMetrics": ("train_student .*metrics is None", "dict of numbers"),
    "ListMetric": (r"train_student .*val_nmse_db is \[1.0, 2.0\]", r"float\("),
    "NumberedMetric": ("train_student .*name 3 is a int", "by words"),
    "Plain": ("train_student .*returns a Outcome at once", "yield a kdtasks.contract.task.Report"),
    "DictReports": ("train_student .*yields a dict", "yield a kdtasks.contract.task.Report"),
    "WordyReports": ("train_student .*metrics is a str", "dict of numbers"),
    "Leaving": (r"train_student .*SystemExit: licence \(wrong_types.py, line \d+", ""),
    "BareEvaluate": ("evaluate .*is a float", "dict of numbers"),
    "NoCost": ("cost .*is None", "dict of numbers"),
    "TensorCost": (r"cost .*ue_flops is tensor\(\[0., 0.\]\)", r"float\("),
    "NoParams": ("complete .*returns None", "in a dict"),
    "NumberedScenario": (
        "scenario_fingerprint .*returns a int",
        "kdtasks.contract.params.fingerprint",
    ),
    "NumberedTeacher": (
        "teacher_fingerprint .*returns a int",
        "kdtasks.contract.params.fingerprint",
    ),
    "TensorData": (r"every split .*train\['noise'\] is a torch Tensor", r"\.numpy\(\)"),
    "ListData": (r"every split .*val\['noise'\] is a list", "numpy.asarray"),
    "TupleData": ("every split .*returns a tuple", "kdtasks.contract.task.ScenarioData"),
    "BareBaselines": ("baselines .*returns None", r"kdtasks.contract.task.Baseline, or \[\]"),
    "WordyBaselines": ("baselines .*PCA: metrics: ue_flops is 'few'", r"float\("),
    "NoModels": ("models .*list of dicts", ""),
    "BareDeployable": ("deployable .*return kdtasks.contract.deployable.Deployable", ""),
}


@pytest.mark.parametrize("name", WRONG)
def test_check_names_the_law_the_type_and_the_fix(name, tmp_path):
    what, fix = WRONG[name]
    found = list(check_contract(f"wrong_types:{name}", {"method": "kd"}, tmp_path))
    broken = [f"{one.law}: {one.broken}" for one in found if one.broken]
    assert any(re.search(what, one) and re.search(fix, one) for one in broken), broken
    assert not any("can be checked" in one.law for one in found)


def test_numbers_of_libraries_and_striped_arrays_are_right(tmp_path):
    found = list(check_contract("wrong_types:StripedStudent", {"method": "kd"}, tmp_path))
    assert [one for one in found if one.broken] == []


IN_TRIALS = [name for name in WRONG if WRONG[name][0].startswith(("train_student", "cost"))]


@pytest.mark.parametrize("name", IN_TRIALS)
def test_a_trial_fails_with_the_same_line_and_the_sweep_goes_on(name, tmp_path):
    study = toy_study(task=f"wrong_types:{name}", budget={"trials": 2})
    engine = Engine(study, tmp_path)
    engine.teach()
    engine.search()
    what, fix = WRONG[name]
    for trial in engine.ledger.trials():
        assert trial.state is TrialState.FAIL
        kind = FailureKind.RAISED if name == "Leaving" else FailureKind.CONTRACT
        assert trial.failure is kind
        message = trial.reason
        assert re.search(what.partition(".*")[2] or what, message), message
        assert re.search(fix, message), message
        assert "\n" not in trial.reason


FIRST = re.compile("train_teacher|every split|complete|.*fingerprint")
BEFORE = [name for name in WRONG if FIRST.match(WRONG[name][0])]


@pytest.mark.parametrize("name", BEFORE)
def test_what_all_trials_need_is_refused_in_one_line(name, tmp_path):
    with pytest.raises(UserError) as refused:
        Engine(toy_study(task=f"wrong_types:{name}"), tmp_path).teach()
    what, fix = WRONG[name]
    message = str(refused.value)
    assert re.search(what.partition(".*")[2], message), message
    assert re.search(fix, message), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("field", "value"),
    [("metrics", ["val_nmse_db"]), ("resource_parameters", ["method"]), ("name", None)],
)
def test_a_field_of_the_wrong_type_is_refused(field, value, monkeypatch):
    monkeypatch.setattr(f"toy_task.ToyTask.{field}", value)
    with pytest.raises(ConfigError, match=f"{field} is .*frozenset"):
        load_task("toy_task:ToyTask")


ANYTHING = st.recursive(
    st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(ANYTHING)
def test_every_odd_value_can_be_reported(value):
    for wrong in (wrong_scenario, wrong_outcome):
        assert wrong(value)
    assert isinstance(wrong_arrays(value, "weights"), str)
    assert isinstance(wrong_numbers(value, "metrics"), str)
    outcome = Outcome(metrics=value, weights={"w": np.zeros(2)})
    assert bool(wrong_outcome(outcome)) == bool(wrong_numbers(value, "metrics"))
