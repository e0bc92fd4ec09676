"""Cores are shared out before anything starts; what cannot fit is refused with what to lower."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.errors import ConfigError
from sweeps.seats import Seats, SeatWishes, share_cores


@given(
    slots=st.none() | st.integers(-1, 12),
    actors=st.none() | st.integers(-1, 12),
    transport=st.sampled_from(["ray", "inprocess"]),
    cores=st.integers(1, 8),
)
def test_what_is_shared_out_fits_and_what_is_refused_does_not(slots, actors, transport, cores):
    wishes = SeatWishes(slots=slots, transport=transport, actors=actors)
    lone = transport == "inprocess" and actors is not None
    wanted = (1 if slots is None else slots) * (1 if actors is None else actors)
    positive = min(1 if slots is None else slots, 1 if actors is None else actors) >= 1
    try:
        seats = share_cores(wishes, cores)
    except ConfigError:
        assert lone or not positive or wanted > cores
    else:
        assert not lone
        assert 1 <= seats.cores <= cores
        assert seats.slots == slots or slots is None
        assert seats.actors == (0 if transport == "inprocess" else actors or 1)


def test_by_default_every_core_has_a_trial_with_one_actor():
    assert share_cores(SeatWishes(), 4) == Seats(slots=4, actors=1)
    assert share_cores(SeatWishes(actors=2), 5) == Seats(slots=2, actors=2)
    assert share_cores(SeatWishes(transport="inprocess"), 3) == Seats(slots=3, actors=0)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (SeatWishes(actors=5), r"actors must lie in \[1, 4\].*got 5"),
        (SeatWishes(actors=0), r"actors must lie in \[1, 4\].*got 0"),
        (SeatWishes(slots=0), "slots must be 1 or more, got 0"),
        (SeatWishes(slots=5), "need 5 cores, this machine has 4; lower slots to 4$"),
        (SeatWishes(slots=3, actors=2), "need 6 cores.*lower slots to 2 or actors to 1"),
        (SeatWishes(slots=8, actors=4), "need 32 cores.*lower slots to 1$"),
        (SeatWishes(transport="inprocess", actors=1), "leave actors out"),
    ],
)
def test_what_cannot_fit_is_refused_and_named(wishes, words):
    with pytest.raises(ConfigError, match=words):
        share_cores(wishes, 4)
