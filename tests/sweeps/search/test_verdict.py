import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_study import toy_study

from sweeps.search.verdict import judge

GOOD = {"val_nmse_db": -5.0, "ue_flops": 2000.0, "payload_bits": 1024.0}
finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=0.0, allow_infinity=False)


@given(finite, positive)
def test_finite_numbers_become_the_objectives_in_order(error: float, flops: float) -> None:
    verdict = judge(toy_study(), {"other": math.nan, "ue_flops": flops, "val_nmse_db": error})
    assert (verdict.values, verdict.reason) == ((error, flops), "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"val_nmse_db": math.nan}, "val_nmse_db is nan"),
        ({"val_nmse_db": -math.inf}, "val_nmse_db is -inf"),
        ({"ue_flops": -1.0}, "logarithmic"),
        ({"payload_bits": math.nan}, "payload_bits is nan"),
    ],
)
def test_an_undecidable_trial_fails_with_its_reason(changes: dict[str, float], words: str) -> None:
    study = toy_study(constraints=[{"metric": "payload_bits", "max": 2048}])
    verdict = judge(study, {**GOOD, **changes})
    assert verdict.values == ()
    assert words in verdict.reason


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_number_is_named(name: str) -> None:
    study = toy_study(constraints=[{"metric": "payload_bits", "max": 2048}])
    found = {metric: value for metric, value in GOOD.items() if metric != name}
    assert f"{name} is missing" in judge(study, found).reason


@given(positive)
def test_a_violation_is_positive_exactly_beyond_the_bound(bits: float) -> None:
    study = toy_study(constraints=[{"metric": "payload_bits", "max": 2048}])
    verdict = judge(study, {**GOOD, "payload_bits": bits})
    assert (verdict.violations["payload_bits"] > 0.0) == (bits > 2048)
