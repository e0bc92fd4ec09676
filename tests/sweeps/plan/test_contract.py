"""Our own tasks keep the contract that a plugin's author checks, and each law can be broken."""

import json
import re

import pytest
from toy_study import toy_study

from kdtasks.contract.errors import ConfigError
from sweeps.cli.main import main
from sweeps.plan.contract import LAWS, TaskContract, broken_laws, check_contract
from sweeps.plan.evidence import Evidence
from sweeps.plan.network_laws import NETWORK_LAWS


class TestToy(TaskContract):
    task = "toy_task:ToyTask"
    trials = ({}, {"method": "kd"})


BROKEN = {
    "PlainUnits": ("metrics_are_described", "speed should be"),
    "StrayBaselines": ("baselines_need_resources", "add width"),
    "Eager": ("complete_writes_nothing", ""),
    "Listing": ("completed_are_plain", r"\{'sizes'"),
    "Restless": ("complete_is_idempotent", "width is 4 and was 3"),
    "Lenient": ("complete_refuses_unknown", "no_such_parameter=1"),
    "Rude": ("complete_refuses_unknown", "raise kdtasks.*ConfigError, not KeyError"),
    "ForgetfulScenario": ("scenario_fingerprint_is_stable", "it is"),
    "SeededData": ("scenario_fingerprint_ignores_seed", "teacher_seed"),
    "ForgetfulTeacher": ("teacher_fingerprint_is_stable", "it is"),
    "SeededTeacher": ("teacher_fingerprint_ignores_seed", "teacher_seed"),
    "Boundless": ("cost_is_finite", "ue_flops is inf"),
    "MoodyCost": ("cost_is_counted", "computed again, ue_flops is .* and was"),
    "NoTest": ("splits_have_samples", "test has no arrays"),
    "Words": ("splits_have_samples", r"val\['names'\] is an array of <U1"),
    "Unfit": ("parts_fit_together", "the student has 3 outputs"),
    "Moody": ("data_repeat", "val changed; draw from kdtasks.learning.random"),
    "Silent": ("data_have_provenance", "it is empty"),
    "Opaque": ("data_have_provenance", "Object of type set"),
    "NoOutputs": ("train_teacher", r"outputs\['names'\] is an array of <U1"),
    "OtherTeachers": ("teacher_repeats", "'extra' differs"),
    "LookingTeacher": ("teacher_is_of_its_parameters", "it does not contain epochs; add"),
    "BoastfulTeacher": ("teacher_is_judged_alike", "val_nmse_db is -20 and was -30"),
    "NanTeacher": ("teacher_is_finite", "train_core_seconds is nan"),
    "MiscountingTeacher": ("teacher_reports", "they count 2 of 3, 1 of 1; count"),
    "Mute": ("student_reports", "there are none"),
    "Scribbling": ("training_writes_nothing", "work on a copy"),
    "NanStudent": ("student_is_finite", "train_core_seconds is nan"),
    "Unjudged": ("student_is_judged", "none of .*nmse_db"),
    "Unstorable": ("train_student", r"weights\['phase'\] is .*complex64"),
    "Dicing": ("student_repeats", "'extra' differs"),
    "Stubborn": ("student_follows_seed", "bit for bit"),
    "Boastful": ("evaluate_repeats_training", "val_nmse_db is"),
    "Crashing": ("train_student", r"KeyError: 'pictures' \(broken_tasks.py, line \d+"),
    "OtherNames": ("evaluate_is_the_same_on_test", "nmse_db on validation, error_db on test"),
    "Wearing": ("evaluate_writes_nothing", "the weights"),
    "Twins": ("baselines_have_distinct_names", "PCA"),
    "Arrays": ("models_are_json", "Object of type int64"),
    "SameTeachers": ("teacher_follows_seed", "its weights"),
    "OddNames": ("metrics_have_names", "val_top@1"),
    "Forgetful": ("complete_knows_no_order", "width is 2 and was 5"),
    "HiddenResource": ("resources_are_declared", "scenario_fingerprint .* width"),
    "MovingBaselines": ("baselines_follow_from_the_data", "PCA: val_nmse_db"),
    "Undeclared": ("student_metrics_are_declared", "speed is not in metrics"),
    "Weightless": ("student_has_weights", "there are none"),
    "CostlyStudent": ("student_costs_the_same", "ue_flops is 1 and was 2000"),
    "OtherNetworks": ("deployable_is_the_student", "nmse_db is 0"),
}
"""By class of ``broken_tasks``: the broken law or failing method, and facts in the finding."""
IN_NETWORKS = {
    "edge_params_are_complete": "Unsorted",
    "shares_are_disjoint": "Overlapping",
    "samples_are_as_announced": "OtherSamples",
    "streams_are_of_nodes": "ToyNetworkTask",
    "students_are_as_announced": "OtherTensors",
    "train_on_writes_nothing": "WritingStudents",
    "outputs_are_as_announced": "OtherOutputs",
    "no_weight_is_no_guidance": "AlwaysGuided",
    "teachers_are_as_announced": "OtherTeacherTensors",
}
EFFORTS = {"Untold": "train_epochs is not reported", "Unbudgeted": "20 epochs instead of 2"}
"""By class of ``broken_tasks``: what is said of a task that does not end a training as told."""
BY_THE_ENGINE = {"teacher_is_of_its_data", "teacher_is_of_its_code"}
"""Laws that a task cannot break alone, see tests/sweeps/ledger."""


@pytest.mark.parametrize("law", NETWORK_LAWS, ids=lambda law: law.name)
def test_each_law_of_networks_can_be_broken(law, tmp_path):
    params = {"topology": "mutual", "method": "kd"}
    if law.name == "teachers_are_as_announced":
        params["topology"] = "decentralized"
    task = IN_NETWORKS[law.name]
    assert law.broken(Evidence(f"broken_tasks:{task}", params, tmp_path))
    if task != "ToyNetworkTask":
        assert not law.broken(Evidence("toy_network:ToyNetworkTask", params, tmp_path))


def test_every_law_has_a_task_that_breaks_it():
    assert {law.name for law in LAWS} <= {
        *IN_NETWORKS,
        *BY_THE_ENGINE,
        "effort_ends_the_training",
        *(law for law, _ in BROKEN.values()),
    }


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_law_is_named(name, tmp_path):
    law, detail = BROKEN[name]
    sentence = next((one.sentence for one in LAWS if one.name == law), law)
    broken = broken_laws(f"broken_tasks:{name}", {"method": "kd"}, tmp_path)
    assert any(one.startswith(sentence) and re.search(detail, one) for one in broken), broken


@pytest.mark.parametrize("name", EFFORTS)
def test_a_task_without_effort_is_named(name, tmp_path):
    [law] = [one for one in LAWS if one.name == "effort_ends_the_training"]
    evidence = Evidence(f"broken_tasks:{name}", {"method": "vanilla", "epochs": 2}, tmp_path)
    assert EFFORTS[name] in law.broken(evidence)


def test_a_task_that_keeps_the_contract_breaks_no_law(tmp_path):
    found = list(check_contract("toy_task:ToyTask", {"method": "kd"}, tmp_path))
    assert [one for one in found if one.broken] == []
    laws = [one.law for one in found]
    assert len(laws) == len(set(laws)) > 20


def test_wrong_parameters_are_no_breach(tmp_path):
    with pytest.raises(ConfigError, match="unknown parameter 'wdith'"):
        broken_laws("toy_task:ToyTask", {"wdith": 2}, tmp_path)


def checked(capsys, *arguments):
    """Return the exit code and the output of ``kdsweep check``."""
    with pytest.raises(SystemExit) as stop:
        main(["check", *arguments])
    return stop.value.code, capsys.readouterr()


def test_the_command_names_broken_laws(capsys):
    for option, others in ((), False), (("--verbose",), True):
        code, shown = checked(capsys, "broken_tasks:Boundless", "--set", "method=kd", *option)
        assert code == 1
        assert re.search(r"^FAILED  cost .*\n        ue_flops is inf$", shown.out, re.M)
        assert bool(re.search(r"^ok      a student .* seed$", shown.out, re.M)) is others
        assert re.search(r"\d+ checks passed, 2 failed\n$", shown.out)


def test_data_that_cannot_be_loaded_are_named_once_and_no_breach(capsys, tmp_path):
    file = tmp_path / "toy.yaml"
    file.write_text(toy_study(task="broken_tasks:NoFile").text)
    code, shown = checked(capsys, str(file))
    assert code == 2
    assert "FAILED" not in shown.out
    assert shown.err.count("no_such_data.npy") == shown.err.count("\n") == 1
    assert re.search(r"data of broken_tasks:NoFile .*\(broken_tasks.py, line \d+", shown.err)


@pytest.mark.parametrize("option", [(), ("--verbose",)])
def test_what_other_topologies_need_is_shown_on_demand(capsys, option):
    code, shown = checked(capsys, "two_networks:Clusters", "--set", "epochs=1",
                          "--set", "method=vanilla", *option)  # fmt: skip
    assert code == 0
    assert ("derive its class" in shown.out) is bool(option)


def test_the_command_tries_every_kind_of_trial_of_a_study(capsys, tmp_path):
    file = tmp_path / "toy.yaml"
    file.write_text(toy_study().text)
    code, shown = checked(capsys, str(file), "--json")
    assert code == 0, shown.err
    rows = json.loads(shown.out)
    kinds = {row["trial"].partition(", ")[2] for row in rows}
    assert kinds == {"", "method vanilla", "method kd"}  # the study itself has a law, too
    assert not any(row["broken"] for row in rows)
    taught = {row["law"] for row in rows if row["trial"].endswith("kd")}
    assert taught - {row["law"] for row in rows if row["trial"].endswith("vanilla")}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["no-such-task"], "no task 'no-such-task'; there are beam-tracking"),
        (["toy_task:ToyTask", "--set", "width"], "--set width: must look like epochs=1"),
        (["csi-feedback", "--set", "space.widht=3"], "widht"),
    ],
)
def test_what_cannot_be_checked_is_refused_in_one_line(capsys, arguments, reason):
    code, shown = checked(capsys, *arguments)
    assert code == 2
    assert reason in shown.err
    assert shown.err.count("\n") == 1
