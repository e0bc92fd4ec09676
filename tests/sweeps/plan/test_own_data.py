"""Studies that were written for made data, on files of the user's own."""

import shlex

import pytest
from deepsense_examples import Scenario, bare_table
from in_process import Watching
from toy_study import toy_study

from kdtasks.contract.errors import DataError, UserError
from search_spaces.errors import StudyError
from search_spaces.study import load_study, parse_study
from search_spaces.study_yaml import dump_yaml, load_yaml
from sweeps.cli.data import next_command
from sweeps.plan.needs import find_needs, load_data
from sweeps.plan.own_data import study_on
from sweeps.plan.preflight import check_study

OF_THE_STREET = ("data_seed", "night_share", "train_passages", "val_passages", "distractors")


def both(tmp_path, name="scenario9"):
    return bare_table(tmp_path / name, "image", "radar")


@pytest.mark.parametrize("name", ["beam-tracking", "beam-table2", "beam-table2-short"])
def test_every_trial_reads_the_files_named_in_the_study(tmp_path, name):
    folder = both(tmp_path, 'my "9": #1, straße')
    study = study_on(name, ["budget.trials=3", "parameters.train_passages=7"], folder)
    assert study.parameters["data_path"] == str(folder)
    assert study.budget.trials == 3
    assert not study.parameters.keys() & {*OF_THE_STREET, "teacher_passages"}
    plan = check_study(study)
    for need in plan.needs:
        assert need.params["scenario"] == "deepsense"
        assert need.params["data_path"] == str(folder)
        assert not need.params.keys() & set(OF_THE_STREET)
    assert len({need.scenario for need in plan.needs}) == 1
    again = parse_study(study.text, "study.yaml")
    assert again == study


def test_where_one_stands_has_no_part_in_it(tmp_path, monkeypatch):
    folder = both(tmp_path)
    monkeypatch.chdir(tmp_path)
    for path in (folder / ".." / "scenario9", folder.relative_to(tmp_path)):
        assert study_on("beam-tracking", [], path) == study_on("beam-tracking", [], folder)
    by_table = study_on("beam-tracking", [], folder / "scenario9.csv")
    assert by_table.parameters["data_path"] == str(folder / "scenario9.csv")


def test_without_files_nothing_changes():
    assert study_on("beam-tracking", ["budget.trials=2"], None) == load_study(
        "beam-tracking", ["budget.trials=2"]
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            ["space.distractors={type: float, low: 0.0, high: 2.0}"],
            ["beam-tracking.yaml with --set", ": space.distractors: ", "drop it from the space"],
        ),
        (
            ["space.scenario={type: choice, values: [street, deepsense]}"],
            [
                "beam-tracking.yaml with --set",
                "space.scenario: is determined by --data",
                "drop it from the space",
            ],
        ),
        (
            ["search.points=[{method: vanilla, data_seed: 1}, {method: vanilla, data_seed: 2}]"],
            ["search.points: data_seed varies (1, 2)", "drop it from the points"],
        ),
        (
            ["search.points=[{method: vanilla}, {method: vanilla, train_passages: 9}]"],
            ["search.points: train_passages varies (9)", "drop it from the points"],
        ),
        (
            ["search.points=[{method: vanilla, scenario: street}]"],
            ["search.points.0.scenario: is 'street', but --data", "drop it from the points"],
        ),
    ],
)
def test_what_files_settle_cannot_be_varied(tmp_path, settings, expected):
    folder = both(tmp_path)
    with pytest.raises(StudyError) as refused:
        study_on("beam-tracking", settings, folder)
    for part in [*expected, str(folder)]:
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_set_alike_everywhere_does_no_harm(tmp_path):
    points = "search.points=[{method: vanilla, data_seed: 1}]"
    one = "space.night_share={type: choice, values: [0.5]}"
    study = study_on("beam-tracking", [points, one], both(tmp_path))
    assert not check_study(study).needs[0].params.keys() & set(OF_THE_STREET)


def test_a_sensor_that_the_files_lack_is_named_before_anything_starts(tmp_path):
    folder = bare_table(tmp_path / "scenario8", "image", "lidar", "gps")
    study = study_on("beam-tracking", [], folder)
    with pytest.raises(StudyError) as refused:
        check_study(study)
    for part in (
        "studies/beam-tracking.yaml",
        f"data_path='{folder}'",
        "no files of radar",
        "it has image, lidar, gps",
        "models for it are image-teacher, image-teacher-gru1, image-student, gps-teacher",
    ):
        assert part in str(refused.value)
    assert find_needs(study, check_study(load_study("beam-tracking")).task) == ()


@pytest.mark.parametrize(
    ("there", "study", "models"),
    [
        (
            ("image", "radar"),
            "beam-tracking",
            {"image-student", "radar-student", "image-radar-student"},
        ),
        (
            ("image", "radar", "lidar", "gps"),
            "beam-tracking",
            {"image-student", "radar-student", "image-radar-student"},
        ),
        (("image", "lidar", "gps"), "beam-tracking", {"image-student"}),
        (("radar",), "beam-tracking", {"radar-student"}),
        (("lidar", "gps"), "beam-gps", {"gps-student"}),
        (("gps",), "beam-gps", {"gps-student"}),
        (("lidar",), "lidar-datafree", {None}),
    ],
)
def test_the_command_that_inspect_prints_can_be_run(tmp_path, there, study, models):
    folder = bare_table(tmp_path / "a b", *there)
    command = shlex.split(next_command(str(folder), there))
    assert command[:5] == ["kdsweep", "run", study, "--data", str(folder)]
    settings = [word.removeprefix("--set=") for word in command[5:]]
    plan = check_study(study_on(study, settings, folder))
    assert plan.needs
    assert {need.params.get("model") for need in plan.needs} == models


def test_files_that_are_none_are_refused(tmp_path):
    lidar = bare_table(tmp_path / "lidar", "lidar")
    (tmp_path / "empty").mkdir()
    for path, expected in (
        (tmp_path / "nothing", "no such file or folder"),
        (tmp_path / "empty", "no .csv table"),
        (lidar, "no files of image, radar, gps, which beam-tracking learns from; it has lidar"),
    ):
        with pytest.raises(DataError, match=expected):
            study_on("beam-tracking", [], path)


def test_a_task_that_reads_no_files_is_reported(tmp_path):
    file = tmp_path / "toy.yaml"
    file.write_text(dump_yaml(load_yaml(toy_study().text, "toy")))
    with pytest.raises(UserError, match="task toy reads no files of your own"):
        study_on(str(file), [], tmp_path)


def test_another_table_is_another_identity(tmp_path):
    folder = both(tmp_path)
    study = study_on("beam-tracking", [], folder)
    before = check_study(study).needs[0].scenario
    text = (folder / "scenario9.csv").read_text().splitlines()
    (folder / "scenario9.csv").write_text("\n".join(text[:-1]) + "\n")
    assert check_study(study).needs[0].scenario != before


def test_wrong_files_are_reported_once_before_any_training(tmp_path):
    scenario = Scenario(tmp_path / "site", (14, 14, 14))
    scenario.file("image", 0).unlink()
    scenario.write()
    settings = [
        "parameters.image_size=32",
        "parameters.sensors=image",
        "space={window_stride: {type: choice, values: [1, 2]}}",
        "search.points=[{method: vanilla}]",
    ]
    plan = check_study(study_on("beam-tracking", settings, tmp_path / "site"))
    display = Watching()
    loaded = load_data(plan.needs, plan.task, cache=tmp_path / "cache", display=display)
    assert len(loaded) == 2
    name = scenario.rows[0]["image"].removeprefix("./")
    assert display.notes == [f"data: 1 x missing image file: {name}"]
