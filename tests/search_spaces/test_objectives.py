"""Laws of objectives and constraints."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.errors import StudyError
from search_spaces.objectives import Constraint, Objective

finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.floats(allow_nan=False)


@given(st.none() | finite, st.none() | finite, numbers)
def test_violation_is_at_most_zero_exactly_if_the_bounds_are_kept(low, high, value):
    if (low is None and high is None) or (None not in (low, high) and low > high):
        with pytest.raises(StudyError):
            Constraint("latency_ms", min=low, max=high)
        return
    kept = (low is None or value >= low) and (high is None or value <= high)
    violation = Constraint("latency_ms", min=low, max=high).violation(value)
    assert (violation <= 0) == kept


@given(finite, st.floats(0, 1e3), st.floats(0, 1e3))
def test_violation_grows_with_the_distance_from_the_bound(bound, near, further):
    constraint = Constraint("latency_ms", max=bound)
    assert constraint.violation(bound + near) <= constraint.violation(bound + near + further)


def test_nan_is_never_feasible():
    assert Constraint("latency_ms", max=1.0).violation(math.nan) == math.inf


@pytest.mark.parametrize("bound", [math.nan, math.inf])
def test_bounds_must_be_finite(bound):
    with pytest.raises(StudyError, match="finite"):
        Constraint("latency_ms", max=bound)


@pytest.mark.parametrize(
    ("reference", "scale"), [(math.nan, "linear"), (-math.inf, "linear"), (0.0, "log")]
)
def test_impossible_references_are_refused(reference, scale):
    with pytest.raises(StudyError) as caught:
        Objective("flops", "minimize", "FLOPs", reference, "FLOPs", scale)
    assert caught.value.place == "reference"
