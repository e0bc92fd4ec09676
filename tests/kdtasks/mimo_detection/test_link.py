import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mimo_examples import received

from kdtasks.contract.errors import ConfigError
from kdtasks.learning.random import torch_generator
from kdtasks.mimo_detection.link.bit_errors import compare
from kdtasks.mimo_detection.link.channels import ChannelLaw, draw_channels, exponential
from kdtasks.mimo_detection.link.linear import lmmse, zero_forcing
from kdtasks.mimo_detection.link.link import (
    MimoLink,
    from_pool,
    least_squares,
    noise_variance,
    pilots,
    transmit,
)
from kdtasks.mimo_detection.link.symbols import (
    decide,
    draw_bits,
    modulate,
    real_channel,
    to_complex,
    to_real,
)

LAWS = ("rayleigh", "kronecker-0.6", "rician-6", "rician--3", "cdl-A", "tdl-E")


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("modulation", ["qpsk", "16qam"])
def test_a_link_is_read_as_it_is_written(law, modulation):
    text = f"4x8 {modulation} {law}"
    link = MimoLink.parse(text)
    assert link.name == text
    assert MimoLink.parse(text.upper()) == link


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("4x4 qpsk", "must read like '4x4 qpsk rayleigh'"),
        ("4by4 qpsk rayleigh", "'4by4' must be streams x receive antennas"),
        ("8x4 qpsk rayleigh", "'8x4' must be .* at least as many"),
        ("4x17 qpsk rayleigh", "at most 16"),
        ("4x4 64qam rayleigh", "'64qam' must be one of qpsk, 16qam"),
        ("4x4 qpsk kronecker-1", "channel 'kronecker-1' must be one of rayleigh, kronecker-RHO"),
        ("4x4 qpsk cdl-f", "channel 'cdl-f' must be"),
        ("4x4 qpsk rician-", "channel 'rician-' must be"),
    ],
)
def test_what_is_no_link_is_refused_in_words(text, words):
    with pytest.raises(ConfigError, match=words):
        MimoLink.parse(text)


@pytest.mark.parametrize("bits", [1, 2])
def test_symbols_have_power_one_and_are_decided_on_as_they_were_sent(bits):
    sent = draw_bits((4000, 8, bits), torch_generator(0, "bits"))
    symbols = modulate(sent)
    assert torch.equal(decide(symbols, bits), sent)
    assert float(symbols.abs().square().mean()) == pytest.approx(1.0, abs=0.02)
    # Gray: neighbours differ in one bit, so a step to the next level is one error at most.
    nudged = decide(symbols + 1.0 / math.sqrt(10.0 if bits == 2 else 2.0) * 1.01, bits)
    assert int((nudged != sent).sum(-1).max()) == 1


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_the_real_form_is_the_same_product(receivers, streams, seed):
    generator = torch_generator(seed, "real form")
    channel = torch.randn(3, receivers, streams, dtype=torch.complex128, generator=generator)
    symbols = torch.randn(3, streams, dtype=torch.complex128, generator=generator)
    straight = (channel @ symbols[..., None])[..., 0]
    real = (real_channel(channel) @ to_real(symbols)[..., None])[..., 0]
    torch.testing.assert_close(to_complex(real), straight)


@pytest.mark.parametrize("law", ["rayleigh", "kronecker-0.7", "rician-4"])
def test_entries_of_channels_have_power_one(law):
    drawn = draw_channels(ChannelLaw.parse(law), (20_000, 4, 2), torch_generator(0, law))
    powers = drawn.abs().square().mean(0)
    torch.testing.assert_close(powers, torch.ones(4, 2), rtol=0.0, atol=0.05)


def test_correlation_of_antennas_is_exponential_at_both_ends():
    drawn = draw_channels(
        ChannelLaw.parse("kronecker-0.7"), (20_000, 4, 3), torch_generator(0, "correlation")
    )
    received_RR = torch.einsum("brs,bqs->rq", drawn, drawn.conj()).real / (3 * len(drawn))
    sent_SS = torch.einsum("brs,brt->st", drawn, drawn.conj()).real / (4 * len(drawn))
    torch.testing.assert_close(received_RR, exponential(4, 0.7), rtol=0.0, atol=0.03)
    torch.testing.assert_close(sent_SS, exponential(3, 0.7), rtol=0.0, atol=0.03)
    plain = draw_channels(ChannelLaw("kronecker", 0.0), (5, 4, 3), torch_generator(1, "same"))
    other = draw_channels(ChannelLaw("rayleigh"), (5, 4, 3), torch_generator(1, "same"))
    torch.testing.assert_close(plain, other)


def test_a_strong_direct_path_leaves_one_direction():
    drawn = draw_channels(ChannelLaw.parse("rician-30"), (200, 4, 4), torch_generator(0, "los"))
    values = torch.linalg.svdvals(drawn)
    assert float((values[:, 1] / values[:, 0]).max()) < 0.2


def test_pilots_are_orthogonal_and_errors_of_estimates_are_as_they_should_be():
    sent = pilots(4)
    torch.testing.assert_close(sent @ sent.mH, 4.0 * torch.eye(4, dtype=torch.complex64))
    channel = torch.zeros(20_000, 2, 4, dtype=torch.complex64)
    noise = torch.full((20_000,), 0.8)
    errors = least_squares(channel, noise, torch_generator(0, "pilots")).flatten(1)
    covariance = errors.mT @ errors.conj() / len(errors)
    torch.testing.assert_close(
        covariance, 0.8 / 4.0 * torch.eye(8, dtype=torch.complex64), rtol=0.0, atol=0.01
    )


def test_snr_is_that_of_a_receive_antenna():
    link = MimoLink.parse("4x4 qpsk rayleigh")
    generator = torch_generator(0, "snr")
    seen = transmit(link, torch.zeros(50_000, 4, 4, dtype=torch.complex64), (7, 7), generator)
    power = float(seen.received_BR.abs().square().mean())
    assert 10.0 * math.log10(4.0 / power) == pytest.approx(7.0, abs=0.05)
    spread = transmit(link, torch.zeros(5000, 4, 4, dtype=torch.complex64), (5, 25), generator)
    low, high = noise_variance(4, torch.tensor([25.0, 5.0]))
    assert low <= spread.noise_B.min() < 1.5 * low
    assert high / 1.5 < spread.noise_B.max() <= high


ESTIMATED = ("2x2 qpsk rayleigh", "4x4 qpsk kronecker-0.6", "4x8 16qam rician-6")


@pytest.mark.parametrize("link", ESTIMATED)
@pytest.mark.parametrize("perfect", [False, True])
def test_the_effective_noise_is_what_the_estimate_leaves_unexplained(link, perfect):
    seen = received(link, 20_000, 8.0, perfect=perfect)
    left = seen.received_BR - (seen.estimate_BRS @ modulate(seen.bits_BNM)[..., None])[..., 0]
    variance = left.abs().square() / seen.noise_B[:, None]
    expected = 1.0 if perfect else 2.0  # pilots as long as there are streams
    assert float(variance.mean()) == pytest.approx(expected, rel=0.02)
    assert torch.equal(seen.effective_noise, expected * seen.noise_B)


@given(energy=st.floats(0.5, 1e3), longer=st.floats(1.01, 100.0))
def test_longer_pilots_leave_less_noise_down_to_that_of_a_known_channel(energy, longer):
    seen = received("4x4 qpsk rayleigh", 3, 8.0)
    some, fewer = (
        replace(seen, pilot_energy=size).effective_noise for size in (energy * longer, energy)
    )
    assert bool((some < fewer).all())
    assert bool((some > replace(seen, pilot_energy=math.inf).effective_noise).all())


@given(
    st.sampled_from(["3x4 16qam rayleigh", "4x4 qpsk kronecker-0.6"]),
    st.floats(0.5, 20.0),
    st.integers(0, 99),
)
def test_lmmse_is_the_regression_of_symbols_on_what_is_received(link, energy, seed):
    # Second implementation: cov(x, y) cov(y)^-1 y with cov(y) = H H^H + nu I, unbiased per stream.
    seen = replace(received(link, 4, 9.0, seed=seed), pilot_energy=energy)
    for use, ours in enumerate(lmmse(seen).numpy()):
        channel = seen.estimate_BRS[use].numpy().astype(complex)
        receivers, streams = channel.shape
        variance = float(seen.noise_B[use]) * (1.0 + streams / energy)
        covariance = channel @ channel.conj().T + variance * np.eye(receivers)
        matrix = channel.conj().T @ np.linalg.inv(covariance)
        gain = np.real(np.diag(matrix @ channel))
        expected = matrix @ seen.received_BR[use].numpy() / gain
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("link", [*ESTIMATED, "4x4 qpsk rayleigh"])
@pytest.mark.parametrize("snr_db", [5.0, 15.0, 25.0])
def test_lmmse_gains_from_the_error_of_the_estimate(link, snr_db):
    seen = received(link, 10_000, snr_db)
    bits = seen.bits_BNM.shape[-1]

    def errors(energy):
        return compare(decide(lmmse(replace(seen, pilot_energy=energy)), bits), seen.bits_BNM)

    streams = seen.estimate_BRS.shape[-1]
    mended, exact, overdone = (errors(energy) for energy in (streams, math.inf, streams / 9.0))
    assert mended.ratio <= exact.wilson()[1]
    assert mended.ratio <= overdone.wilson()[1]
    if streams == 4 and exact.ratio > 0.02 and bits == 1:
        assert mended.ratio < exact.wilson()[0]


def test_a_pool_gives_nothing_but_its_channels():
    pool = torch.randn(3, 2, 2, dtype=torch.complex64, generator=torch_generator(0, "pool"))
    drawn = from_pool(pool)(200, torch_generator(1, "picks"))
    assert {tuple(h.flatten().tolist()) for h in drawn} == {
        tuple(h.flatten().tolist()) for h in pool
    }


def test_the_same_seed_gives_the_same_channel_uses_and_another_one_others():
    first, again = (received("2x2 16qam rician-3", 50, 15.0, seed=3) for _ in range(2))
    other = received("2x2 16qam rician-3", 50, 15.0, seed=4)
    assert torch.equal(first.received_BR, again.received_BR)
    assert torch.equal(first.bits_BNM, again.bits_BNM)
    assert not torch.equal(first.received_BR, other.received_BR)


@pytest.mark.parametrize("detector", [zero_forcing, lmmse])
@pytest.mark.parametrize("link", ["2x2 qpsk rayleigh", "4x8 16qam kronecker-0.5"])
def test_without_noise_nothing_is_decided_wrongly(link, detector):
    seen = received(link, 500, 90.0)
    assert compare(decide(detector(seen), seen.bits_BNM.shape[-1]), seen.bits_BNM).errors == 0


@pytest.mark.parametrize("antennas", [(2, 2), (2, 3), (4, 4), (4, 8)])
def test_zero_forcing_has_the_error_ratio_of_its_diversity(antennas):
    # With the channel known, ZF of i.i.d. Rayleigh is maximum ratio combining of R - S + 1 branches
    # (Winters, Salz and Gitlin, 1994); its BER is Proakis, "Digital Communications", eq. 14.4-15.
    streams, receivers = antennas
    snr_db = 10.0 if receivers == streams else 4.0
    seen = received(f"{streams}x{receivers} qpsk rayleigh", 40_000, snr_db, perfect=True)
    found = compare(decide(zero_forcing(seen), 1), seen.bits_BNM)
    g = 10.0 ** (snr_db / 10.0) / streams / 2.0  # per bit
    mu = math.sqrt(g / (1.0 + g))
    order = receivers - streams + 1
    terms = [math.comb(order - 1 + k, k) * ((1.0 + mu) / 2.0) ** k for k in range(order)]
    expected = ((1.0 - mu) / 2.0) ** order * sum(terms)
    # Bits of one channel use share its fade: twice the interval of independent ones.
    low, high = found.wilson(2.0 * 1.96)
    assert low <= expected <= high
    if order == 1:
        assert expected == pytest.approx(0.5 * (1.0 - math.sqrt(g / (1.0 + g))))
