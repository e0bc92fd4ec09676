"""Laws of conditional search spaces, each against a slower second implementation."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from space_strategies import finite_domains, finite_spaces, parameter_sets, spaces

from search_spaces.domains import Choice, Float, Int, same
from search_spaces.errors import StudyError
from search_spaces.space import Space

ABSENT = object()
seeds = st.integers(0, 2**32 - 1)
SPACE = Space(
    {
        "temperature": Float(1.0, 20.0, log=True, when={"method": ("kd",)}),
        "method": Choice(("vanilla", "kd", "encoder")),
        "width": Int(2, 8, step=2),
        "depth": Int(1, 3, when={"method": ("kd", "encoder"), "width": (2, 4)}),
    }
)


def frozen(assignment):
    return frozenset((name, type(value), value) for name, value in assignment.items())


def exists(parameters, assignment, name):
    """Whether a parameter that comes after its parents exists, from the definition."""
    return all(
        parent in assignment and any(same(assignment[parent], value) for value in allowed)
        for parent, allowed in parameters[name].when.items()
    )


def brute_force(parameters):
    """Every assignment, present or absent, that agrees with all conditions."""
    tables = [(ABSENT, *domain.values()) for domain in parameters.values()]
    for chosen in itertools.product(*tables):
        pairs = zip(parameters, chosen, strict=True)
        assignment = {name: value for name, value in pairs if value is not ABSENT}
        if all(exists(parameters, assignment, name) == (name in assignment) for name in parameters):
            yield assignment


@given(spaces(), seeds)
def test_space_samples_are_valid(space, seed):
    rng = np.random.default_rng(seed)
    for _ in range(5):
        space.check(space.sample(rng))


@given(finite_spaces)
def test_space_enumeration_has_each_configuration_once(space):
    listed = [frozen(params) for params in space.enumerate()]
    assert len(listed) == len(set(listed)) == space.size()
    assert set(listed) == {frozen(params) for params in brute_force(space.parameters)}


@given(finite_spaces)
def test_space_enumeration_is_valid(space):
    for params in space.enumerate():
        space.check(params)


@given(finite_spaces, seeds)
def test_space_samples_are_in_the_enumeration(space, seed):
    drawn = frozen(space.sample(np.random.default_rng(seed)))
    assert drawn in {frozen(params) for params in space.enumerate()}


@given(finite_spaces, st.data())
def test_space_check_accepts_exactly_the_enumeration(space, data):
    params = {
        name: data.draw(st.sampled_from(domain.values()))
        for name, domain in space.parameters.items()
        if data.draw(st.booleans())
    }
    known = frozen(params) in {frozen(params) for params in space.enumerate()}
    try:
        space.check(params)
    except StudyError:
        assert not known
    else:
        assert known


@given(finite_spaces, st.data())
def test_space_assignments_are_projections_of_the_enumeration(space, data):
    names = data.draw(st.sets(st.sampled_from(space.names))) if space.names else set()
    listed = [frozen(part) for part in space.assignments(names)]
    projected = {
        frozen({name: value for name, value in params.items() if name in names})
        for params in space.enumerate()
    }
    assert len(listed) == len(set(listed))
    assert set(listed) == projected


@given(spaces())
def test_space_orders_parents_before_children(space):
    position = {name: index for index, name in enumerate(space.names)}
    assert sorted(space.names) == sorted(space.parameters)
    for name, domain in space.parameters.items():
        assert all(position[parent] < position[name] for parent in domain.when)


@given(parameter_sets(of=finite_domains, max_size=4))
def test_space_is_refused_exactly_if_a_parameter_never_exists(parameters):
    reached = {name for assignment in brute_force(parameters) for name in assignment}
    if reached == set(parameters):
        assert Space(parameters).size() == sum(1 for _ in brute_force(parameters))
    else:
        with pytest.raises(ValidationError, match="can never exist"):
            Space(parameters)


@given(spaces())
def test_space_pickles(space):
    assert pickle.loads(pickle.dumps(space)) == space  # noqa: S301 - our own bytes


def test_space_keeps_the_order_of_the_file():
    assert SPACE.names == ("method", "temperature", "width", "depth")


def test_space_with_a_float_has_no_size():
    assert SPACE.size() is None
    with pytest.raises(StudyError, match="temperature: has too many values"):
        list(SPACE.enumerate())


def test_space_assignments_need_finite_named_parameters_only():
    assert SPACE.assignments(["method"]) == [
        {"method": "vanilla"},
        {"method": "kd"},
        {"method": "encoder"},
    ]
    # Widths 6 and 8 have no depth, nor has vanilla: one combination without it.
    assert len(SPACE.assignments(["depth"])) == 4
    with pytest.raises(StudyError, match="temperature: has too many values"):
        SPACE.assignments(["temperature"])
    with pytest.raises(StudyError, match=r"widht: .* did you mean 'width'"):
        SPACE.assignments(["widht"])


def test_empty_space_has_one_configuration():
    empty = Space({})
    assert list(empty.enumerate()) == empty.assignments([]) == [{}]
    assert empty.size() == 1


def test_large_space_is_counted_without_enumeration():
    wide = {f"w{i}": Int(1, 1000, when={"method": ("kd",)}) for i in range(6)}
    space = Space({"method": Choice(("vanilla", "kd")), **wide})
    assert space.size() == 1 + 1000**6


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"method": "vanilla", "widht": 2}, "widht: .* did you mean 'width'"),
        ({"method": "vanilla"}, "width: is missing"),
        ({"method": "vanila", "width": 2}, "method: must be one of .* got 'vanila'"),
        ({"method": "vanilla", "width": 3}, r"width: must be .* steps of 2, got 3"),
        ({"method": "vanilla", "width": 2.0}, "width: must be .* got 2.0"),
        (
            {"method": "vanilla", "width": 2, "temperature": 4.0},
            r"temperature: is set to 4.0, but exists only when method is one of \['kd'\]",
        ),
        ({"method": "kd", "width": 6, "temperature": 4.0, "depth": 1}, "depth: is set to 1, but"),
    ],
)
def test_space_check_refuses_wrong_configurations(params, message):
    with pytest.raises(StudyError, match=message):
        SPACE.check(params)


def test_point_may_be_partial_and_set_other_parameters():
    SPACE.check_point({"width": 4, "batch_size": 7})
    with pytest.raises(StudyError, match=r"temperature: is set to 4\.0, but"):
        SPACE.check_point({"temperature": 4.0})
