"""Wrong names are met by the known ones that they may be meant for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.near_names import MOST, near_names

KNOWN = ("learning_rate", "link_rate_mbps", "batch_size", "width", "weight_decay", "temperature")
WORDS = st.lists(st.text("abcdefg", min_size=1, max_size=6), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lr", "learning_rate"),
        ("bs", "batch_size"),
        ("wd", "weight_decay"),
        ("temp", "temperature"),
        ("widht", "width"),
        ("learning_rates", "learning_rate"),
        ("size", "batch_size"),
    ],
)
def test_the_name_that_is_meant_comes_first(name, meant):
    assert near_names(name, KNOWN)[0] == meant


@given(words=WORDS, others=st.lists(st.text("abcdefg_", max_size=9)), data=st.data())
def test_every_abbreviation_is_understood(words, others, data):
    """Beginnings of all words of a name lead to it, unless others have them as well."""
    short = "".join(w[: data.draw(st.integers(1, len(w)))] for w in words)
    name = "_".join(words)
    assert near_names(short, [name]) == [name]
    found = near_names(short, [*others, name])
    assert len(found) <= MOST
    assert {*found} <= {*others, name}


def test_nothing_near_is_nothing():
    assert near_names("quantum", KNOWN) == []
