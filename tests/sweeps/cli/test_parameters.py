"""`kdsweep parameters`: what is declared of a task's parameters, and what is not."""

import json
from pathlib import Path

import pytest
from two_networks import Clusters

from kdtasks.beam_tracking.task import BeamTracking
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.effort import EffortSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.settings import When, param
from kdtasks.csi_feedback.task import CsiFeedback
from kdtasks.lidar_beam.task import LidarBeam
from kdtasks.mimo_detection.task import MimoDetection
from kdtasks.site_tasks.channel_estimation import ChannelEstimation
from kdtasks.site_tasks.positioning import UserPositioning
from sweeps.cli.main import main
from sweeps.cli.parameters import rows_of

PAGE = Path(__file__).resolve().parents[3] / "docs" / "parameters.md"
SYSTEMS = {
    CsiFeedback: "encoder-kd",
    BeamTracking: "response",
    LidarBeam: "ordinary",
    MimoDetection: "kd",
    UserPositioning: "feature",
    ChannelEstimation: "feature",
}
"""Tasks, each with a method that distils."""


def printed(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["parameters", *arguments])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    return out


@pytest.mark.parametrize("task", SYSTEMS, ids=lambda task: task.name)
def test_a_parameter_is_added_in_one_place(task):
    taught = When(lambda s: s.has_teacher, "methods with a teacher")

    class More(task.settings):
        teacher_noise: float = param(
            0.1,
            low=0,
            below=1,
            unit="V",
            when=taught,
            strict=True,
            decides="teacher",
            help="at the teacher's inputs",
        )

    class Noisy(task):
        settings = More

    noisy, distils = Noisy(), {"method": SYSTEMS[task]}
    assert noisy.complete(distils)["teacher_noise"] == 0.1
    assert noisy.complete({"method": "vanilla"}) == task().complete({"method": "vanilla"})
    with pytest.raises(ConfigError, match=r"teacher_noise=1.0: .*less than 1"):
        noisy.complete({**distils, "teacher_noise": 1.0})
    with pytest.raises(ConfigError, match=r"teacher_noise=0.2 .* belongs to methods with a teach"):
        noisy.complete({"method": "vanilla", "teacher_noise": 0.2})
    prints = {noisy.teacher_fingerprint({**distils, "teacher_noise": v}) for v in (0.1, 0.2)}
    assert len(prints) == 2
    assert noisy.resource_parameters - task.resource_parameters == {"teacher_noise"}
    (row,) = (row for row in rows_of(noisy) if row["name"] == "teacher_noise")
    assert row == {
        "name": "teacher_noise",
        "default": 0.1,
        "range": "[0, 1)",
        "unit": "V",
        "when": ["methods with a teacher"],
        "strict": True,
        "decides": ["teacher"],
        "help": "at the teacher's inputs",
        "own": True,
    }


@pytest.mark.parametrize("task", SYSTEMS, ids=lambda task: task.name)
def test_every_parameter_that_a_trial_can_have_has_a_row(task):
    names = [row["name"] for row in rows_of(task())]
    assert {*task().complete({"method": SYSTEMS[task]})} <= {*names}
    assert {*names} <= task.settings.model_fields.keys()


@pytest.mark.parametrize("task", [*SYSTEMS, Clusters], ids=lambda task: task.name)
def test_a_tasks_own_parameters_come_before_those_that_tasks_share(task):
    names = [row["name"] for row in rows_of(task())]
    shared = [*EffortSettings.model_fields, *NetworkSettings.model_fields]
    common = [name in shared for name in names]
    assert common == sorted(common)
    own = getattr(task, "parameters", {})
    assert {*names[: len(own)]} == {*own}


@pytest.mark.parametrize("task", [*SYSTEMS, Clusters], ids=lambda task: task.name)
def test_own_parameters_are_those_that_no_other_task_shares(task):
    own = {row["name"] for row in rows_of(task()) if row["own"]}
    assert own >= {*getattr(task, "parameters", {})}
    assert own
    assert not own & NetworkSettings.model_fields.keys() - {*getattr(task, "parameters", {})}


def test_own_parameters_alone_are_printed(capsys):
    heads, *rows, last = printed(capsys, "two_networks:Clusters", "--own").splitlines()
    assert heads.startswith("name")
    assert {row.split()[0] for row in rows} == {*Clusters.parameters}
    assert int(last.split()[0]) == len(rows_of(Clusters())) - len(rows)
    found = json.loads(printed(capsys, "two_networks:Clusters", "--own", "--json"))
    assert {row["name"] for row in found["two_networks:Clusters"]} == {*Clusters.parameters}


def test_the_page_of_parameters_is_current(capsys):
    names = [task.name for task in SYSTEMS]
    assert PAGE.read_text(encoding="utf-8") == printed(capsys, *names, "--markdown")


def test_a_table_has_defaults_by_preset_ranges_and_conditions(capsys):
    out = printed(capsys, "csi-feedback")
    line = next(line for line in out.splitlines() if line.startswith("num_antennas "))
    assert "quick 16, small 32, paper 32" in line
    assert "[1, 1024]" in line


def test_json_has_an_object_per_parameter(capsys):
    found = json.loads(printed(capsys, "lidar-beam", "--json"))
    rows = {row["name"]: row for row in found["lidar-beam"]}
    assert rows["epochs"]["default"] == {"quick": 48, "standard": 30, "paper": 100}
    assert rows["alpha"]["when"] == ["methods ordinary, feature and relation"]
    assert "server_age" not in rows  # it has no effect in this task


def test_a_task_that_declares_nothing_shows_names_and_defaults(capsys):
    first, *rows, last = printed(capsys, "toy_task:ToyTask").splitlines()
    assert first.split() == ["name", "default", "decides"]
    assert ["compression", "4", "data", "or", "teacher"] in [row.split() for row in rows]
    assert "toy_task:ToyTask does not declare its parameters" in last


def test_no_such_task_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["parameters", "no-such-task"])
    assert ended.value.code == 2
    assert "no-such-task" in capsys.readouterr().err
