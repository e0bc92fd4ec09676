"""The books of a deployment: nothing is counted twice, and nothing is left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtasks.contract.deployment import NETWORK_METRICS
from sweeps.nodes.wire.links import Link, Transmission
from sweeps.nodes.wire.messages import SERVER, Kind, Parcel
from sweeps.nodes.wire.traffic import Traffic

EDGES = ("edge-0", "edge-1", "edge-2")
Booking = tuple[Parcel, Transmission]


def parcel(sender: str, receiver: str, size: int, kind: Kind, raw: int = 0) -> Parcel:
    return Parcel(
        sender=sender,
        receiver=receiver,
        payload=bytes(size),
        kind=kind,
        raw_samples=raw,
        raw_bytes=400 * raw,
    )


routes = st.one_of(
    st.tuples(st.just(SERVER), st.sampled_from(EDGES)),
    st.tuples(st.sampled_from(EDGES), st.just(SERVER)),
    st.tuples(st.sampled_from(EDGES), st.sampled_from(EDGES)),
)
parcels = st.builds(
    lambda route, size, kind, raw: parcel(*route, size, kind, raw),
    routes,
    st.integers(0, 5000),
    st.sampled_from(Kind),
    st.integers(0, 50),
)


@st.composite
def bookings(draw: st.DrawFn) -> list[Booking]:
    link = Link(1e6, 0.0, draw(st.floats(0, 0.9)), 1e-7, draw(st.integers(1, 1500)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    sent = draw(st.lists(parcels, max_size=12))
    return [(one, link.transmit(len(one.payload), rng)) for one in sent]


def booked(entries: list[Booking]) -> Traffic:
    traffic = Traffic(EDGES)
    for one, transmission in entries:
        traffic.sent(one, transmission)
    return traffic


@given(bookings())
def test_what_was_sent_is_what_was_received_and_what_was_lost(entries: list[Booking]) -> None:
    numbers, given = booked(entries).metrics(), sum(len(one.payload) for one, _ in entries)
    assert numbers["bytes_over_air"] == given + numbers["bytes_lost"]


@given(bookings())
def test_every_byte_has_one_direction_and_one_kind(entries: list[Booking]) -> None:
    numbers = booked(entries).metrics()
    assert numbers["bytes_over_air"] == numbers["bytes_down"] + numbers["bytes_up"]
    assert numbers["bytes_over_air"] == sum(done.sent_bytes for _, done in entries)
    assert numbers["edge_bytes"] == pytest.approx(numbers["bytes_over_air"] / 3)
    by_kind = sum(numbers[f"edge_{kind}_bytes"] for kind in Kind)
    assert by_kind == pytest.approx(numbers["edge_bytes"])


@given(bookings(), st.integers(0, 12))
def test_the_books_of_two_periods_add_up_to_those_of_both(entries: list[Booking], cut: int) -> None:
    whole = booked(entries)
    halves = booked(entries[:cut]), booked(entries[cut:])
    first, second = (half.metrics() for half in halves)
    assert whole.metrics() == pytest.approx({name: first[name] + second[name] for name in first})


@given(bookings().flatmap(lambda entries: st.tuples(st.just(entries), st.permutations(entries))))
def test_the_order_of_parcels_does_not_matter(orders: tuple[list[Booking], list[Booking]]) -> None:
    first, second = (booked(entries) for entries in orders)
    assert first.metrics() == pytest.approx(second.metrics())


@given(bookings())
def test_only_raw_data_that_leave_an_edge_are_counted(entries: list[Booking]) -> None:
    numbers = booked(entries).metrics()
    left = sum(one.raw_samples for one, _ in entries if one.sender != SERVER)
    assert (numbers["raw_samples_up"], numbers["raw_bytes_up"]) == (left, 400 * left)


def test_a_small_deployment_by_hand() -> None:
    def took(size: int, lost: int) -> Transmission:
        return Transmission(sent_bytes=size + lost, lost_bytes=lost, seconds=1.0, joule=0.5)

    traffic = Traffic(("edge-0", "edge-1"))
    traffic.sent(parcel(SERVER, "edge-0", 100, Kind.MODEL), took(100, 20))
    traffic.sent(parcel(SERVER, "edge-1", 100, Kind.MODEL), took(100, 0))
    traffic.sent(parcel("edge-1", SERVER, 30, Kind.SAMPLES, raw=2), took(30, 10))
    silent = {f"edge_{kind}_bytes": 0.0 for kind in ("control", "teacher", "outputs", "features")}
    assert traffic.metrics() == silent | {
        "bytes_over_air": 260.0,
        "bytes_down": 220.0,
        "bytes_up": 40.0,
        "bytes_lost": 30.0,
        "edge_bytes": 130.0,
        "edge_model_bytes": 110.0,
        "edge_samples_bytes": 20.0,
        "edge_signature_bytes": 0.0,
        "energy_j": 1.5,
        "raw_samples_up": 2.0,
        "raw_bytes_up": 800.0,
    }


def test_the_numbers_are_those_that_a_network_reports_about_its_links() -> None:
    of_compute = {"edge_peak_bytes", "server_peak_bytes", "server_teacher_bytes"}
    of_links = {
        name
        for name in NETWORK_METRICS
        if "bytes" in name or "energy" in name or name.startswith("raw_")
    }
    numbers = Traffic(EDGES).metrics()
    assert numbers.keys() == of_links - of_compute
    assert set(numbers.values()) == {0.0}
