"""The study file: what is read, what survives a round trip, what is refused in which words."""

import itertools
import json
import pickle
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from space_strategies import spaces, values
from study_example import EXAMPLE, dump_with

from search_spaces.domains import Choice, Float, Int
from search_spaces.errors import StudyError
from search_spaces.objectives import Constraint, Objective
from search_spaces.report_spec import Claim, Column, Row
from search_spaces.resources import TrialResources
from search_spaces.space import Parameter, Space
from search_spaces.stopping import Stopping
from search_spaces.study import (
    Budget,
    Confirm,
    Seeds,
    available,
    json_schema,
    load_study,
    parse_study,
)
from search_spaces.study_yaml import dump_yaml, load_yaml


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "example.yaml"
    file.write_text(EXAMPLE, encoding="utf-8")
    return file


def test_every_field_arrives():
    study = parse_study(EXAMPLE, "example.yaml")
    assert (study.name, study.task, study.parameters) == (
        "example",
        "csi-feedback",
        {"preset": "quick"},
    )
    assert study.space == Space(
        {
            "temperature": Parameter(Float(1.0, 20.0, log=True), {"method": ("autoencoder-kd",)}),
            "method": Parameter(Choice(("vanilla", "autoencoder-kd"))),
            "width": Parameter(Int(2, 16, step=2)),
        }
    )
    assert study.objectives == (
        Objective("val_nmse_db", "minimize", "dB", 0.0, "NMSE"),
        Objective("ue_flops", "minimize", "FLOPs", 2e6, "ue_flops", "log"),
    )
    assert study.constraints == (Constraint("payload_bits", max=2048.0),)
    assert study.budget == Budget(trials=32, epochs=None, time_s=600.0)
    assert study.stopping == Stopping(kind="asha", min_share=0.1, eta=4, min_trials=8)
    assert study.resources == TrialResources(cpus=2.0, gpus=0.5, slots=3)
    assert study.seeds == Seeds(search=0, trial=1, confirm=(101, 102))
    assert study.confirm == Confirm("front", retrain=True, limit=None)


def test_report_arrives():
    report = parse_study(EXAMPLE, "example.yaml").report
    table = report.tables[0]
    assert table.columns == (Column("test_nmse_db", "NMSE [dB]"),)
    paper = {"test_nmse_db": -10.39}
    assert table.rows[0] == Row("t16", "teacher", "teacher", {"compression": 16}, paper)
    assert table.rows[1].label == "v16"
    assert [claim.kind for claim in report.claims] == ["order", "not_worse", "interior"]
    rows = ("a16", "v16")
    assert report.claims[1] == Claim("worse", "KD helps", "test_nmse_db", "not_worse", rows)


def test_points_are_multiplied_out_and_typed_like_samples():
    points = parse_study(EXAMPLE, "example.yaml").search.points
    assert points == (
        {"method": "vanilla", "width": 2},
        {"method": "vanilla", "width": 8},
        {"method": "autoencoder-kd", "temperature": 4.0, "batch_size": 200},
    )
    assert isinstance(points[2]["temperature"], float)


def test_a_point_written_twice_is_tried_once():
    points = "[{width: [2, 4]}, {width: [4, 6]}, {width: 4}]"
    study = parse_study(dump_with("search.points", points), "example.yaml")
    assert [point["width"] for point in study.search.points] == [2, 4, 6]


def test_left_out_parts_have_defaults():
    text = """
        {name: a, title: t, task: "mine.tasks:Task",
         search: {sampler: points, points: [{x: [1, 2, 3]}]},
         objectives: [{metric: m, direction: maximize, reference: 0}]}"""
    study = parse_study(text, "a.yaml")
    assert study.budget == Budget(trials=3)
    assert (study.seeds, study.confirm) == (Seeds(), Confirm())
    assert study.space == Space({})
    assert study.stopping is None


def test_stopping_can_be_switched_on_from_the_command_line(path):
    overrides = ["stopping=null", "stopping.eta=2"]
    with pytest.raises(StudyError, match="single value"):  # null has no fields
        load_study(path, overrides)
    path.write_text(dump_with("stopping", None), encoding="utf-8")
    assert load_study(path, ["stopping.eta=2"]).stopping == Stopping(eta=2)
    assert load_study(path, ["stopping={}"]).stopping == Stopping()


@given(st.floats(0.001, 0.999), st.integers(2, 9))
def test_rungs_lie_eta_apart_and_below_the_whole_training(min_share, eta):
    rungs = Stopping(min_share=min_share, eta=eta).rungs
    assert rungs[0] == min_share
    assert rungs[-1] < 1.0 <= rungs[-1] * eta
    for lower, upper in itertools.pairwise(rungs):
        assert upper == pytest.approx(eta * lower)


def test_a_grid_has_as_many_trials_as_configurations():
    raw = load_yaml(EXAMPLE, "example.yaml")
    raw["space"]["temperature"] = {**raw["space"]["temperature"], "type": "int"}
    raw["search"] = {"sampler": "grid"}
    raw["budget"] = {}
    study = parse_study(dump_yaml(raw), "example.yaml")
    assert study.budget.trials == study.space.size() == 8 + 8 * 20


@pytest.mark.parametrize(
    "overrides", [[], ["budget.trials=4", "space.width.high=8", "seeds.trial=7"]]
)
def test_text_gives_the_study_back(path, overrides):
    study = load_study(path, overrides)
    assert parse_study(study.text, "stored") == study
    assert pickle.loads(pickle.dumps(study)) == study  # noqa: S301 - our own bytes


def test_text_is_the_file_itself_unless_overridden(path):
    assert load_study(path).text == EXAMPLE
    changed = load_study(str(path), ["budget.time=2h", "search.points.1.temperature=8"])
    assert changed.budget.time_s == 7200.0
    assert changed.search.points[2]["temperature"] == 8.0
    assert "time: 2h" in changed.text


def raw_parameter(parameter):
    domain = parameter.domain
    when = {parent: list(allowed) for parent, allowed in parameter.when.items()}
    if isinstance(domain, Choice):
        return {"type": "choice", "values": list(domain.options), "when": when}
    raw = {"low": domain.low, "high": domain.high, "log": domain.log, "when": when}
    if isinstance(domain, Int):
        return {"type": "int", "step": domain.step, **raw}
    return {"type": "float", **raw}


@given(spaces(), st.dictionaries(st.sampled_from("abc"), values))
def test_every_space_can_be_written(space, parameters):
    raw = load_yaml(EXAMPLE, "example.yaml")
    raw["space"] = {name: raw_parameter(space.parameters[name]) for name in space.parameters}
    raw["parameters"] = parameters
    raw["search"] = {"sampler": "random" if space.parameters else "points"}
    del raw["stopping"]  # no points are stopped early
    raw["search"]["points"] = [] if space.parameters else [{}]
    study = parse_study(dump_yaml(raw), "written")
    assert repr(study.space) == repr(space)
    assert repr(study.parameters) == repr(parameters)
    assert repr(parse_study(study.text, "again")) == repr(study)


def test_shipped_studies_are_right_and_called_after_their_files():
    shipped = available()
    for name, title in shipped.items():
        study = load_study(name)
        assert (study.name, study.title) == (name, title)
        assert parse_study(study.text, name) == study


@pytest.mark.parametrize("name", available())
def test_every_shipped_study_can_be_told_to_judge_nothing(name):
    study = load_study(name, overrides=["confirm.select=none"])
    assert study.confirm.select == "none"


def test_shipped_schema_is_current():
    """Write it anew with json.dumps(json_schema(), indent=2) and a final newline."""
    shipped = resources.files("search_spaces").joinpath("study.schema.json")
    assert shipped.read_text(encoding="utf-8") == json.dumps(json_schema(), indent=2) + "\n"


def test_schema_takes_the_example_and_refuses_slips():
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    raw = load_yaml(EXAMPLE, "example.yaml")
    assert not list(validator.iter_errors(raw))
    raw["space"]["width"]["hgih"] = 3
    raw["budget"]["time"] = "10 days"
    assert len(list(validator.iter_errors(raw))) == 2


@pytest.mark.parametrize("text", ["", "just text", "[1, 2]", "3"])
def test_what_is_no_mapping_is_no_study(text):
    with pytest.raises(StudyError, match=r"my\.yaml: must be a mapping with fields"):
        parse_study(text, "my.yaml")


def test_errors_after_overrides_name_them(path):
    with pytest.raises(
        StudyError, match=r"example\.yaml with --set space\.width\.low=20: space\.width\.low"
    ):
        load_study(path, ["space.width.low=20"])


def test_unknown_studies_and_unreadable_files_are_told_apart(tmp_path):
    with pytest.raises(StudyError, match=r"there is no study 'exmple'.*ends in \.yaml"):
        load_study("exmple")
    with pytest.raises(StudyError, match=r"missing\.yaml: cannot be read"):
        load_study(tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes("title: é".encode("latin-1"))
    with pytest.raises(StudyError, match=r"latin\.yaml: cannot be read"):
        load_study(tmp_path / "latin.yaml")


def test_errors_travel_to_other_processes():
    error = StudyError("is wrong", place="low").inside("space.width").of("my.yaml")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own bytes
    assert str(error) == "my.yaml: space.width.low: is wrong"
