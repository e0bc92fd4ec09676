"""Wrong studies: each error is one line that names file, line, field, value and fix."""

import json
import re
from dataclasses import replace

import pytest
from study_example import EXAMPLE, dump_with

from search_spaces.errors import StudyError
from search_spaces.study import load_study, parse_study
from search_spaces.study_yaml import dump_yaml, load_yaml

TABLE = "report.tables.0"
REFUSED = [
    # unknown keys
    ("bugdet", "{}", "bugdet", "did you mean 'budget'"),
    ("space.temperature.hgih", "20", "space.temperature.hgih", "did you mean 'high'"),
    ("objectives.1.metrc", "x", "objectives.1.metrc", "did you mean 'metric'"),
    (f"{TABLE}.rows.1.papr", "{}", f"{TABLE}.rows.1.papr", "did you mean 'paper'"),
    # missing fields and wrong types
    ("task", None, "task", "is missing"),
    ("space.width.high", None, "space.width.high", "is missing"),
    ("space.width.type", None, "space.width.type", "is missing"),
    ("space.width.type", "itn", "space.width.type", "'itn'"),
    ("space.width.low", "'2'", "space.width.low", "must be a whole number, got '2'"),
    ("space.width.low", "2.0", "space.width.low", "got 2.0"),
    ("space.width.low", "true", "space.width.low", "got True"),
    ("confirm.retrain", "off", "confirm.retrain", "got 'off'; write false"),
    ("confirm.retrain", "1", "confirm.retrain", "must be true or false, got 1"),
    ("text", "x", "text", "is not a known field"),
    ("budget.time_s", "1", "budget.time_s", "did you mean 'time'"),
    ("space.method.options", "[a]", "space.method.options", "is not a known field"),
    ("space.width.log", "yes", "space.width.log", "must be true or false, got 'yes'; write true"),
    ("space.width", "8", "space.width", "must be a mapping"),
    ("space", "[1]", "space", "must be a mapping, got [1]"),
    ("objectives", "{}", "objectives", "must be a list"),
    ("name", "CSI Feedback", "name", "'CSI Feedback'"),
    ("task", "some.module", "task", "'some.module'"),
    ("parameters.x", "[1]", "parameters.x", "got [1]"),
    ("parameters.x", "null", "parameters.x", "got None"),
    ("parameters.x", ".nan", "parameters.x", "got nan"),
    ("parameters", "{two words: 1}", "parameters.two words", "'two words'"),
    # impossible domains
    ("space.width.low", "16", "space.width.low", "got 16"),
    ("space.width.step", "4", "space.width.step", "got 4"),
    ("space.temperature.low", "0", "space.temperature.low", "got 0"),
    ("space.temperature.low", ".nan", "space.temperature.low", "got nan"),
    ("space.temperature.high", ".inf", "space.temperature.high", "got inf"),
    (
        "space.temperature",
        "{type: float, low: -1.7e308, high: 1.7e308}",
        "space.temperature.high",
        "too far",
    ),
    ("space.width.step", "0", "space.width.step", "at least 1, got 0"),
    ("space.width.log", "true", "space.width.step", "must be 1 when log is true, got 2"),
    (
        "space.width",
        "{type: int, low: 0, high: 8, log: true}",
        "space.width.low",
        "above 0 when log",
    ),
    ("space.width.high", str(10**400), "space.width.high", f"at most {2**53}, got 1000"),
    ("space.method.values", "[]", "space.method.values", "must not be empty"),
    ("space.method.values", "[16, 16.0]", "space.method.values.1", "16.0 repeats"),
    ("space.method.values", "[1, true]", "space.method.values.1", "True repeats"),
    ("space.method.values", "[.inf]", "space.method.values.0", "got inf"),
    ("space.method.values", "[null]", "space.method.values.0", "got None"),
    ("space.method.values", "[a, a]", "space.method.values.1", "'a' repeats"),
    ("space.method.values", "[true, vanilla]", "space.method.values", "quotes"),
    ("space.method.values", "[[a], b]", "space.method.values.0", "got ['a']"),
    # impossible conditions
    ("space.width.when", "{methd: kd}", "space.width.when.methd", "did you mean 'method'"),
    ("space.width.when", "{preset: quick}", "space.width.when.preset", "there are method"),
    ("space.width.when", "{temperature: 1.5}", "space.width.when.temperature", "too many values"),
    ("space.width.when", "{method: kd}", "space.width.when.method", "'kd' is not a value"),
    ("space.method.when", "{width: [3]}", "space.method.when.width", "3 is not a value"),
    ("space.width.when", "{width: 2}", "space.width.when", "form a cycle"),
    ("space.width.when", "{method: []}", "space.width.when.method", "must not be empty"),
    ("space.width.when", "{method: [[a]]}", "space.width.when.method.0", "got ['a']"),
    (
        "space",
        "{f: {type: choice, values: [true, false]}, x: {type: int, low: 1, high: 2, when: {f: 1}}}",
        "space.x.when.f",
        "1 is not a value of 'f'",
    ),
    ("space.width.when", "{method: vanilla, kd: 1}", "space.width.when.kd", "is not a parameter"),
    # objectives and constraints
    ("objectives", "[]", "objectives", "list at least one"),
    ("objectives.1.metric", "val_nmse_db", "objectives", "'val_nmse_db' is declared 2 times"),
    ("objectives.0.reference", ".inf", "objectives.0.reference", "got inf"),
    ("objectives.0.reference", None, "objectives.0.reference", "is missing"),
    ("objectives.1.reference", "-1", "objectives.1.reference", "got -1.0"),
    ("objectives.0.tolerance", "-0.1", "objectives.0.tolerance", "got -0.1"),
    ("objectives.0.tolerance", ".inf", "objectives.0.tolerance", "got inf"),
    ("objectives.0.tolerance", ".nan", "objectives.0.tolerance", "got nan"),
    ("objectives.0.tolerance", "5 %", "objectives.0.tolerance", "'5 %'"),
    ("objectives.1.tolerance", "1000", "objectives.1.tolerance", "0.05 counts values within 5 %"),
    ("objectives.0.direction", "min", "objectives.0.direction", "'minimize' or 'maximize'"),
    ("constraints.0", "{metric: x}", "constraints.0", "neither max nor min"),
    ("constraints.0.min", "4096", "constraints.0.min", "got 4096"),
    ("constraints.0.max", ".nan", "constraints.0.max", "must be a finite number, got nan"),
    ("constraints", "[{metric: a, max: 1}, {metric: a, min: 0}]", "constraints", "declared 2"),
    # one value from two places
    ("parameters.width", "4", "parameters.width", "both fixed (to 4) and searched"),
    ("parameters.seed", "4", "parameters.seed", "seeds.trial"),
    # search
    ("search.sampler", "tpee", "search.sampler", "got 'tpee'"),
    ("search.sampler", "grid", "space.temperature", "too many values for sampler 'grid'"),
    ("search", "{sampler: points}", "search.points", "is empty"),
    ("search.sampler", "points", "search.points.1", "width: is missing"),
    ("space", "{}", "space", "is empty, but sampler is 'tpe'"),
    ("search.points.0.method", "vanila", "search.points.0.method", "got 'vanila'"),
    ("search.points.0.width", "[2, 3]", "search.points.0.width", "got 3"),
    ("search.points.0.width", "[]", "search.points.0.width", "must not be empty"),
    ("search.points.0.temperature", "4", "search.points.0.temperature", "exists only when"),
    ("search.warm_start", "old", "search.warm_start", "must be a list"),
    ("search.warm_start", "[1]", "search.warm_start.0", "must be text"),
    ("search.warm_start", "['']", "search.warm_start.0", "must not be empty"),
    ("search.warm_start", "[old, old]", "search.warm_start.1", "lists 'old' twice"),
    (
        "search",
        "{sampler: random, warm_start: [old]}",
        "search.warm_start",
        "does not learn from trials",
    ),
    # budget and seeds
    ("budget.trials", "0", "budget.trials", "at least 1, got 0"),
    ("budget.trials", None, "budget.trials", "is missing"),
    ("budget.epochs", "-3", "budget.epochs", "got -3"),
    ("budget.time", "0", "budget.time", "got 0"),
    ("budget.time", "10 days", "budget.time", "'10 days'"),
    ("budget.time", "true", "budget.time", "got True"),
    # stopping
    ("stopping.min_share", "0", "stopping.min_share", "got 0.0"),
    ("stopping.min_share", "1", "stopping.min_share", "between 0 and 1"),
    ("stopping.eta", "1", "stopping.eta", "at least 2, got 1"),
    ("stopping.eta", "2.5", "stopping.eta", "got 2.5"),
    ("stopping.min_trials", "0", "stopping.min_trials", "got 0"),
    ("stopping.kind", "hyperband", "stopping.kind", "got 'hyperband'"),
    ("stopping.grace", "1", "stopping.grace", "is not a known field"),
    ("stopping", "true", "stopping", "must be a mapping"),
    ("budget.epochs", "1", "stopping", "has no effect because budget.epochs is 1"),
    # resources
    ("resources.cpus", "0", "resources.cpus", "at least 0.0001, got 0"),
    ("resources.cpus", "1.5", "resources.cpus", "above 1 must be whole, got 1.5; take 1 or 2"),
    ("resources.cpus", "two", "resources.cpus", "got 'two'"),
    ("resources.cpus", ".inf", "resources.cpus", "got inf"),
    ("resources.gpus", "-1", "resources.gpus", "0 or at least 0.0001, got -1"),
    ("resources.gpus", "2.5", "resources.gpus", "above 1 must be whole"),
    ("resources.slots", "0", "resources.slots", "'max' or at least 1, got 0"),
    ("resources.slots", "2.0", "resources.slots", "'max' or a whole number, got 2.0"),
    ("resources.slots", "all", "resources.slots", "got 'all'"),
    ("resources.slots", "true", "resources.slots", "got True"),
    ("resources.memory", "1", "resources.memory", "is not a known field"),
    ("resources", "2", "resources", "must be a mapping"),
    # seeds
    ("seeds.confirm", "[1, 1]", "seeds.confirm", "repeats"),
    ("seeds.confirm", "[]", "seeds.confirm", "is empty"),
    ("seeds.trial", "-1", "seeds.trial", "got -1"),
    ("confirm.limit", "0", "confirm.limit", "got 0"),
    ("confirm.epsilon", "-0.1", "confirm.epsilon", "got -0.1"),
    ("confirm.epsilon", "1.5", "confirm.epsilon", "got 1.5"),
    ("confirm", "{select: all, epsilon: 0.1}", "confirm.epsilon", "select is 'all'"),
    ("confirm", "{retrain: false, teachers: 2}", "confirm.teachers", "is 2"),
    ("confirm", "{teachers: 99}", "confirm.teachers", "list more seeds"),
    # report
    (f"{TABLE}.rows.1.id", "t16", f"{TABLE}.rows.1.id", "'t16' is the id of an earlier row"),
    (f"{TABLE}.rows.1.role", "student", f"{TABLE}.rows.1.role", "got 'student'"),
    (f"{TABLE}.rows.0.paper", "{nmse: 1.0}", f"{TABLE}.rows.0.paper", "'nmse' is not a column"),
    (f"{TABLE}.columns", "[]", f"{TABLE}.columns", "must not be empty"),
    (f"{TABLE}.layout", "columns", f"{TABLE}.layout", "got 'columns'"),
    (f"{TABLE}.aspects", "[{name: load}]", f"{TABLE}.aspects", "layout: aspects only"),
    (f"{TABLE}.columns.0.aspect", "load", f"{TABLE}.columns.0.aspect", "is not listed"),
    (f"{TABLE}.rows.0.words", "{load: Low}", f"{TABLE}.rows.0.words", "is not listed"),
    ("report.claims.0.order", "[t16, a61]", "report.claims.0.order", "did you mean 'a16'"),
    ("report.claims.0.order", "[t16]", "report.claims.0.order", "at least 2 rows"),
    ("report.claims.0.order", "[t16, t16]", "report.claims.0.order.1", "'t16' is used twice"),
    ("report.claims.0.interior", "[t16, a16, v16]", "report.claims.0", "got order, interior"),
    ("report.claims.0.order", None, "report.claims.0", "got none"),
    ("report.claims.1.not_worse", "[t16, a16, v16]", "report.claims.1.not_worse", "exactly 2"),
    ("report.claims.2.interior", "[t16, a16]", "report.claims.2.interior", "at least 3"),
    ("report.claims.0.direction", "up", "report.claims.0.direction", "minimize"),
    ("report.claims.1.id", "order", "report.claims.1.id", "'order' is used twice"),
]


@pytest.mark.parametrize(("place", "value", "named", "words"), REFUSED)
def test_wrong_study_is_refused_in_one_line(place, value, named, words):
    with pytest.raises(StudyError) as caught:
        parse_study(dump_with(place, value), "my.yaml")
    message = str(caught.value)
    assert re.match(rf"my\.yaml(:\d+)?: {re.escape(named)}", message)
    assert words in message
    assert "\n" not in message


def test_epochs_are_set_in_one_place():
    for place in ("parameters.epochs", "space.epochs"):
        raw = load_yaml(
            dump_with(place, "{type: int, low: 1, high: 9}" if "space" in place else "9"), ""
        )
        raw["budget"]["epochs"] = 4
        with pytest.raises(StudyError, match=f"{place}: epochs are also set by budget.epochs = 4"):
            parse_study(dump_yaml(raw), "my.yaml")


def test_stopping_of_listed_points_is_refused():
    raw = load_yaml(EXAMPLE, "example.yaml")
    raw["search"] = {"sampler": "points", "points": [{"method": "vanilla", "width": 2}]}
    with pytest.raises(StudyError, match="stopping: would stop listed points early"):
        parse_study(dump_yaml(raw), "my.yaml")


def test_error_names_all_wrong_fields():
    with pytest.raises(
        StudyError, match=r"reference: is missing.*\(wrong as well: budget.trials\)"
    ):
        parse_study(
            EXAMPLE.replace("reference: 0.0,", "").replace("trials: 32", "trials: x"), "my.yaml"
        )


def test_error_names_the_line_of_the_field(tmp_path):
    file = tmp_path / "my.yaml"
    for place, value in (("space.width.low", "low: 20"), ("confirm.retrain", "retrain: yes")):
        key = value.split(":")[0]
        text = re.sub(rf"{key}: (2|true)", value, EXAMPLE, count=1)
        line = 1 + next(i for i, words in enumerate(text.split("\n")) if value in words)
        file.write_text(text.replace("quick}", "quick, data_path: relative}"))
        with pytest.raises(StudyError, match=rf"my\.yaml:{line}: {place}: "):
            load_study(file)
        with pytest.raises(StudyError, match=rf"my\.yaml:{line}: {place}: "):
            load_study(file, ["budget.trials=2"])


def test_an_override_of_a_file_has_no_line_and_is_named(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text(EXAMPLE)
    settings = ["budget.trials=2", "space.width.low=20"]
    with pytest.raises(StudyError, match=r"my\.yaml with --set budget.* space.*: space.width"):
        load_study(file, settings)


def test_a_study_knows_the_lines_of_its_file(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text(EXAMPLE)
    study = load_study(file, ["budget.trials=2"])
    line = 1 + next(i for i, words in enumerate(EXAMPLE.split("\n")) if "width:" in words)
    for same in (study, replace(study, title="other")):
        error = same.error("space.width.high", "is odd")
        assert (error.source, error.line, error.place) == (str(file), line, "space.width.high")
    assert str(replace(study, origin=None).error("space", "is odd")).startswith("study ")
    assert parse_study(study.text, "again") == study, "where it was read is no part of it"


def test_error_names_the_line_of_a_missing_fields_parent():
    with pytest.raises(StudyError, match=r"my\.yaml:7: space\.temperature\.high: is missing"):
        parse_study(EXAMPLE.replace("low: 1, high: 20", "low: 1"), "my.yaml")


WORDS = """
  tables:
    - id: I
      layout: aspects
      aspects:
        - {name: load, words: [Low, High], metrics: [gflop]}
        - {name: quality, words: [High, Limited], metrics: [nmse_db]}
        - {name: use}
      columns: [{metric: gflop}, {metric: nmse_db, unit: dB, aspect: quality}]
      rows:
        - {id: a, role: confirmation, words: {load: Low}, facts: {use: always}}
        - {id: b, role: confirmation, words: {load: High, quality: Limited}}
"""


def with_words(old="", new=""):
    assert old in WORDS
    head, _, _ = EXAMPLE.partition("report:")
    return parse_study(f"{head}report:{WORDS.replace(old, new)}", "my.yaml")


def test_table_words_and_facts_belong_to_aspects():
    [table] = with_words().report.tables
    assert [aspect.factor for aspect in table.aspects] == [2.0] * 3
    assert table.rows[1].words == {"load": "High", "quality": "Limited"}
    assert table.rows[0].facts == {"use": "always"}
    assert (table.columns[1].unit, table.columns[1].aspect) == ("dB", "quality")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("load: High", "load: Hihg", r"rows\.1\.words: 'Hihg' is not one of.*did you mean 'High'"),
        ("use: always", "usage: x", r"rows\.0\.facts: 'usage' is not listed.*'use'"),
        ("metrics: [gflop]", "metrics: [flop]", r"aspects\.0\.metrics: 'flop' is not a column"),
        (", metrics: [gflop]", "", r"aspects\.0\.metrics: are missing, but there are words"),
        ("words: [Low, High], ", "", r"aspects\.0\.words: are missing, but there are metrics"),
        ("[Low, High]", "[Low, Low]", r"aspects\.0\.words\.1: 'Low' is used twice"),
        ("name: use", "name: load", r"aspects\.2\.name: 'load' is used twice"),
        ("name: use", "name: use, factor: 0.5", r"aspects\.2\.factor: .*at least 1.*got 0\.5"),
        ("unit: dB", "unit: ''", r"aspects\.1\.metrics: 'nmse_db' is in decibels.*unit: dB"),
    ],
)
def test_table_words_that_cannot_be_compared_are_refused(old, new, message):
    with pytest.raises(StudyError, match=r"my\.yaml:\d+: report\.tables\.0\." + message):
        with_words(old, new)


@pytest.mark.parametrize(
    ("values", "alpha", "temperature", "place"),
    [
        # a value that two conditions name otherwise is wrong where it stands
        (["vanilla", "respons"], "response", "response", "space.method.values.1"),
        (["vanilla", "response"], "respons", "response", "space.alpha.when.method"),
        (["vanilla", "response"], "response", "respons", "space.temperature.when.method"),
        (["vanilla", "kd"], "response", "response", "space.alpha.when.method"),
    ],
)
def test_a_misspelt_condition_is_found_on_the_side_that_stands_alone(
    values, alpha, temperature, place
):
    space = {
        "method": {"type": "choice", "values": values},
        "alpha": {"type": "float", "low": 0.1, "high": 1.0, "when": {"method": [alpha]}},
        "temperature": {"type": "float", "low": 1.0, "high": 9.0, "when": {"method": temperature}},
    }
    with pytest.raises(StudyError) as raised:
        parse_study(dump_with("space", json.dumps(space)), "my.yaml")
    assert raised.value.place == place
