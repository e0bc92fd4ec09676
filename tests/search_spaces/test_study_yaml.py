"""Reading and writing plain data: YAML 1.2 scalars, no surprises, exact round trips."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.domains import same
from search_spaces.errors import StudyError
from search_spaces.study_yaml import apply_overrides, dump_yaml, load_yaml, read_yaml

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    [
        "no",
        "on",
        "~",
        "null",
        "1e-3",
        "010",
        "12:30",
        "1_000",
        "0x10",
        "0o17",
        "2026-01-01",
        "<<",
        "=",
        "a\x85b",
        "\u2028",
    ]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
plain = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def identical(left, right):
    if isinstance(left, dict) and isinstance(right, dict):
        keys = list(left) == list(right)
        return keys and all(identical(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(identical, left, right))
    return same(left, right)


@given(plain)
def test_yaml_round_trip_keeps_values_and_types(raw):
    assert identical(load_yaml(dump_yaml(raw), "test"), raw)


def test_yaml_writes_no_references():
    shared = [1, 2]
    assert load_yaml(dump_yaml({"a": shared, "b": shared}), "test") == {"a": [1, 2], "b": [1, 2]}


@given(texts)
def test_yaml_1_1_readers_see_the_same_text(text):
    assert yaml.safe_load(dump_yaml({"text": text})) == {"text": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("1e-3", 1e-3),
        ("2.0e6", 2.0e6),
        ("-.5", -0.5),
        ("1.", 1.0),
        (".inf", math.inf),
        ("010", 10),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ("10m", "10m"),
        ("~", None),
        ("", None),
        ("'16'", "16"),
    ],
)
def test_yaml_1_2_core_schema_of_plain_words(text, value):
    assert same(load_yaml(text, "test"), value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", r's\.yaml:3: column 1: .*duplicate key "a".*keep one'),
        ("x: {a: 1, a: 1}", ':1: column 11: .*duplicate key "a"'),
        ("a: &x 1\nb: *x", ":1: column 4: references"),
        ("a: &x [*x]", "references"),
        ("a: *x", "references"),
        ("a: [" + "[" * 99 + "]" * 100, "nested more than 100"),
        ("a: !!python/object/apply:os.getcwd []", "tags .* are not supported"),
        ("a: !!bool maybe", ":1: column 4: tags"),
        ("a: !!int [1]", "tags"),
        ("a: [1", r"s\.yaml:2: column 1: .*expected ',' or '\]'"),  # the end of the text
        ("a: 1\n---\nb: 2", "but found another document"),
        ("? [a]\n: 1", ":1: column 3: a key must be a plain word"),
        ("a: \x07", "not readable YAML"),
        ("1" * 5000, "not readable YAML"),
        ("[" * 5000, ":1: column 101: .* nested more than 100 levels"),
    ],
)
def test_unreadable_yaml_is_refused_in_one_line(text, message):
    with pytest.raises(StudyError, match=message) as caught:
        load_yaml(text, "s.yaml")
    assert "\n" not in str(caught.value)


@given(plain)
def test_yaml_lines_are_those_of_the_fields(raw):
    text = dump_yaml({"first": 0, "rows": [raw, {"last": 1}]})
    lines, line_of = text.splitlines(), read_yaml(text, "test.yaml").line_of
    assert read_yaml(text, "test").line_of("first") is None, "no file"
    assert "first" in lines[line_of("first") - 1]
    assert "last" in lines[line_of("rows.1.last") - 1]
    assert line_of("rows.1.missing") == line_of("rows.1")
    assert line_of("missing") is None


@pytest.mark.parametrize("directive", ["", "%YAML 1.1\n---\n", "%YAML 1.2\n---\n"])
def test_yaml_directive_does_not_change_what_words_mean(directive):
    read = load_yaml(f"{directive}{{a: no, b: 010, c: 1e-3, d: 12:30}}", "test")
    assert identical(read, {"a": "no", "b": 10, "c": 1e-3, "d": "12:30"})


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("budget.trials=4", {"budget": {"trials": 4}, "rows": [{"a": 1}, 2]}),
        ("budget.time=10m", {"budget": {"trials": 9, "time": "10m"}, "rows": [{"a": 1}, 2]}),
        ("rows.0.a=[x, 1.5]", {"budget": {"trials": 9}, "rows": [{"a": ["x", 1.5]}, 2]}),
        ("rows.1=", {"budget": {"trials": 9}, "rows": [{"a": 1}, None]}),
        ("seeds.trial=3", {"budget": {"trials": 9}, "rows": [{"a": 1}, 2], "seeds": {"trial": 3}}),
        ("task=a:B=c", {"budget": {"trials": 9}, "rows": [{"a": 1}, 2], "task": "a:B=c"}),
    ],
)
def test_override_changes_one_field(override, expected):
    raw = {"budget": {"trials": 9}, "rows": [{"a": 1}, 2]}
    apply_overrides(raw, [override], sections=("budget", "seeds"))
    assert identical(raw, expected)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("budget.trials", "--set budget.trials: must look like budget.trials=4"),
        ("=4", "must look like"),
        ("bugdet.trials=4", "there is no 'bugdet' in the study; did you mean 'budget'"),
        ("rows.2.a=4", "there is no '2' in rows; it is a list of 2, counted from 0"),
        ("rows.2=4", "there is no '2' in rows"),
        ("rows.-1=4", "there is no '-1' in rows"),
        ("rows.1.a=4", r"there is no 'a' in rows\.1; it is a single value \(2\)"),
        ("budget.trials.x.y=4", r"there is no 'x' in budget\.trials"),
        ("budget.trials=[1", "--set budget.trials=.*expected ',' or"),
    ],
)
def test_override_of_an_unknown_field_is_refused(override, message):
    with pytest.raises(StudyError, match=message):
        apply_overrides({"budget": {"trials": 9}, "rows": [{"a": 1}, 2]}, [override], sections=())
