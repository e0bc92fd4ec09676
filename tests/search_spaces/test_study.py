"""The study file: what is read, and what survives a round trip."""

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
from search_spaces.json_schema import json_schema
from search_spaces.objectives import Constraint, Objective
from search_spaces.report_spec import Claim, Column, Row
from search_spaces.resources import TrialResources
from search_spaces.space import Space
from search_spaces.stopping import Stopping
from search_spaces.study import (
    Budget,
    Confirm,
    Seeds,
    available,
    load_study,
    parse_study,
)
from search_spaces.study_yaml import dump_yaml, load_yaml


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "example.yaml"
    file.write_text(EXAMPLE, encoding="utf-8")
    return file


def test_study_reads_every_field():
    study = parse_study(EXAMPLE, "example.yaml")
    assert (study.name, study.task, study.parameters) == (
        "example",
        "csi-feedback",
        {"preset": "quick"},
    )
    assert study.space == Space(
        {
            "temperature": Float(1.0, 20.0, log=True, when={"method": ("autoencoder-kd",)}),
            "method": Choice(("vanilla", "autoencoder-kd")),
            "width": Int(2, 16, step=2),
        }
    )
    assert study.objectives == (
        Objective(
            metric="val_nmse_db", direction="minimize", unit="dB", reference=0.0, label="NMSE"
        ),
        Objective(
            metric="ue_flops", direction="minimize", unit="FLOPs", reference=2e6, scale="log"
        ),
    )
    assert study.constraints == (Constraint("payload_bits", max=2048.0),)
    assert study.budget == Budget(trials=32, epochs=None, time_s=600.0)
    assert study.stopping == Stopping(kind="asha", min_share=0.1, eta=4, min_trials=8)
    assert study.resources == TrialResources(cpus=2.0, gpus=0.5, slots=3)
    assert study.seeds == Seeds(search=0, trial=1, confirm=(101, 102))
    assert study.confirm == Confirm(select="front", retrain=True, limit=None)


def test_study_reads_the_report():
    report = parse_study(EXAMPLE, "example.yaml").report
    table = report.tables[0]
    assert table.columns == (Column("test_nmse_db", "NMSE [dB]"),)
    paper = {"test_nmse_db": -10.39}
    assert table.rows[0] == Row(
        id="t16", label="teacher", role="teacher", match={"compression": 16}, paper=paper
    )
    assert table.rows[1].label == "v16"
    assert [claim.kind for claim in report.claims] == ["order", "not_worse", "interior"]
    claim = Claim(id="worse", text="KD helps", metric="test_nmse_db", not_worse=("a16", "v16"))
    assert report.claims[1] == claim
    assert claim.rows == ("a16", "v16")


def test_points_are_multiplied_out_and_typed_as_samples():
    points = parse_study(EXAMPLE, "example.yaml").search.points
    assert points == (
        {"method": "vanilla", "width": 2},
        {"method": "vanilla", "width": 8},
        {"method": "autoencoder-kd", "temperature": 4.0, "batch_size": 200},
    )
    assert isinstance(points[2]["temperature"], float)


def test_repeated_point_is_tried_once():
    points = "[{width: [2, 4]}, {width: [4, 6]}, {width: 4}]"
    study = parse_study(dump_with("search.points", points), "example.yaml")
    assert [point["width"] for point in study.search.points] == [2, 4, 6]


def test_study_defaults():
    text = """
        {name: a, title: t, task: "mine.tasks:Task",
         search: {sampler: points, points: [{x: [1, 2, 3]}]},
         objectives: [{metric: m, direction: maximize, reference: 0}]}"""
    study = parse_study(text, "a.yaml")
    assert study.budget == Budget(trials=3)
    assert (study.seeds, study.confirm) == (Seeds(), Confirm())
    assert study.space == Space({})
    assert study.stopping is None


def test_stopping_is_set_by_an_override(path):
    overrides = ["stopping=null", "stopping.eta=2"]
    with pytest.raises(StudyError, match="single value"):  # null has no fields
        load_study(path, overrides)
    path.write_text(dump_with("stopping", None), encoding="utf-8")
    assert load_study(path, ["stopping.eta=2"]).stopping == Stopping(eta=2)
    assert load_study(path, ["stopping={}"]).stopping == Stopping()


@given(st.floats(0.001, 0.999), st.integers(2, 9))
def test_stopping_rungs_are_eta_apart_and_below_one(min_share, eta):
    rungs = Stopping(min_share=min_share, eta=eta).rungs
    assert rungs[0] == min_share
    assert rungs[-1] < 1.0 <= rungs[-1] * eta
    for lower, upper in itertools.pairwise(rungs):
        assert upper == pytest.approx(eta * lower)


def test_grid_has_one_trial_per_configuration():
    raw = load_yaml(EXAMPLE, "example.yaml")
    raw["space"]["temperature"] = {**raw["space"]["temperature"], "type": "int"}
    raw["search"] = {"sampler": "grid"}
    raw["budget"] = {}
    study = parse_study(dump_yaml(raw), "example.yaml")
    assert study.budget.trials == study.space.size() == 8 + 8 * 20


@pytest.mark.parametrize(
    "overrides", [[], ["budget.trials=4", "space.width.high=8", "seeds.trial=7"]]
)
def test_study_text_round_trip(path, overrides):
    study = load_study(path, overrides)
    assert parse_study(study.text, "stored") == study
    assert pickle.loads(pickle.dumps(study)) == study  # noqa: S301 - our own bytes


def test_study_text_is_the_file_unless_overridden(path):
    assert load_study(path).text == EXAMPLE
    changed = load_study(str(path), ["budget.time=2h", "search.points.1.temperature=8"])
    assert changed.budget.time_s == 7200.0
    assert changed.search.points[2]["temperature"] == 8.0
    assert "time: 2h" in changed.text


@given(spaces(), st.dictionaries(st.sampled_from("abc"), values))
def test_space_round_trip_through_yaml(space, parameters):
    raw = load_yaml(EXAMPLE, "example.yaml")
    raw["space"] = space.model_dump(by_alias=True)
    raw["parameters"] = parameters
    raw["search"] = {"sampler": "random" if space.parameters else "points"}
    del raw["stopping"]  # no points are stopped early
    raw["search"]["points"] = [] if space.parameters else [{}]
    study = parse_study(dump_yaml(raw), "written")
    assert repr(study.space) == repr(space)
    assert repr(study.parameters) == repr(parameters)
    assert repr(parse_study(study.text, "again")) == repr(study)


def test_shipped_studies_are_valid_and_named_after_their_files():
    shipped = available()
    for name, title in shipped.items():
        study = load_study(name)
        assert (study.name, study.title) == (name, title)
        assert study.effort is not None, f"{name} must say what ends its trainings"
        assert parse_study(study.text, name) == study


@pytest.mark.parametrize("name", available())
def test_shipped_studies_run_without_confirmation(name):
    study = load_study(name, overrides=["confirm.select=none"])
    assert study.confirm.select == "none"


def test_shipped_schema_is_current():
    """Write it anew with json.dumps(json_schema(), indent=2) and a final newline."""
    shipped = resources.files("search_spaces").joinpath("study.schema.json")
    assert shipped.read_text(encoding="utf-8") == json.dumps(json_schema(), indent=2) + "\n"


def test_schema_accepts_the_example_and_refuses_typos():
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    raw = load_yaml(EXAMPLE, "example.yaml")
    assert not list(validator.iter_errors(raw))
    raw["space"]["width"]["hgih"] = 3
    raw["budget"]["time"] = "10 days"
    assert len(list(validator.iter_errors(raw))) == 2


@pytest.mark.parametrize("text", ["", "just text", "[1, 2]", "3"])
def test_study_must_be_a_mapping(text):
    with pytest.raises(StudyError, match=r"my\.yaml: must be a mapping with fields"):
        parse_study(text, "my.yaml")


def test_error_names_the_overrides(path):
    with pytest.raises(
        StudyError, match=r"example\.yaml with --set space\.width\.low=20: space\.width\.low"
    ):
        load_study(path, ["space.width.low=20"])


def test_error_distinguishes_unknown_studies_and_unreadable_files(tmp_path):
    with pytest.raises(StudyError, match=r"there is no study 'exmple'.*ends in \.yaml"):
        load_study("exmple")
    with pytest.raises(StudyError, match=r"missing\.yaml: cannot be read"):
        load_study(tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes("title: é".encode("latin-1"))
    with pytest.raises(StudyError, match=r"latin\.yaml: cannot be read"):
        load_study(tmp_path / "latin.yaml")


def test_study_error_pickles():
    error = StudyError("is wrong", place="space.width.low", source="my.yaml", line=3)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own bytes
    assert str(error) == "my.yaml:3: space.width.low: is wrong"


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("as-published", {}),
        ("plateau", {"effort": "plateau"}),
        ("{gflop: 4}", {"effort": "gflop", "effort_gflop": 4.0}),
        ("{regime: plateau, epochs: 3, gain: 0.1}",
         {"effort": "plateau", "plateau_epochs": 3, "plateau_gain": 0.1}),
    ],
)  # fmt: skip
def test_an_effort_sets_parameters_of_the_task(text, parameters):
    study = parse_study(EFFORTLESS + f"effort: {text}\n", "study.yaml")
    assert study.effort.parameters() == parameters


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("effort: much", "effort.*'plateau'.*'much'"),
        ("effort: gflop", r"effort\.gflop: is missing.*effort_gflop"),
        ("effort: {gflop: 0}", r"effort\.gflop.*above 0"),
        ("effort: {regime: plateau, gflop: 3}", r"effort\.gflop.*gflop.*plateau"),
        ("effort: plateau\nstopping: {}", "stopping.*plateau.*gflop"),
        ("effort: {gflop: 4}\nbudget: {trials: 2, epochs: 3}", r"budget\.epochs.*gflop"),
        ("effort: plateau\nparameters: {effort: gflop}", r"parameters\.effort.*effort"),
    ],
)
def test_an_effort_that_cannot_be_is_refused(text, words):
    budget = "" if "budget" in text else "budget: {trials: 2}\n"
    with pytest.raises(StudyError, match=words):
        parse_study(EFFORTLESS.replace("budget: {trials: 2}\n", budget) + text, "study.yaml")


EFFORTLESS = """\
name: small
title: a study without an effort
task: clusters
objectives: [{metric: val_accuracy, direction: maximize, reference: 0.0}]
space: {width: {type: int, low: 1, high: 4}}
budget: {trials: 2}
"""
