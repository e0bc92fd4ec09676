import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.mimo_detection.link.bit_errors import BitErrors
from kdtasks.mimo_detection.scores import curve_metrics, steps_below

CURVE = {0: BitErrors(200, 1000), 50: BitErrors(100, 1000), 100: BitErrors(80, 1000)}


@pytest.mark.parametrize(
    ("ratio", "steps"), [(0.3, 0.0), (0.15, 25.0), (0.1, 50.0), (0.09, 75.0), (0.08, 100.0)]
)
def test_where_a_curve_comes_below_a_ratio_is_read_between_its_points(ratio, steps):
    assert steps_below(CURVE, ratio) == pytest.approx(steps)


def test_a_curve_that_never_comes_below_counts_all_its_steps():
    assert steps_below(CURVE, 0.01) == 100.0


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_less_takes_longer(one, other):
    assert steps_below(CURVE, min(one, other)) >= steps_below(CURVE, max(one, other))


def test_the_curve_is_named_where_tables_read_it():
    found = curve_metrics({**CURVE, 150: BitErrors(60, 1000)}, BitErrors(120, 1000))
    assert found == pytest.approx(
        {
            "val_ber_after_0": 0.2,
            "val_ber_after_50": 0.1,
            "val_ber_after_100": 0.08,
            "val_to_lmmse": 0.5,
            "val_steps_to_lmmse": 40.0,
        }
    )
    assert "val_to_lmmse" not in curve_metrics(CURVE, BitErrors(0, 1000))
