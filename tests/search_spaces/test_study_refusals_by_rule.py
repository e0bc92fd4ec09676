"""Rules that hold for any value at any place: whatever breaks one is refused, in one line."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example as case
from hypothesis import given, settings
from hypothesis import strategies as st
from study_example import EXAMPLE

from search_spaces.errors import StudyError
from search_spaces.study import Study, parse_study
from search_spaces.study_yaml import dump_yaml, load_yaml

FREE = ("parameters", "space", "points", "when", "match", "paper", "words", "facts")
"""Mappings whose keys are names of the user's own."""

Path = tuple[str | int, ...]


def example() -> Any:
    return load_yaml(EXAMPLE, "example.yaml")


def walk(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every place in a file and what is there."""
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, (*path, key))
    if isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(value, (*path, index))


def is_free(path: Path) -> bool:
    """Return whether a mapping holds names of the user's own."""
    last = [step for step in path if isinstance(step, str)][-1:]
    return bool(path) and last[0] in FREE and not (path[0] == "space" and len(path) == 2)


def put(path: Path, value: Any) -> Any:
    """Return the example with one place changed."""
    raw = example()
    if not path:
        return value
    node = raw
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return raw


def refused(raw: Any) -> str:
    with pytest.raises(StudyError) as caught:
        parse_study(dump_yaml(raw), "my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml: ")
    assert "\n" not in message
    return message


def dotted(*path: str | int) -> str:
    return ".".join(map(str, path))


PLACES = [path for path, _ in walk(example())]
DOORS = [path for path, node in walk(example()) if isinstance(node, dict) and not is_free(path)]
NUMBERS = [
    path
    for path, node in walk(example())
    if isinstance(node, int | float) and not isinstance(node, bool)
]
FIELDS = [
    path
    for path, node in walk(example())
    if path and path[:-1] in DOORS and not isinstance(node, str) and not is_free(path)
]

few = settings(max_examples=50, deadline=None)
names = st.from_regex(r"[a-z_]{3,12}", fullmatch=True)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@few
@given(door=st.sampled_from(DOORS), key=names)
def test_a_key_that_nobody_knows_is_refused_wherever_it_is(door: Path, key: str) -> None:
    raw = put((*door, f"x_{key}"), 1)
    message = refused(raw)
    assert message.startswith(f"my.yaml: {dotted(*door, f'x_{key}')}: is not known here")


@few
@given(place=st.sampled_from(NUMBERS), value=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_number_that_is_not_finite_is_refused_wherever_it_is(place: Path, value: float) -> None:
    message = refused(put(place, value))
    # a point is named as a whole, everything else to the number
    assert dotted(*place[:3]) in message
    assert repr(value) in message or "number" in message


@few
@given(place=st.sampled_from(FIELDS), key=names)
def test_a_mapping_is_no_value(place: Path, key: str) -> None:
    """Every field wants a list, a number, text or a mapping of known keys, but not any mapping."""
    assert dotted(*place) in refused(put(place, {f"x_{key}": {key: 1}}))


@few
@given(low=st.floats(-1e300, 1e300), high=st.floats(-1e300, 1e300), log=st.booleans())
def test_a_real_interval_must_rise(low: float, high: float, log: bool) -> None:
    low, high = max(low, high), min(low, high)
    domain = {"type": "float", "low": low, "high": high, "log": log}
    message = refused({**example(), "space": {"x": domain}, "search": {}})
    assert message.startswith("my.yaml: space.x.low: must be below high")


@few
@given(
    low=st.integers(-(2**53), 2**53),
    high=st.integers(-(2**53), 2**53),
    step=st.integers(1, 1000),
)
def test_whole_numbers_must_rise(low: int, high: int, step: int) -> None:
    domain = {"type": "int", "low": max(low, high), "high": min(low, high), "step": step}
    message = refused({**example(), "space": {"x": domain}, "search": {}})
    assert message.startswith("my.yaml: space.x.low: must be below high")


@few
@given(
    low=st.integers(-1000, 1000), steps=st.integers(1, 50), step=st.integers(2, 50), data=st.data()
)
def test_steps_must_reach_the_end(low: int, steps: int, step: int, data: st.DataObject) -> None:
    rest = data.draw(st.integers(1, step - 1))
    domain = {"type": "int", "low": low, "high": low + steps * step + rest, "step": step}
    message = refused({**example(), "space": {"x": domain}, "search": {}})
    assert message.startswith("my.yaml: space.x.step: does not fit")
    assert f"high = {low + steps * step} would fit" in message


@few
@given(low=st.floats(-1e6, 0.0), width=st.floats(1e-3, 1e6))
def test_a_logarithm_needs_positive_numbers(low: float, width: float) -> None:
    domain = {"type": "float", "low": low, "high": low + width, "log": True}
    message = refused({**example(), "space": {"x": domain}, "search": {}})
    assert message.startswith("my.yaml: space.x.low: must be above 0 when log is true")


@few
@given(length=st.integers(1, 6), tail=st.integers(0, 3))
def test_conditions_in_a_circle_are_refused_however_long_it_is(length: int, tail: int) -> None:
    space = {
        f"p{index}": {
            "type": "choice",
            "values": ["a", "b"],
            "when": {f"p{(index + 1) % length if index < length else index - 1}": "a"},
        }
        for index in range(length + tail)
    }
    message = refused({**example(), "space": space, "search": {}})
    assert "wait for one another" in message
    assert all(f"p{index}" in message for index in range(length))


@few
@given(values=st.lists(st.integers(0, 5) | st.sampled_from(["a", "b"]), min_size=2, max_size=6))
def test_a_value_is_listed_once(values: list[int | str]) -> None:
    repeats = len(set(values)) < len(values)
    space = {"x": {"type": "choice", "values": values}}
    raw = {**example(), "space": space, "search": {}}
    if repeats:
        assert "space.x.values" in refused(raw)
    else:
        parse_study(dump_yaml(raw), "my.yaml")


@few
@given(value=st.integers() | st.floats(allow_nan=False) | st.text(max_size=5))
def test_a_point_outside_its_domain_is_refused(value: Any) -> None:
    inside = isinstance(value, int) and 2 <= value <= 16 and value % 2 == 0
    raw = put(("search", "points"), [{"method": "vanilla", "width": value}])
    if inside:
        parse_study(dump_yaml(raw), "my.yaml")
    else:
        assert "search.points.0" in refused(raw)


@few
@given(bound=st.floats(-1e9, 1e9), gap=st.floats(1e-3, 1e9))
def test_a_bound_must_leave_room(bound: float, gap: float) -> None:
    raw = put(("constraints",), [{"metric": "x", "max": bound, "min": bound + gap}])
    assert "constraints.0.min: must not be above max" in refused(raw)


@few
@given(reference=st.floats(-1e9, 0.0))
def test_a_logarithmic_objective_needs_a_positive_reference(reference: float) -> None:
    assert "objectives.1.reference: must be above 0" in refused(
        put(("objectives", 1, "reference"), reference)
    )


@few
@given(seeds=st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_a_seed_is_used_once(seeds: list[int]) -> None:
    raw = put(("seeds", "confirm"), seeds)
    if len(set(seeds)) < len(seeds):
        assert "seeds.confirm: repeats a seed" in refused(raw)
    else:
        parse_study(dump_yaml(raw), "my.yaml")


COUNTS = [("budget", "trials"), ("budget", "epochs"), ("confirm", "limit")]


@few
@given(count=st.integers(max_value=0))
@pytest.mark.parametrize(
    "place", [("budget", "trials"), ("budget", "epochs"), ("confirm", "limit")]
)
def test_a_count_is_at_least_one(place: Path, count: int) -> None:
    assert refused(put(place, count)).startswith(f"my.yaml: {dotted(*place)}: must be at least 1")


REQUIRED = [
    ("name",),
    ("title",),
    ("task",),
    ("objectives",),
    ("objectives", 0, "metric"),
    ("objectives", 0, "direction"),
    ("objectives", 1, "reference"),
    ("constraints", 0, "metric"),
    ("space", "temperature", "low"),
    ("space", "temperature", "high"),
    ("space", "width", "type"),
    ("space", "method", "values"),
    ("report", "tables", 0, "id"),
    ("report", "tables", 0, "columns"),
    ("report", "tables", 0, "rows", 0, "role"),
    ("report", "claims", 0, "text"),
    ("report", "claims", 0, "metric"),
]


@pytest.mark.parametrize("place", REQUIRED, ids=lambda place: dotted(*place))
def test_what_is_required_is_missed(place: Path) -> None:
    raw = example()
    node = raw
    for step in place[:-1]:
        node = node[step]
    del node[place[-1]]
    assert refused(raw).startswith(f"my.yaml: {dotted(*place)}: is missing")


def outcome(raw: Any) -> Study | str:
    try:
        return parse_study(dump_yaml(raw), "my.yaml")
    except StudyError as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@case(place=(), value={"\n": None})
@case(place=("space",), value={"a\r\n\u2028b": {"type": "int"}})
@given(place=st.sampled_from(PLACES), value=plain)
def test_whatever_stands_anywhere_is_read_or_refused_in_one_line(place: Path, value: Any) -> None:
    found = outcome(put(place, value))
    if isinstance(found, str):
        assert found.startswith("my.yaml: ")
        assert "\n" not in found
    else:
        assert parse_study(found.text, "again.yaml") == found


@few
@given(text=st.text(max_size=200))
def test_any_text_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study(text, "my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert "\n" not in str(caught.value)
