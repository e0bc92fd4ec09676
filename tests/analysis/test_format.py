"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    ("mean", "half", "unit", "expected"),
    [
        (8240.0, 96.0, "B", "8.24 ± 0.10 kB"),
        (8240.0, 0.0, "B", "8.24 kB"),
        (96.0, None, "B", "96 B"),
        (999_600.0, None, "B", "1.00 MB"),
        (-8240.0, None, "B", "−8.24 kB"),
        (0.0, 0.0, "B", "0 B"),
        (0.0123, 0.001, "GFLOP", "12.3 ± 1.0 MFLOP"),
        (0.0052, None, "s", "5.20 ms"),
        (5200.0, None, "s", "5200 s"),
        (0.25, None, "ms", "250 µs"),
        (0.0321, 0.001, "core s", "0.0321 ± 0.0010 core s"),
        (1500.0, 0.0, "samples", "1500 samples"),
        (49.85, 2e-14, "s", "49.9 s"),
        (-7.123, 0.1, "dB", "−7.12 ± 0.10 dB"),
        (-7.123, 0.0, "dB", "−7.12 ± 0.00 dB"),
        (1.5, None, "", "1.50"),
        (0.0643, 0.0006, "", "0.0643 ± 0.0006"),
        (-0.00231, 0.0151, "", "−0.0023 ± 0.0151"),
        (0.0, 0.0, "", "0.00 ± 0.00"),
    ],
)
def test_quantities_have_the_prefix_that_suits_them(mean, half, unit, expected):
    shown = text.quantity(Interval(mean, half, 3), unit)
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == expected


@given(st.floats(1e-3, 1e14), st.sampled_from(["B", "FLOP", "J", "bit"]))
def test_prefixes_keep_the_size(value, unit):
    """Read back, the number is within half a unit of its third digit."""
    number, shown = text.quantity(Interval(value, None, 1), unit).split("\N{NO-BREAK SPACE}")
    scale = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "m": 1e-3, "µ": 1e-6}
    size = float(number) * scale.get(shown.removesuffix(unit), 1.0)
    assert size == pytest.approx(value, rel=5.1e-3, abs=5.1e-5)
    assert float(number) < 1000.0 or value >= 999.5e12


@given(st.floats(0, 100), st.floats(0, 100), st.sampled_from(["%", "dB", ""]))
def test_an_interval_wider_than_all_percentages_is_not_printed_as_one(mean, half, unit):
    found = Interval(mean, half, 2)
    wide = unit == "%" and 2 * half > 100
    assert (text.tested(found, unit) != text.level(found)) is wide
    assert text.tested(found, unit).endswith(">50") is wide


def test_missing_quantities():
    assert text.quantity(None, "B") == "–"


def test_parameters_and_plurals():
    assert text.params({"width": 8, "rate": 0.00123456}) == "width=8, rate=0.00123"
    assert (text.plural(1, "trial"), text.plural(0, "trial")) == ("1 trial", "0 trials")
    assert [text.short(v) for v in (601984.0, 2.5e6, 3e9, -4.25)] == [
        "602k",
        "2.5M",
        "3G",
        "\N{MINUS SIGN}4.25",
    ]


@pytest.mark.parametrize(
    ("share", "expected"),
    [(None, "–"), (0.0, "0"), (1e-4, "<1"), (0.126, "13"), (0.9999, ">99"), (1.0, "100")],
)
def test_only_certainty_is_nothing_or_everything(share, expected):
    assert text.percent(share) == expected


@pytest.mark.parametrize("value", [73.0, 0.5, 9.0])
def test_one_is_the_unit_of_a_number_without(value):
    for shown in (text.quantity, text.level):
        one = shown(Interval(value, None, 1), "1")
        assert "\N{NO-BREAK SPACE}" not in one
        assert float(one.replace(" ", "")) == pytest.approx(value, rel=1e-2)
