from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.params import fingerprint

SCALARS = (
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
PARAMS = st.dictionaries(st.text(), SCALARS, max_size=6)


@dataclass(frozen=True)
class Example:
    rate: float
    sizes: tuple[int, ...]


@given(PARAMS, st.randoms(use_true_random=False))
def test_order_does_not_matter(params, random):
    names = list(params)
    random.shuffle(names)
    assert fingerprint({name: params[name] for name in names}) == fingerprint(params)


@given(SCALARS, SCALARS)
def test_equal_values_and_only_these_have_equal_fingerprints(one, other):
    # To Python True is 1; to a study it is another setting.
    same = one == other and isinstance(one, bool) == isinstance(other, bool)
    assert (fingerprint({"a": one}) == fingerprint({"a": other})) is same


@pytest.mark.parametrize(
    ("one", "other"),
    [(4, 4.0), (0.0, -0.0), (2**60, 2.0**60)],
    ids=["whole", "sign of zero", "beyond 2**53"],
)
def test_one_number_written_twice_is_one_setting(one, other):
    assert fingerprint({"a": one}) == fingerprint({"a": other})


@pytest.mark.parametrize(
    ("one", "other"),
    [(2**53, 2**53 + 1), (2**63 - 1, 2**63 - 2), (10**400, 10**401), (1, True), (1, "1")],
)
def test_two_settings_are_two(one, other):
    assert fingerprint({"a": one}) != fingerprint({"a": other})


@given(PARAMS, st.text(), SCALARS)
def test_another_parameter_is_another_setting(params, name, value):
    if name not in params:
        assert fingerprint({**params, name: value}) != fingerprint(params)


def test_a_dataclass_is_what_it_holds():
    assert fingerprint(Example(1.0, (2, 3))) == fingerprint({"rate": 1, "sizes": [2.0, 3]})


def test_it_is_the_same_on_every_machine_and_in_every_version():
    # Caches and ledgers live by it. If this changes, everything cached is made again.
    assert fingerprint({"a": 1, "b": [0.5, "x", True, None]}) == "9e70d209693838c0"


def test_it_is_16_hexadecimal_digits():
    assert len(fingerprint({})) == 16
    assert int(fingerprint({}), 16) >= 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_refused(value):
    with pytest.raises(ValueError, match="JSON"):
        fingerprint({"a": value})


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), 1j, {1: "a"}])
def test_what_json_does_not_know_is_refused(value):
    with pytest.raises(TypeError, match="fingerprint"):
        fingerprint({"a": value})
