"""Laws of errors about studies: any wrong value at any place is refused, in one line."""

import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example as case
from hypothesis import given, settings
from hypothesis import strategies as st
from study_example import EXAMPLE
from tried import times

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
    assert re.match(r"my\.yaml(:\d+)?: ", message)
    assert "\n" not in message
    return message.partition(": ")[2]


def dotted(*path: str | int) -> str:
    return ".".join(map(str, path))


PLACES = [path for path, _ in walk(example())]
PARTS = [path for path, node in walk(example()) if isinstance(node, dict) and not is_free(path)]
NUMBERS = [
    path
    for path, node in walk(example())
    if isinstance(node, int | float) and not isinstance(node, bool)
]
FIELDS = [
    path
    for path, node in walk(example())
    if path and path[:-1] in PARTS and not isinstance(node, str) and not is_free(path)
]

few = settings(max_examples=times(20), deadline=None)
names = st.from_regex(r"[a-z_]{3,12}", fullmatch=True)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@few
@given(part=st.sampled_from(PARTS), key=names)
def test_unknown_key_is_refused_anywhere(part: Path, key: str) -> None:
    raw = put((*part, f"x_{key}"), 1)
    message = refused(raw)
    assert message.startswith(f"{dotted(*part, f'x_{key}')}: is not a known field")


@few
@given(place=st.sampled_from(NUMBERS), value=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_infinite_number_is_refused_anywhere(place: Path, value: float) -> None:
    message = refused(put(place, value))
    # a point is named as a whole, everything else to the number
    assert dotted(*place[:3]) in message
    assert repr(value) in message or "number" in message


@few
@given(place=st.sampled_from(FIELDS), key=names)
def test_mapping_is_refused_as_a_value(place: Path, key: str) -> None:
    """Every field wants a list, a number, text or a mapping of known keys, but not any mapping."""
    assert dotted(*place) in refused(put(place, {f"x_{key}": {key: 1}}))


@few
@given(low=st.floats(-1e300, 1e300), high=st.floats(-1e300, 1e300), log=st.booleans())
def test_float_range_must_ascend(low: float, high: float, log: bool) -> None:
    low, high = max(low, high), min(low, high)
    domain = {"type": "float", "low": low, "high": high, "log": log}
    message = refused({**example(), "space": {"x": domain}, "search": {}})
    assert message.startswith("space.x.low: must be below high")


@few
@given(
    low=st.integers(-(2**53), 2**53),
    high=st.integers(-(2**53), 2**53),
    step=st.integers(1, 1000),
)
def test_int_range_must_ascend(low: int, high: int, step: int) -> None:
    domain = {"type": "int", "low": max(low, high), "high": min(low, high), "step": step}
    message = refused({**example(), "space": {"x": domain}, "search": {}})
    assert message.startswith("space.x.low: must be below high")


@few
@given(
    low=st.integers(-1000, 1000), steps=st.integers(1, 50), step=st.integers(2, 50), data=st.data()
)
def test_int_steps_must_reach_the_upper_bound(
    low: int, steps: int, step: int, data: st.DataObject
) -> None:
    rest = data.draw(st.integers(1, step - 1))
    domain = {"type": "int", "low": low, "high": low + steps * step + rest, "step": step}
    message = refused({**example(), "space": {"x": domain}, "search": {}})
    assert message.startswith("space.x.step: does not fit")
    assert f"high = {low + steps * step} would fit" in message


@few
@given(low=st.floats(-1e6, 0.0), width=st.floats(1e-3, 1e6))
def test_log_scale_needs_positive_bounds(low: float, width: float) -> None:
    domain = {"type": "float", "low": low, "high": low + width, "log": True}
    message = refused({**example(), "space": {"x": domain}, "search": {}})
    assert message.startswith("space.x.low: must be above 0 when log is true")


@few
@given(length=st.integers(1, 6), tail=st.integers(0, 3))
def test_cyclic_conditions_are_refused(length: int, tail: int) -> None:
    space = {
        f"p{index}": {
            "type": "choice",
            "values": ["a", "b"],
            "when": {f"p{(index + 1) % length if index < length else index - 1}": "a"},
        }
        for index in range(length + tail)
    }
    message = refused({**example(), "space": space, "search": {}})
    assert "form a cycle" in message
    assert all(f"p{index}" in message for index in range(length))


@few
@given(values=st.lists(st.integers(0, 5) | st.sampled_from(["a", "b"]), min_size=2, max_size=6))
def test_choice_lists_a_value_once(values: list[int | str]) -> None:
    repeats = len(set(values)) < len(values)
    space = {"x": {"type": "choice", "values": values}}
    raw = {**example(), "space": space, "search": {}}
    if repeats:
        assert "space.x.values" in refused(raw)
    else:
        parse_study(dump_yaml(raw), "my.yaml")


@few
@given(value=st.integers() | st.floats(allow_nan=False) | st.text(max_size=5))
def test_point_outside_its_domain_is_refused(value: Any) -> None:
    inside = isinstance(value, int) and 2 <= value <= 16 and value % 2 == 0
    raw = put(("search", "points"), [{"method": "vanilla", "width": value}])
    if inside:
        parse_study(dump_yaml(raw), "my.yaml")
    else:
        assert "search.points.0" in refused(raw)


@few
@given(bound=st.floats(-1e9, 1e9), gap=st.floats(1e-3, 1e9))
def test_constraint_min_must_not_exceed_max(bound: float, gap: float) -> None:
    raw = put(("constraints",), [{"metric": "x", "max": bound, "min": bound + gap}])
    assert "constraints.0.min: must not be above max" in refused(raw)


@few
@given(reference=st.floats(-1e9, 0.0))
def test_log_objective_needs_a_positive_reference(reference: float) -> None:
    assert "objectives.1.reference: must be above 0" in refused(
        put(("objectives", 1, "reference"), reference)
    )


@few
@given(seeds=st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_seeds_are_distinct(seeds: list[int]) -> None:
    raw = put(("seeds", "confirm"), seeds)
    if len(set(seeds)) < len(seeds):
        assert "seeds.confirm: repeats a seed" in refused(raw)
    else:
        parse_study(dump_yaml(raw), "my.yaml")


@few
@given(count=st.integers(max_value=0))
@pytest.mark.parametrize(
    "place", [("budget", "trials"), ("budget", "epochs"), ("confirm", "limit")]
)
def test_counts_are_positive(place: Path, count: int) -> None:
    assert refused(put(place, count)).startswith(f"{dotted(*place)}: must be at least 1")


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
def test_required_field_is_missing(place: Path) -> None:
    raw = example()
    node = raw
    for step in place[:-1]:
        node = node[step]
    del node[place[-1]]
    assert refused(raw).startswith(f"{dotted(*place)}: is missing")


def outcome(raw: Any) -> Study | str:
    try:
        return parse_study(dump_yaml(raw), "my.yaml")
    except StudyError as error:
        return str(error)


@settings(max_examples=times(60), deadline=None)
@case(place=(), value={"\n": None})
@case(place=("space",), value={"a\r\n\u2028b": {"type": "int"}})
@given(place=st.sampled_from(PLACES), value=plain)
def test_any_value_anywhere_is_read_or_refused_in_one_line(place: Path, value: Any) -> None:
    found = outcome(put(place, value))
    if isinstance(found, str):
        assert re.match(r"my\.yaml(:\d+)?: ", found)
        assert "\n" not in found
    else:
        assert parse_study(found.text, "again.yaml") == found


@few
@given(text=st.text(max_size=200))
def test_any_text_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study(text, "my.yaml")
    assert re.match(r"my\.yaml(:\d+)?: ", str(caught.value))
    assert "\n" not in str(caught.value)
