import pytest

from kdtasks.mimo_detection.link.bit_errors import BitErrors
from kdtasks.mimo_detection.scores import curve_metrics

CURVE = {0: BitErrors(200, 1000), 50: BitErrors(100, 1000), 100: BitErrors(80, 1000)}


def test_a_curve_that_never_comes_below_counts_all_its_steps():
    assert curve_metrics(CURVE, BitErrors(10, 1000))["val_steps_to_lmmse"] == 100.0


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
