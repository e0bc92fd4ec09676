"""Numbers as people read them."""

import pytest

from analysis import format as text
from analysis.stats import Interval

THIN = "\N{NARROW NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0, "0"),
        (-6.2, "\N{MINUS SIGN}6.200"),
        (601984.0, f"601{THIN}984"),
        (12345.6, f"12{THIN}346"),
        (0.0004, "4.00e-04"),
        (float("inf"), "∞"),
        ("word", "word"),
    ],
)
def test_numbers(value, expected):
    assert text.number(value) == expected


def test_fixed_keeps_decimals_below_one_another():
    assert [text.fixed(v) for v in (1.0, -6.049, -0.001)] == ["1.00", "\N{MINUS SIGN}6.05", "0.00"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "–"), (8.24, "8.2 s"), (754.0, "12 min 34 s"), (3900.0, "1 h 05 min")],
)
def test_durations(seconds, expected):
    assert text.duration(seconds) == expected


def test_intervals():
    assert text.interval(Interval(-7.046, 0.124, 3)) == "\N{MINUS SIGN}7.05 ± 0.12"
    assert text.interval(Interval(-7.0, None, 1)) == "\N{MINUS SIGN}7.00"
    assert text.interval(None) == "–"


def test_parameters_and_plurals():
    assert text.params({"width": 8, "rate": 0.00123456}) == "width=8, rate=0.00123"
    assert (text.plural(1, "trial"), text.plural(0, "trial")) == ("1 trial", "0 trials")
    assert [text.short(v) for v in (601984.0, 2.5e6, 3e9, -4.25)] == [
        "602k",
        "2.5M",
        "3G",
        "\N{MINUS SIGN}4.25",
    ]
