"""Laws of constraints."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from search_spaces.objectives import Constraint

finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.floats(allow_nan=False)


@given(st.none() | finite, st.none() | finite, numbers)
def test_constraint_violation_is_at_most_zero_exactly_within_bounds(low, high, value):
    if (low is None and high is None) or (None not in (low, high) and low > high):
        with pytest.raises(ValidationError):
            Constraint("latency_ms", min=low, max=high)
        return
    kept = (low is None or value >= low) and (high is None or value <= high)
    violation = Constraint("latency_ms", min=low, max=high).violation(value)
    assert (violation <= 0) == kept


@given(finite, st.floats(0, 1e3), st.floats(0, 1e3))
def test_constraint_violation_grows_with_distance(bound, near, further):
    constraint = Constraint("latency_ms", max=bound)
    assert constraint.violation(bound + near) <= constraint.violation(bound + near + further)


def test_constraint_nan_is_infeasible():
    assert Constraint("latency_ms", max=1.0).violation(math.nan) == math.inf
