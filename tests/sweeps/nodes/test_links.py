"""A link delivers everything, and says what that took."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.nodes.wire.links import Link, Transmission

links = st.builds(
    Link,
    rate_bps=st.floats(1e3, 1e9),
    delay_s=st.floats(0, 10),
    loss=st.floats(0, 0.95),
    energy_j_per_bit=st.floats(0, 1e-3),
    packet_bytes=st.integers(1, 9000),
)
sizes = st.integers(0, 3_000_000)


def link(**changes: Any) -> Link:
    entries: dict[str, Any] = {
        "rate_bps": 1e7,
        "delay_s": 0.01,
        "loss": 0.0,
        "energy_j_per_bit": 1e-7,
    }
    return Link(**(entries | changes))


def sends(one: Link, size: int, times: int, seed: int = 0) -> list[Transmission]:
    rng = np.random.default_rng(seed)
    return [one.transmit(size, rng) for _ in range(times)]


def sent_one_by_one(size: int, loss: float, packet: int, rng: np.random.Generator) -> int:
    """Return the bytes sent, by sending every packet until it arrives."""
    sent = 0
    for start in range(0, size, packet):
        length = min(packet, size - start)
        sent += length
        while rng.random() < loss:
            sent += length
    return sent


@given(links, sizes, st.integers(0, 99))
def test_what_is_sent_is_what_arrives_and_what_is_lost(one: Link, size: int, seed: int) -> None:
    done = one.transmit(size, np.random.default_rng(seed))
    assert done.sent_bytes == size + done.lost_bytes
    assert done.lost_bytes >= 0
    assert done.seconds == pytest.approx(one.delay_s + 8 * done.sent_bytes / one.rate_bps)
    assert done.joule == pytest.approx(8 * done.sent_bytes * one.energy_j_per_bit)


@given(links, sizes, st.integers(0, 99))
def test_lost_bytes_are_whole_packets(one: Link, size: int, seed: int) -> None:
    lost = one.transmit(size, np.random.default_rng(seed)).lost_bytes
    last = size % one.packet_bytes
    if last == 0:
        assert lost % one.packet_bytes == 0
    elif size < one.packet_bytes:
        assert lost % last == 0
    else:
        assert lost % math.gcd(one.packet_bytes, last) == 0


@given(sizes)
def test_a_link_without_loss_sends_exactly_the_size_and_draws_nothing(size: int) -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert link().transmit(size, rng) == Transmission(
        sent_bytes=size, lost_bytes=0, seconds=0.01 + 8 * size / 1e7, joule=8 * size * 1e-7
    )
    assert rng.bit_generator.state == before


@given(links, sizes, st.integers(0, 99))
def test_the_same_generator_loses_the_same_packets(one: Link, size: int, seed: int) -> None:
    assert sends(one, size, 3, seed) == sends(one, size, 3, seed)


@pytest.mark.parametrize("loss", [1e-12, 0.01, 0.3, 0.95])
@pytest.mark.parametrize("size", [700, 1500, 60_000, 60_700])
def test_losses_have_mean_and_variance_of_the_law(loss: float, size: int) -> None:
    times = 20_000
    lost = np.array([done.lost_bytes for done in sends(link(loss=loss), size, times)])
    full, last = divmod(size, 1500)
    squares = full * 1500**2 + last**2
    mean, variance = size * loss / (1 - loss), squares * loss / (1 - loss) ** 2
    assert lost.mean() == pytest.approx(mean, abs=5 * math.sqrt(variance / times))
    if loss > 0.001:
        assert lost.var() == pytest.approx(variance, rel=0.25 if loss == 0.01 else 0.1)


@pytest.mark.parametrize(("size", "packet"), [(100, 40), (100, 1000), (300, 100)])
def test_losses_are_distributed_as_if_every_packet_were_sent_until_it_arrives(
    size: int, packet: int
) -> None:
    times, loss = 20_000, 0.4
    rng = np.random.default_rng(1)
    one_by_one = [sent_one_by_one(size, loss, packet, rng) for _ in range(times)]
    at_once = [d.sent_bytes for d in sends(link(loss=loss, packet_bytes=packet), size, times)]
    grid = np.unique(one_by_one + at_once)
    distance = [np.searchsorted(np.sort(x), grid, "right") / times for x in (one_by_one, at_once)]
    # Kolmogorov and Smirnov: 1.95 sqrt(2 / n) is passed once in a thousand runs.
    assert np.abs(distance[0] - distance[1]).max() < 1.95 * math.sqrt(2 / times)


def test_many_small_messages_lose_as_many_bytes_as_one_large() -> None:
    lossy = link(loss=0.2)
    large = sum(done.sent_bytes for done in sends(lossy, 150_000 * 100, 20))
    small = sum(done.sent_bytes for done in sends(lossy, 1500, 20_000)) * 10
    assert small == pytest.approx(large, rel=0.02)
    assert small == pytest.approx(20 * 150_000 * 100 / 0.8, rel=0.02)


def test_an_empty_message_takes_the_delay_and_nothing_else() -> None:
    done = link(loss=0.5).transmit(0, np.random.default_rng(0))
    assert done == Transmission(sent_bytes=0, lost_bytes=0, seconds=0.01, joule=0.0)


def test_losses_cost_time_and_energy() -> None:
    clean = link().transmit(10**6, np.random.default_rng(0))
    lossy = link(loss=0.5).transmit(10**6, np.random.default_rng(0))
    assert lossy.joule / clean.joule == pytest.approx(2, rel=0.2)
    assert (lossy.seconds - 0.01) / (clean.seconds - 0.01) == pytest.approx(2, rel=0.2)
