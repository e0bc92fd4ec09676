"""Our link and our linear detectors beside Sionna's."""

import math
from dataclasses import replace

import pytest
import torch
from mimo_examples import received

from kdtasks.data.sionna_session import sionna_seeded
from kdtasks.learning.random import torch_generator
from kdtasks.mimo_detection.link.bit_errors import compare
from kdtasks.mimo_detection.link.channels import ChannelLaw
from kdtasks.mimo_detection.link.linear import lmmse, zero_forcing
from kdtasks.mimo_detection.link.link import MimoLink
from kdtasks.mimo_detection.link.sionna_detectors import detect, names_for, to_axes
from kdtasks.mimo_detection.link.symbols import decide, draw_bits, modulate
from kdtasks.mimo_detection.link.tr38901 import draw_pool

pytestmark = pytest.mark.timeout(30)


@pytest.mark.parametrize(
    "link", ["2x2 qpsk rayleigh", "4x4 16qam kronecker-0.6", "4x8 qpsk rician-3"]
)
def test_linear_detectors_decide_like_sionnas_on_the_same_samples(link):
    seen = received(link, 2000, 12.0)
    parsed = MimoLink.parse(link)
    for name, ours in {"ZF": zero_forcing, "LMMSE": lmmse}.items():
        bits = decide(ours(seen), parsed.bits_per_axis)
        # An estimate on a threshold, to the last digit, may fall on either side.
        assert compare(detect(name, parsed, seen), bits).ratio < 1e-4
        errors = [compare(found, seen.bits_BNM) for found in (bits, detect(name, parsed, seen))]
        low, high = errors[1].wilson()
        assert low <= errors[0].ratio <= high


@pytest.mark.parametrize("bits", [1, 2])
def test_the_mapping_is_that_of_sionna(bits):
    from sionna.phy.mapping import Mapper

    ours = draw_bits((50, 6, bits), torch_generator(0, "mapping"))
    # [B, S, M, axis]: real and imaginary part in turn
    ordered = ours.reshape(50, 2, 3, bits).permute(0, 2, 3, 1).reshape(50, 3, 2 * bits)
    assert torch.equal(to_axes(ordered), ours)
    with sionna_seeded(0):
        mapper = Mapper("qam", 2 * bits, precision="single", device="cpu")
        symbols = mapper(ordered.float())[..., 0]
    torch.testing.assert_close(modulate(ours), symbols)


def test_better_detectors_make_fewer_errors():
    link = "4x4 16qam rayleigh"
    seen = received(link, 1500, 20.0, perfect=True)
    parsed = MimoLink.parse(link)
    assert names_for(parsed) == ("ZF", "LMMSE", "EP", "K-best")
    ratios = {n: compare(detect(n, parsed, seen), seen.bits_BNM).ratio for n in names_for(parsed)}
    assert ratios["K-best"] < 0.6 * ratios["EP"] < ratios["LMMSE"] < ratios["ZF"]


@pytest.mark.parametrize("link", ["4x4 qpsk kronecker-0.6", "4x4 qpsk rician-6"])
def test_the_error_of_the_estimate_helps_detectors_that_weigh_noise(link):
    parsed = MimoLink.parse(link)
    seen = received(link, 4000, 15.0)
    exact = replace(seen, pilot_energy=math.inf)
    for name in names_for(parsed):
        found = detect(name, parsed, seen)
        before = compare(detect(name, parsed, exact), seen.bits_BNM)
        if name in ("LMMSE", "EP"):
            assert compare(found, seen.bits_BNM).ratio < before.ratio
        else:
            assert compare(found, detect(name, parsed, exact)).ratio < 1e-4, name


def test_k_best_with_all_paths_is_maximum_likelihood():
    # Fails with Sionna's real representation, see `mimo_sionna_detectors`.
    link = MimoLink.parse("2x2 qpsk rayleigh")
    seen = received(link.name, 2000, 8.0)
    assert "ML" in names_for(link)
    assert compare(detect("K-best", link, seen), detect("ML", link, seen)).ratio < 0.01


@pytest.mark.parametrize("law", ["cdl-A", "cdl-D", "tdl-A", "tdl-D"])
def test_delay_lines_have_power_one_and_follow_their_seed(law):
    law = ChannelLaw.parse(law)
    before = torch.get_rng_state()
    drawn = draw_pool(law, (600, 4, 2), seed=5)
    assert drawn.shape == (600, 4, 2)
    assert drawn.dtype == torch.complex64
    assert float(drawn.abs().square().mean()) == pytest.approx(1.0, abs=0.15)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(draw_pool(law, (600, 4, 2), seed=5), drawn)
    assert not torch.equal(draw_pool(law, (600, 4, 2), seed=6), drawn)


def test_clusters_correlate_antennas_and_taps_do_not():
    def neighbours(law):
        drawn = draw_pool(ChannelLaw.parse(law), (600, 4, 2), seed=0)
        return float((drawn[:, 1:] * drawn[:, :-1].conj()).mean(dim=(0, 1, 2)).abs())

    assert neighbours("tdl-A") < 0.1
    assert neighbours("cdl-A") > 0.3
