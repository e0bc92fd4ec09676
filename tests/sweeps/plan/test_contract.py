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
    "PlainUnits": "metrics give unit, direction and meaning of every number: speed should be",
    "StrayBaselines": "baseline_parameters are some of resource_parameters: add width",
    "Eager": "complete leaves the parameters that it is given as they are: ",
    "Listing": r"completed parameters are numbers, words or truth values: \{'sizes'",
    "Restless": "what is complete stays as it is: .*width is 4 and was 3",
    "Lenient": "complete refuses a parameter that it does not know: no_such_parameter=1 was taken",
    "Rude": "complete refuses .*: raise kdtasks.contract.errors.ConfigError, not KeyError",
    "ForgetfulScenario": "scenario_fingerprint is the same for the same parameters: it is",
    "SeededData": "scenario_fingerprint does not depend on seed: .*teacher_seed",
    "ForgetfulTeacher": "teacher_fingerprint is the same for the same parameters: it is",
    "SeededTeacher": "teacher_fingerprint does not depend on seed: .*teacher_seed",
    "Boundless": "cost gives finite numbers: ue_flops is inf",
    "MoodyCost": "equal parameters give equal cost: computed again, ue_flops is .* and was",
    "NoTest": "every split has samples, as arrays of numbers: test has no arrays",
    "Words": r"every split has samples.*: val\['names'\] is an array of <U1",
    "Moody": "the same parameters give the same data: val changed; "
    "draw from kdtasks.learning.random",
    "Silent": "provenance names the source of the data, in JSON: it is empty",
    "Opaque": "provenance names .*: Object of type set",
    "NoOutputs": r"train_teacher returns what it must: outputs\['names'\] is an array of <U1",
    "OtherTeachers": "teacher_seed decides a teacher, and seed does not: .*'extra' differs",
    "LookingTeacher": "teacher_fingerprint changes with every .*: it does not contain epochs; add",
    "BoastfulTeacher": "evaluate_teacher gives .*: val_nmse_db is -20 and was -30",
    "NanTeacher": "a teacher's metrics are finite numbers: train_core_seconds is nan",
    "MiscountingTeacher": "a teacher's reports count its epochs: they count 2 of 3, 1 of 1; count",
    "Mute": "a student's reports count its epochs: there are none",
    "Scribbling": "training leaves data and teacher as they are: an array was written to",
    "NanStudent": "a student's metrics are finite numbers: train_core_seconds is nan",
    "Unjudged": "a student is judged on validation: none of .*nmse_db",
    "Unstorable": r"train_student returns what it must: weights\['phase'\] is .*complex64",
    "Dicing": "seed decides a student: trained twice, 'extra' differs",
    "Stubborn": "another seed gives another student: its weights are bit for bit the same",
    "Boastful": "evaluate gives, from the stored weights, .*: val_nmse_db is",
    "Crashing": r"train_student does its work: KeyError: 'pictures' \(broken_tasks.py, line \d+",
    "OtherNames": "evaluate judges every split alike: nmse_db on validation, error_db on test",
    "Wearing": "evaluate changes nothing: the weights were written to",
    "Twins": "baselines have names of their own and finite metrics: PCA is there more than once",
    "Arrays": "models describes networks by rows of JSON: Object of type int64",
    "SameTeachers": "another teacher_seed gives another teacher: its weights",
    "OddNames": "names of metrics can be recorded in MLflow: .*val_top@1",
    "Forgetful": "parameters are completed alike in whatever order.*: kept, width is 2 and was 5",
    "HiddenResource": "data and teacher change with no parameter.*: scenario_fingerprint .* width",
    "MovingBaselines": "baselines change with no parameter.*: PCA: val_nmse_db",
    "Undeclared": "metrics name every number of a student: speed is not in metrics",
    "Weightless": "a student leaves weights: there are none",
    "CostlyStudent": "equal parameters report equal cost, that of cost: ue_flops is 1 and was 2000",
    "OtherNetworks": "the networks of deployable give what evaluate gives: nmse_db is 0",
}
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
    for law in LAWS:
        shown = [re.match(words.partition(": ")[0], law.sentence) for words in BROKEN.values()]
        assert any(shown) or law.name in {*IN_NETWORKS, *BY_THE_ENGINE}, law.sentence


@pytest.mark.parametrize("name", BROKEN)
def test_a_task_that_breaks_a_law_is_told_which(name, tmp_path):
    broken = broken_laws(f"broken_tasks:{name}", {"method": "kd"}, tmp_path)
    assert any(re.match(BROKEN[name], one) for one in broken), broken


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


def test_the_command_tells_what_is_broken(capsys):
    code, shown = checked(capsys, "broken_tasks:Boundless", "--set", "method=kd")
    assert code == 1
    assert "BAD   cost gives finite numbers\n      ue_flops is inf\n" in shown.out
    assert "ok    seed decides a student" in shown.out
    assert re.search(r"\d+ laws kept, 2 broken\n$", shown.out)


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
