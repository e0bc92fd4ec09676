"""What axes count: every order, selection and merging, and what a refusal says."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.csi_feedback.data.channel_axes import (
    AXES,
    WORDS,
    Axes,
    advice,
    check_layout,
    suggested,
)
from kdtasks.data.splits import SPLITS, counts_that_fit, split_by_order
from kdtasks.data.stored_arrays import Variable

WHOLE = slice(None)


def numbered(*shape):
    """Return complex numbers that are all different."""
    numbers = np.arange(np.prod(shape)).reshape(shape)
    return (numbers + 1j * (numbers + 0.5)).astype(np.complex64)


def arranged(array, axes):
    return Axes(axes).read(array.__getitem__, WHOLE)


@given(
    kinds=st.permutations(["user", "receive", "antenna", "subcarrier", "single", "port=1"]),
    sizes=st.tuples(*[st.integers(2, 4)] * 4),
)
def test_axes_in_any_order_give_the_same_channels(kinds, sizes):
    length = dict(zip(("user", "receive", *AXES[1:]), sizes, strict=True))
    length |= {"single": 1, "port=1": 3}
    wanted = numbered(*sizes)
    stored = np.zeros([length[kind] for kind in kinds], np.complex64)
    places = [kinds.index(kind) for kind in ("user", "receive", *AXES[1:])]
    chosen = stored.transpose([*places, kinds.index("single"), kinds.index("port=1")])
    chosen[..., 0, 1] = wanted
    axes = Axes(" ".join(kinds))
    assert not axes.misfit(stored.shape)
    layout = axes.layout(stored.shape)
    assert (layout.users, layout.receive, layout.antennas, layout.subcarriers) == sizes
    found = axes.read(stored.__getitem__, WHOLE)
    np.testing.assert_array_equal(found, wanted.reshape(-1, *sizes[2:]))


@pytest.mark.parametrize(
    ("axes", "shape", "wanted"),
    [
        ("user user antenna subcarrier", (2, 3, 4, 5), (6, 4, 5)),  # a grid of positions
        ("user antenna antenna subcarrier", (2, 3, 4, 5), (2, 12, 5)),  # a planar array
        ("antenna subcarrier", (3, 4), (1, 3, 4)),  # a file per user
        ("user subcarrier", (3, 4), (3, 1, 4)),  # one antenna
        ("user antenna", (3, 4), (3, 4, 1)),  # one subcarrier
    ],
)
def test_axes_may_be_merged_and_left_out(axes, shape, wanted):
    array = numbered(*shape)
    np.testing.assert_array_equal(arranged(array, axes), array.reshape(wanted))


@pytest.mark.parametrize("kind", [np.int16, np.float32, np.float64])
def test_an_axis_may_count_real_and_imaginary_part(kind):
    array = numbered(3, 4, 5)
    for place in range(4):
        parts = np.stack([array.real, array.imag], axis=place).astype(kind)
        words = list(AXES)
        words.insert(place, "part")
        wanted = parts.take(0, place) + 1j * parts.take(1, place)
        np.testing.assert_array_equal(arranged(parts, " ".join(words)), wanted)


@pytest.mark.parametrize("axes", ["user", "", "user antenna tone", "user antenna part part"])
def test_words_that_state_nothing_are_refused_with_what_may_be_stated(axes):
    with pytest.raises(ConfigError, match="data_axes=") as error:
        Axes(axes)
    assert WORDS in str(error.value)


@pytest.mark.parametrize(
    ("axes", "shape", "message"),
    [
        ("user antenna subcarrier", (4, 3), "2 axes, .* names 3"),
        ("single user antenna", (2, 4, 3), "axis 1 is called 'single' but is 2 long"),
        ("user antenna part", (4, 3, 3), "axis 3 is called 'part' but is 3 long, not 2"),
        ("user receive=2 antenna", (4, 2, 3), "axis 2 has 2 entries.* no receive=2"),
    ],
)
def test_arrays_that_do_not_fit_name_the_axis(axes, shape, message):
    assert re.search(message, Axes(axes).misfit(shape))


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((3994, 16, 16), "user antenna subcarrier"),
        ((600, 32, 16), "user antenna subcarrier"),
        ((2460, 56, 2, 1), "user subcarrier antenna single"),  # Wi-Fi
        ((1359, 30, 3, 1), "user subcarrier antenna single"),
        ((1, 32, 32, 200), "single antenna subcarrier user"),  # channel.fr of QuaDRiGa
        ((500, 2, 64, 12), "user receive antenna subcarrier"),
        ((2, 64, 12, 5000), "receive antenna subcarrier user"),
        ((300, 1024, 640), "user antenna subcarrier"),
        ((900, 64, 1), "user antenna single"),
        ((900, 56), "user subcarrier"),
        ((900,), ""),
        ((900, 1, 1), ""),
        ((0, 4, 4), ""),
    ],
)
def test_the_most_likely_axes_fit_the_array(shape, wanted):
    assert suggested(shape, is_complex=True) == wanted
    if wanted:
        assert not Axes(wanted).misfit(shape)
        assert suggested((*shape, 2), is_complex=False) == f"{wanted} part"


@given(
    shape=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    is_complex=st.booleans(),
    one_user=st.booleans(),
)
def test_whatever_is_suggested_fits(shape, is_complex, one_user):
    words = suggested(shape, is_complex=is_complex, one_user=one_user)
    if words:
        assert not Axes(words).misfit(shape)
        assert Axes(words).has_parts is not is_complex


@pytest.mark.parametrize(
    ("kind", "recipe"),
    [
        ("struct", "H = G.H"),
        ("cell", "G{:}"),
        ("sparse", "full(G)"),
        ("object", "never opened"),
        ("logical", "complex numbers"),
    ],
)
def test_what_holds_no_numbers_gets_a_recipe(kind, recipe):
    text = advice(Variable(name="G", shape=(1, 1), kind=kind), Axes("user antenna"))
    assert recipe in text
    assert kind in text


def test_two_real_arrays_are_named_to_be_joined():
    both = [Variable(name=n, shape=(9, 4, 4), kind="double", is_number=True) for n in ("R", "I")]
    assert "R + 1j * I" in advice(both[0], Axes("user antenna subcarrier"), both)


def test_nothing_to_compress_is_refused():
    with pytest.raises(DataError, match=r"a\.npy: shape \[9, 1\] .*nothing to compress"):
        check_layout("a.npy", Axes("user antenna"), (9, 1))


@given(
    per_user=st.lists(st.integers(1, 4), min_size=1, max_size=30),
    counts=st.tuples(*[st.integers(1, 12)] * 3),
)
def test_no_user_is_in_two_splits(per_user, counts):
    user_N = np.repeat(np.arange(len(per_user)), per_user)
    found = split_by_order(user_N, counts)
    if found is None:
        assert len(user_N) < sum(counts) + 2 * (max(per_user) - 1)
        return
    users = [set(user_N[found[name]]) for name in SPLITS]
    assert [len(user_N[found[name]]) for name in SPLITS] == list(counts)
    assert not users[0] & users[1]
    assert not users[1] & users[2]
    assert not users[0] & users[2]


@given(samples=st.integers(0, 500), receive=st.integers(1, 5))
def test_counts_that_fit_fit(samples, receive):
    counts = counts_that_fit(samples, receive)
    if counts is None:
        assert samples < 4 * receive
        return
    user_N = np.arange(samples) // receive
    assert split_by_order(user_N, counts) is not None
    assert min(counts) > 0
